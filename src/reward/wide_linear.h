#pragma once

#include <ATen/ATen.h>

#include "kernels/format.h"

namespace imagerank::reward {

/// While one lives, the wide products of its thread, forward and backward, are over numbers rounded to a format, kFp32
/// (as without one) or kBf16: mixed precision. Their sums, and all that is no wide product, stay float32. Without AVX2
/// all is float32.
class ProductsIn {
 public:
  explicit ProductsIn(kernels::Format format) noexcept;
  ProductsIn(const ProductsIn&) = delete;
  ProductsIn& operator=(const ProductsIn&) = delete;
  ~ProductsIn();

 private:
  kernels::Format outer_;
};

/// input weight^T + bias, as at::linear; products are shared among the training's threads (reward/work_crew.h).
/// @param input  [N, in]. @param weight  [out, in]. @param bias  [out]. @return [N, out], differentiable by all three.
[[nodiscard]] at::Tensor wide_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);

// Its products, without gradients.
[[nodiscard]] at::Tensor wide_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);
/// outputs^T inputs: what a weight's gradient is. @param outputs  [N, out]. @param inputs  [N, in]. @return [out, in].
[[nodiscard]] at::Tensor wide_weight_gradient(const at::Tensor& outputs, const at::Tensor& inputs);

}  // namespace imagerank::reward
