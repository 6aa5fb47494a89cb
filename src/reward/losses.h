#pragma once

#include <ATen/ATen.h>

namespace imagerank::reward {

// Each function gives the loss of every row, [N], differentiable, in the type of its inputs. The losses of preferences
// have their least possible value taken off (the target's entropy: log 2 for a tie), so that 0 is perfect; their
// gradients are those of the cross-entropy.

/// (output - label)^2. @param outputs  [N, 1]. @param labels  float [N].
[[nodiscard]] at::Tensor squared_error(const at::Tensor& outputs, const at::Tensor& labels);

/// -log softmax(outputs)[label], of which a share `smoothing` goes to all classes alike (Szegedy et al. 2016).
/// @param outputs  [N, C]. @param labels  int64 [N], 0..C-1. @param smoothing  0..1.
[[nodiscard]] at::Tensor cross_entropy(const at::Tensor& outputs, const at::Tensor& labels, double smoothing = 0.0);

/// -label log sigmoid(output) - (1 - label) log sigmoid(-output). @param outputs  [N, 1]. @param labels  float [N],
/// 0 or 1; smoothed towards 1/2.
[[nodiscard]] at::Tensor binary_loss(const at::Tensor& outputs, const at::Tensor& labels, double smoothing = 0.0);

/// Bradley-Terry: -p log sigmoid(d) - (1 - p) log sigmoid(-d), less the entropy of p. A tie is p = 0.5.
/// @param difference  [N], the utility of a less that of b. @param p_a  [N], smoothed towards 1/2.
/// Source: Bradley, Terry 1952; soft labels and the ties' constant as PickScore trains (Kirstain et al. 2023).
[[nodiscard]] at::Tensor bradley_terry(const at::Tensor& difference, const at::Tensor& p_a, double smoothing = 0.0);

/// What a soft label says of the outcomes a, b, tie: [N, 3]. A label is the mixture of a win and a tie that has its
/// mean: 1 is a win of a, 0.5 a tie, 0.75 half of each; smoothed towards thirds.
[[nodiscard]] at::Tensor outcome_targets(const at::Tensor& p_a, double smoothing = 0.0);

/// Davidson 1970: p(a) : p(b) : p(tie) = e^(d/2) : e^(-d/2) : e^log_width.
/// @param difference, p_a  [N]. @param log_width  [1], any number: the log of his nu.
[[nodiscard]] at::Tensor davidson(const at::Tensor& difference, const at::Tensor& p_a, const at::Tensor& log_width,
                                  double smoothing = 0.0);

/// Rao, Kupper 1967: p(a) = sigmoid(d - w), p(b) = sigmoid(-d - w), p(tie) = the rest. The width w, the log of their
/// theta, is softplus(raw_width) > 0. @param difference, p_a  [N]. @param raw_width  [1], any number.
[[nodiscard]] at::Tensor rao_kupper(const at::Tensor& difference, const at::Tensor& p_a, const at::Tensor& raw_width,
                                    double smoothing = 0.0);

/// Plackett-Luce over lists: place by place, -log of the share of e^utility that those of the place have among all that
/// are not better. Equal levels are a tie: each of them alike is the right answer. Stages are summed.
/// @param utilities  [N, W]. @param levels  [N, W]: 0 the best, then 1, ...; kUnordered for images below the rest whose
/// order is not known; kNoImage where a list is shorter than W.
/// Source: Plackett 1975, Luce 1959; a list of a best one and others is their choice model.
[[nodiscard]] at::Tensor plackett_luce(const at::Tensor& utilities, const at::Tensor& levels, double smoothing = 0.0);
inline constexpr double kUnordered = 1e6;
inline constexpr double kNoImage = 1e9;

/// Lee et al. 2023 (arXiv 2302.12192): -log softmax([right, wrong] / temperature)[right], the auxiliary loss that tells
/// an image's own prompt from wrong ones. The gradient reaches both.
/// @param right  [N]. @param wrong  [N, K]: row i holds scores of image i. @param known  [N, K], 0 where there is none.
[[nodiscard]] at::Tensor prompt_classification(const at::Tensor& right, const at::Tensor& wrong,
                                               const at::Tensor& known, double temperature);
/// The least that it can be for scores that lie within `range` of each other: log(1 + K e^(-range / temperature)).
[[nodiscard]] double prompt_classification_floor(double range, double temperature, std::size_t wrong_count) noexcept;

/// sum(weights * rows) / sum(weights): weights are normalised inside the batch. @param rows, weights  [N].
[[nodiscard]] at::Tensor weighted_mean(const at::Tensor& rows, const at::Tensor& weights);

}  // namespace imagerank::reward
