#pragma once

#include <ATen/ATen.h>

namespace imagerank::reward {

/// Mean over rows of (output - label)^2. @param outputs  [N, 1]. @param labels  float [N].
[[nodiscard]] at::Tensor squared_error(const at::Tensor& outputs, const at::Tensor& labels);
/// Mean over rows of -log softmax(outputs)[label]. @param outputs  [N, C]. @param labels  int64 [N], 0..C-1.
[[nodiscard]] at::Tensor cross_entropy(const at::Tensor& outputs, const at::Tensor& labels);
/// Mean over rows of -label log sigmoid(output) - (1 - label) log sigmoid(-output). @param labels  float [N], 0 or 1.
[[nodiscard]] at::Tensor binary_loss(const at::Tensor& outputs, const at::Tensor& labels);
/// Bradley-Terry: weighted mean over pairs of -p log sigmoid(d) - (1 - p) log sigmoid(-d), d = utility_a - utility_b.
/// A tie is p = 0.5: its least loss is log 2, at equal utilities.
/// @param utility_a, utility_b  [N, 1]. @param p_a, weights  float [N]; weights sum to more than 0.
/// Source: Bradley, Terry 1952; soft labels as PickScore trains (Kirstain et al. 2023), without its constant for ties.
[[nodiscard]] at::Tensor bradley_terry(const at::Tensor& utility_a, const at::Tensor& utility_b, const at::Tensor& p_a,
                                       const at::Tensor& weights);

}  // namespace imagerank::reward
