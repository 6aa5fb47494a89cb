#pragma once

#include <cstddef>

namespace imagerank::reward {

// What an LSTM of two steps does between its products: a unit of it, for `count` rows of the batch; all float32. A gate
// is first what comes into its sigmoid (input, forget, output) or tanh (candidate) without its bias, then what comes
// out of it, in place. Sigmoid is within 2e-7, tanh within 3e-7 of themselves.

/// A unit's four gates, each [count].
struct Gates {
  float *input, *candidate, *output, *forget;
};
struct GateBiases {
  float input, candidate, output, forget;
};

/// The first step, whose cell was 0: its forget gate is not looked at.
struct FirstCells {
  Gates gates;  ///< in place
  GateBiases biases;
  float* cell;      ///< input * candidate
  float* squashed;  ///< tanh(cell)
  float* state;     ///< output * tanh(cell)
};
void first_cells(std::size_t count, const FirstCells& unit) noexcept;

/// The second step.
struct SecondCells {
  Gates gates;  ///< in place
  GateBiases biases;
  const float* first_cell;  ///< FirstCells::cell
  float* squashed;          ///< tanh(forget * first_cell + input * candidate)
  float* state;             ///< output * squashed
};
void second_cells(std::size_t count, const SecondCells& unit) noexcept;

/// Gradients of the second step: of what came into its gates, and of the first cell.
struct SecondSlopes {
  const float* by_state;
  Gates gates;  ///< as second_cells left them
  const float *first_cell, *squashed;
  Gates by_gates;
  float* by_first_cell;
};
void second_slopes(std::size_t count, const SecondSlopes& unit) noexcept;

/// Gradients of the first step, of what came into its gates but for the forget gate's.
struct FirstSlopes {
  const float *by_state, *by_cell;  ///< by_cell: SecondSlopes::by_first_cell
  Gates gates;                      ///< as first_cells left them
  const float* squashed;
  Gates by_gates;
};
void first_slopes(std::size_t count, const FirstSlopes& unit) noexcept;

}  // namespace imagerank::reward
