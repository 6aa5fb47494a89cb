#pragma once

#include <cstddef>

namespace imagerank::reward {

// What an LSTM of two steps does between its products, for rows of `hidden` numbers; all float32. A row of gates is
// [4 * hidden], i, f, g, o one after the other: first what comes into their sigmoid (i, f, o) or tanh (g), then what
// comes out of it, in place. Sigmoid is within 2e-7, tanh within 3e-7 of themselves.

/// The first step, whose cell was 0: its forget gate is not looked at.
struct FirstCells {
  float* gates;     ///< in place
  float* cell;      ///< i * g
  float* squashed;  ///< tanh(cell)
  float* state;     ///< o * tanh(cell)
};
void first_cells(std::size_t hidden, const FirstCells& row) noexcept;

/// The second step.
struct SecondCells {
  float* gates;             ///< in place
  const float* first_cell;  ///< FirstCells::cell
  float* squashed;          ///< tanh(f * first_cell + i * g)
  float* state;             ///< o * squashed
};
void second_cells(std::size_t hidden, const SecondCells& row) noexcept;

/// Gradients of the second step: of what came into its gates, and of the first cell.
struct SecondSlopes {
  const float* by_state;
  const float *gates, *first_cell, *squashed;  ///< as second_cells left them
  float* by_gates;
  float* by_first_cell;
};
void second_slopes(std::size_t hidden, const SecondSlopes& row) noexcept;

/// Gradients of the first step, of what came into its gates; the forget gate's is 0.
struct FirstSlopes {
  const float *by_state, *by_cell;  ///< by_cell: SecondSlopes::by_first_cell
  const float *gates, *squashed;    ///< as first_cells left them
  float* by_gates;
};
void first_slopes(std::size_t hidden, const FirstSlopes& row) noexcept;

}  // namespace imagerank::reward
