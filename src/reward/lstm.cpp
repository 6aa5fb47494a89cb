#include "reward/lstm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "reward/lstm_cells.h"
#include "reward/wide_linear.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Where a row of the first dimension begins.
float* row_of(const at::Tensor& tensor, std::size_t row) {
  return tensor.data_ptr<float>() + static_cast<std::int64_t>(row) * tensor.stride(0);
}

/// Rows of a piece.
at::Tensor part(const at::Tensor& whole, const Piece& piece) {
  return whole.narrow(0, static_cast<std::int64_t>(piece.begin), static_cast<std::int64_t>(piece.count));
}

/// Calls `work` with each piece of a step's rows that is not empty; pieces may run at once.
template <typename Work>
void share_rows(std::int64_t rows, std::int64_t hidden, const Work& work) {
  constexpr double kOfASum = 1e-5, kOfACell = 4e-3;  // microseconds
  const auto cells = static_cast<double>(rows * hidden);
  share(cells * (kOfACell + kOfASum * 4.0 * static_cast<double>(hidden)), [&](std::size_t piece) {
    const Piece own = piece_of(static_cast<std::size_t>(rows), piece);
    if (own.count > 0) work(own);
  });
}

class TwoStepLstm : public torch::autograd::Function<TwoStepLstm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& input_weight,
                            const at::Tensor& state_weight, const at::Tensor& input_bias,
                            const at::Tensor& state_bias) {
    const std::int64_t rows = input.size(0), dim = input.size(1) / 2, hidden = state_weight.size(1);
    const auto size = static_cast<std::size_t>(hidden);
    const at::Tensor gates =
        wide_product(input.reshape({2 * rows, dim}), input_weight, input_bias + state_bias).view({rows, 2, 4 * hidden});
    const at::Tensor gates1 = gates.select(1, 0), gates2 = gates.select(1, 1);
    const auto states = [&] { return at::empty({rows, hidden}, input.options()); };
    const at::Tensor cell1 = states(), squashed1 = states(), state1 = states(), squashed2 = states(), state2 = states();
    share_rows(rows, hidden, [&](const Piece& own) {
      for (std::size_t row = own.begin; row < own.begin + own.count; ++row) {
        first_cells(size, {row_of(gates1, row), row_of(cell1, row), row_of(squashed1, row), row_of(state1, row)});
      }
      part(gates2, own).addmm_(part(state1, own), state_weight.t());
      for (std::size_t row = own.begin; row < own.begin + own.count; ++row) {
        second_cells(size, {row_of(gates2, row), row_of(cell1, row), row_of(squashed2, row), row_of(state2, row)});
      }
    });
    context->save_for_backward({input, state_weight, gates, cell1, squashed1, state1, squashed2});
    return state2;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &state_weight = saved[1], &gates = saved[2];
    const at::Tensor &cell1 = saved[3], &squashed1 = saved[4], &state1 = saved[5], &squashed2 = saved[6];
    const std::int64_t rows = input.size(0), dim = input.size(1) / 2, hidden = state_weight.size(1);
    const auto size = static_cast<std::size_t>(hidden);
    const at::Tensor by_state2 = gradients[0].contiguous();
    const at::Tensor gates1 = gates.select(1, 0), gates2 = gates.select(1, 1);
    const at::Tensor by_gates = at::empty({rows, 2, 4 * hidden}, input.options());
    const at::Tensor by_gates1 = by_gates.select(1, 0), by_gates2 = by_gates.select(1, 1);
    const at::Tensor by_cell1 = at::empty({rows, hidden}, input.options());
    const at::Tensor by_state1 = at::empty({rows, hidden}, input.options());
    share_rows(rows, hidden, [&](const Piece& own) {
      for (std::size_t row = own.begin; row < own.begin + own.count; ++row) {
        second_slopes(size, {row_of(by_state2, row), row_of(gates2, row), row_of(cell1, row), row_of(squashed2, row),
                             row_of(by_gates2, row), row_of(by_cell1, row)});
      }
      at::Tensor by_own = part(by_state1, own);
      at::mm_out(by_own, part(by_gates2, own), state_weight);
      for (std::size_t row = own.begin; row < own.begin + own.count; ++row) {
        first_slopes(size, {row_of(by_state1, row), row_of(by_cell1, row), row_of(gates1, row), row_of(squashed1, row),
                            row_of(by_gates1, row)});
      }
    });
    const at::Tensor both = by_gates.view({2 * rows, 4 * hidden});
    const at::Tensor by_bias = both.sum(0);
    return {at::Tensor(), wide_weight_gradient(both, input.reshape({2 * rows, dim})),
            wide_weight_gradient(by_gates2, state1), by_bias, by_bias.clone()};
  }
};

}  // namespace

at::Tensor two_step_lstm(const at::Tensor& input, const LstmWeights& weights) {
  if (input.scalar_type() != at::kFloat) return two_step_lstm_reference(input, weights);
  return TwoStepLstm::apply(input, weights.input_weight, weights.state_weight, weights.input_bias, weights.state_bias);
}

at::Tensor two_step_lstm_reference(const at::Tensor& input, const LstmWeights& weights) {
  const std::int64_t dim = input.size(1) / 2;
  at::Tensor state, cell;
  for (std::int64_t step = 0; step < 2; ++step) {
    at::Tensor gates =
        at::linear(input.narrow(1, step * dim, dim), weights.input_weight, weights.input_bias + weights.state_bias);
    if (step > 0) gates = gates + at::linear(state, weights.state_weight);
    const std::vector<at::Tensor> parts = gates.chunk(4, 1);
    const at::Tensor added = at::sigmoid(parts[0]) * at::tanh(parts[2]);
    cell = step == 0 ? added : at::sigmoid(parts[1]) * cell + added;
    state = at::sigmoid(parts[3]) * at::tanh(cell);
  }
  return state;
}

}  // namespace imagerank::reward
