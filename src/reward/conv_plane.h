#pragma once

#include <ATen/ATen.h>

namespace imagerank::reward {

/// The CNN head's parameters before its linear layers.
struct ConvPlaneWeights {
  at::Tensor weight1, bias1;  ///< [32, 1, 3, 3], [32]
  at::Tensor weight2, bias2;  ///< [5, 32, 3, 3], [5]
};

/// A plane of 32 rows -> conv 3x3, ReLU, max-pool 2, conv 3x3, ReLU, both convolutions zero-padded by 1: [N, 5 * 16 *
/// W/2], differentiable by the weights only. In float32, where the processor has AVX2, one pass of our own for
/// each direction, about a row's planes at a time; else libtorch's operations.
/// @param input  [N, 32 * W], W even; float32 or float64.
[[nodiscard]] at::Tensor conv_plane(const at::Tensor& input, const ConvPlaneWeights& weights);
/// The same by libtorch's operations: what the other is tested against.
[[nodiscard]] at::Tensor conv_plane_reference(const at::Tensor& input, const ConvPlaneWeights& weights);

}  // namespace imagerank::reward
