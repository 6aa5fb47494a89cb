#pragma once

#include <ATen/ATen.h>

namespace imagerank::reward {

/// input weight^T + bias, as at::linear; products are shared among the training's threads (reward/work_crew.h).
/// @param input  [N, in]. @param weight  [out, in]. @param bias  [out]. @return [N, out], differentiable by all three.
[[nodiscard]] at::Tensor wide_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);

// Its products, without gradients.
[[nodiscard]] at::Tensor wide_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);
/// outputs^T inputs: what a weight's gradient is. @param outputs  [N, out]. @param inputs  [N, in]. @return [out, in].
[[nodiscard]] at::Tensor wide_weight_gradient(const at::Tensor& outputs, const at::Tensor& inputs);

}  // namespace imagerank::reward
