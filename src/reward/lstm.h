#pragma once

#include <ATen/ATen.h>

namespace imagerank::reward {

/// An LSTM's parameters, gates in the order i, f, g, o.
struct LstmWeights {
  at::Tensor input_weight;            ///< [4 H, dim]
  at::Tensor state_weight;            ///< [4 H, H]
  at::Tensor input_bias, state_bias;  ///< [4 H]
};

/// The last state of an LSTM over two time steps, from a state of zeros: [N, H], differentiable by the weights only.
/// Of the first step, whose state is zero, no product with the state and no forget gate is needed; both steps' input
/// products are one. In float32 it runs on passes of our own (reward/lstm_cells.h), shared among the training's
/// threads.
/// @param input  [N, 2 * dim], the steps one after the other; float32 or float64.
[[nodiscard]] at::Tensor two_step_lstm(const at::Tensor& input, const LstmWeights& weights);
/// The same by libtorch's operations: what the other is tested against.
[[nodiscard]] at::Tensor two_step_lstm_reference(const at::Tensor& input, const LstmWeights& weights);

}  // namespace imagerank::reward
