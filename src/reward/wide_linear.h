#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "kernels/format.h"
#include "kernels/kernels.h"

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

/// The calling thread's format of wide products.
[[nodiscard]] kernels::Format products_format() noexcept;
/// What they run on; empty below AVX2.
[[nodiscard]] const std::optional<kernels::Kernels>& product_kernels();

/// input weight^T + bias, as at::linear; products are shared among the training's threads (reward/work_crew.h).
/// @param input  [N, in]. @param weight  [out, in]. @param bias  [out]. @return [N, out], differentiable by all three.
[[nodiscard]] at::Tensor wide_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);

/// The same without gradients.
[[nodiscard]] at::Tensor wide_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace imagerank::reward
