#include "reward/lstm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "kernels/matmul.h"
#include "reward/lstm_cells.h"
#include "reward/wide_linear.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

using kernels::Format;
using kernels::kPanelColumns;
using kernels::MatrixView;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::size_t kGates = 4;
/// The weights' gates are i, f, g, o; ours i, g, o, f: what the first step does without is last.
constexpr std::array<std::size_t, kGates> kGateOf = {0, 2, 3, 1};
constexpr std::size_t kFirstGates = 3;

std::size_t extent(const at::Tensor& tensor, std::int64_t dimension) {
  return static_cast<std::size_t>(tensor.size(dimension));
}
at::Tensor floats(std::size_t count) { return at::empty({static_cast<std::int64_t>(count)}, at::kFloat); }

/// Memory that kernels pack into.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : memory_(at::empty({static_cast<std::int64_t>(bytes)}, at::kByte)) {}
  [[nodiscard]] std::byte* begin() const { return reinterpret_cast<std::byte*>(memory_.data_ptr<std::uint8_t>()); }

 private:
  at::Tensor memory_;
};

/// What both passes are over. All between the products lies by units, [unit, batch]: a thread that has some units'
/// gates has all that their cells need, so that products and cells are one piece of work; and what one pass leaves is
/// what the next multiplies, without a transpose.
struct Sizes {
  std::size_t batch, dim, hidden;
  std::size_t columns;  ///< the batch in whole panels; what is beyond it is finite

  Sizes(const at::Tensor& input, const at::Tensor& state_weight)
      : batch(extent(input, 0)),
        dim(extent(input, 1) / 2),
        hidden(extent(state_weight, 1)),
        columns(kernels::round_up(batch, kPanelColumns)) {}
  [[nodiscard]] std::size_t batch_panels() const noexcept { return columns / kPanelColumns; }
  [[nodiscard]] std::size_t input_panels() const noexcept { return (dim + kPanelColumns - 1) / kPanelColumns; }
  [[nodiscard]] std::size_t state_panels() const noexcept { return (hidden + kPanelColumns - 1) / kPanelColumns; }
  /// Sums of a product over both steps' inputs, microseconds.
  [[nodiscard]] double input_time() const noexcept {
    constexpr double kOfASum = 1e-5;
    return kOfASum * static_cast<double>(2 * kGates * hidden * batch * dim);
  }
  /// Of a step's cells and product with the state.
  [[nodiscard]] double state_time() const noexcept {
    constexpr double kOfACell = 4e-3, kOfASum = 1e-5;
    const auto cells = static_cast<double>(batch * hidden);
    return cells * (kOfACell + kOfASum * static_cast<double>(kGates * hidden));
  }
  [[nodiscard]] double pack_time() const noexcept {
    constexpr double kOfANumber = 1.5e-4;
    return kOfANumber * static_cast<double>(2 * batch * dim);
  }
};

/// Units [begin, begin + count) and their gates: rows [gate, unit] in our order, `rows_begin()` rows after the start of
/// all.
struct Units {
  std::size_t begin, count;
  std::size_t piece;  ///< of WorkCrew::kPieces
  [[nodiscard]] std::size_t rows() const noexcept { return kGates * count; }
  [[nodiscard]] std::size_t rows_begin() const noexcept { return kGates * begin; }
};

/// Calls work(units) for each piece of all units; they may run at once. Cut so that their rows are whole tiles; some
/// may have none.
template <typename Work>
void share_units(const Sizes& sizes, const kernels::Tile& tile, double microseconds, const Work& work) {
  const std::size_t unit = tile.height / std::gcd(tile.height, kGates);
  const auto edge = [&](std::size_t i) {
    return std::min(sizes.hidden, kernels::round_up(sizes.hidden * i / WorkCrew::kPieces, unit));
  };
  share(microseconds, [&](std::size_t piece) { work(Units{edge(piece), edge(piece + 1) - edge(piece), piece}); });
}

/// work(first, number) for runs of rows [first, first + count) of `own` that are of one gate.
template <typename Work>
void for_each_gate(const Units& own, std::size_t first, std::size_t count, const Work& work) {
  for (std::size_t row = first; row < first + count;) {
    const std::size_t number = std::min(own.count - row % own.count, first + count - row);
    work(row, number);
    row += number;
  }
}

/// Row of the weights that is row `row` of `own`.
std::size_t weight_row(const Sizes& sizes, const Units& own, std::size_t row) {
  return kGateOf[row / own.count] * sizes.hidden + own.begin + row % own.count;
}

/// Products whose left rows are gates of some units.
class GateProducts {
 public:
  /// @param depth  of the left rows.
  GateProducts(const kernels::Kernels& kernels, Format format, std::size_t depth)
      : kernels_(kernels), format_(format), block_(kernels, format, depth), scratch_(block_.bytes()) {}

  [[nodiscard]] std::size_t block_rows() const noexcept { return block_.rows(); }
  /// Takes the weights' rows for `count` rows of `own`, at most block_rows().
  void take_weights(const MatrixView& weights, const Sizes& sizes, const Units& own, std::size_t first,
                    std::size_t count) const {
    for_each_gate(own, first, count, [&](std::size_t row, std::size_t number) {
      block_.pack(kernels_, format_, weights, weight_row(sizes, own, row), number,
                  scratch_.begin() + (row - first) * block_.stride());
    });
  }
  void take(const MatrixView& rows, std::size_t first, std::size_t count) const {
    block_.pack(kernels_, format_, rows, first, count, scratch_.begin());
  }
  /// Calls finish(row, height, panel, tile) for tiles of rows [first, first + count) of those taken.
  template <typename Finish>
  void multiply(std::size_t first, std::size_t count, const kernels::Panels& right, std::size_t panels,
                const Finish& finish) const {
    const kernels::TileRows rows{block_.begin(scratch_.begin()) + first * block_.stride(), block_.stride(), count};
    run_panels(kernels_.tile(format_), rows, right, 0, panels, kernels::RowBlock::sums(scratch_.begin()),
               [&](std::size_t row, std::size_t height, std::size_t panel, float* tile) {
                 finish(first + row, height, panel, tile);
               });
  }

 private:
  const kernels::Kernels& kernels_;
  Format format_;
  kernels::RowBlock block_;
  Scratch scratch_;
};

/// Panels of `depth` numbers, padded, one behind the other.
kernels::Panels panels_of(const std::byte* first, std::size_t depth, Format format) {
  return {first, kernels::panel_bytes(depth, format),
          kernels::padded_depth(depth, format) * kernels::bytes_of(format) / kernels::kStepBytes};
}

/// What a forward pass leaves for the backward pass, each [hidden, columns], gates [rows of units, columns].
struct Kept {
  float *gates1, *gates2, *cell1, *squashed1, *state1, *squashed2;

  static std::size_t size(const Sizes& sizes) { return (2 * kGates + 4) * sizes.hidden * sizes.columns; }
  Kept(const at::Tensor& memory, const Sizes& sizes) {
    auto* next = memory.data_ptr<float>();
    const auto take = [&](std::size_t count) {
      return std::exchange(next, next + count * sizes.hidden * sizes.columns);
    };
    gates1 = take(kGates);
    gates2 = take(kGates);
    cell1 = take(1);
    squashed1 = take(1);
    state1 = take(1);
    squashed2 = take(1);
  }
};

/// Gates of unit `own.begin + unit`. @param stride  between their rows.
Gates gates_of(float* gates, std::size_t stride, const Units& own, std::size_t unit) {
  const auto row = [&](std::size_t gate) { return gates + (own.rows_begin() + gate * own.count + unit) * stride; };
  return {row(0), row(1), row(2), row(3)};
}

class Forward {
 public:
  Forward(const kernels::Kernels& kernels, const Sizes& sizes, const at::Tensor& memory)
      : kernels_(kernels), sizes_(sizes), kept_(memory, sizes) {}

  /// @return [hidden, columns].
  [[nodiscard]] at::Tensor run(const at::Tensor& input, const LstmWeights& weights) const {
    const Format format = products_format();
    const Scratch panels(2 * sizes_.batch_panels() * kernels::panel_bytes(sizes_.dim, format));
    pack_input(format, input.data_ptr<float>(), panels.begin());
    share_units(sizes_, kernels_.tile(format), sizes_.input_time(), [&](const Units& own) {
      multiply_input(format, weights.input_weight.data_ptr<float>(), panels.begin(), own);
      for (std::size_t unit = 0; unit < own.count; ++unit) first_step(weights, own, unit);
    });
    const at::Tensor states = floats(sizes_.hidden * sizes_.columns);
    share_units(sizes_, kernels_.tile(Format::kFp32), sizes_.state_time(), [&](const Units& own) {
      multiply_state(weights.state_weight.data_ptr<float>(), own);
      for (std::size_t unit = 0; unit < own.count; ++unit) second_step(weights, own, unit, states.data_ptr<float>());
    });
    return states;
  }

 private:
  /// Panels of the batch's columns, the first step's, then the second's.
  void pack_input(Format format, const float* input, std::byte* panels) const {
    const std::size_t bytes = kernels::panel_bytes(sizes_.dim, format), count = 2 * sizes_.batch_panels();
    share(sizes_.pack_time(), [&](std::size_t piece) {
      const Scratch scratch(bytes);
      for (std::size_t i = count * piece / WorkCrew::kPieces; i < count * (piece + 1) / WorkCrew::kPieces; ++i) {
        const std::size_t step = i / sizes_.batch_panels(), panel = i % sizes_.batch_panels();
        pack_panel_of_transposed(kernels_, format,
                                 {input + step * sizes_.dim, sizes_.batch, sizes_.dim, 2 * sizes_.dim},
                                 panel * kPanelColumns, panels + i * bytes, scratch.begin());
      }
    });
  }

  void multiply_input(Format format, const float* weight, const std::byte* panels, const Units& own) const {
    const GateProducts products(kernels_, format, sizes_.dim);
    const MatrixView weights{weight, kGates * sizes_.hidden, sizes_.dim, sizes_.dim};
    const auto store_to = [&](float* gates, std::size_t first) {
      return [=, this](std::size_t row, std::size_t height, std::size_t panel, const float* tile) {
        kernels_.rows.store(tile, height, kernels::kNoBias.data(),
                            gates + (own.rows_begin() + first + row) * sizes_.columns + panel * kPanelColumns,
                            sizes_.columns);
      };
    };
    const std::size_t first_rows = kFirstGates * own.count, of_a_step = sizes_.batch_panels();
    const kernels::Panels step1 = panels_of(panels, sizes_.dim, format);
    const kernels::Panels step2 = panels_of(panels + of_a_step * step1.bytes, sizes_.dim, format);
    for (std::size_t first = 0; first < own.rows(); first += products.block_rows()) {
      const std::size_t count = std::min(products.block_rows(), own.rows() - first);
      products.take_weights(weights, sizes_, own, first, count);
      if (first < first_rows) {
        products.multiply(0, std::min(count, first_rows - first), step1, of_a_step, store_to(kept_.gates1, first));
      }
      products.multiply(0, count, step2, of_a_step, store_to(kept_.gates2, first));
    }
  }

  void multiply_state(const float* weight, const Units& own) const {
    const GateProducts products(kernels_, Format::kFp32, sizes_.hidden);
    const Scratch panel(kernels::panel_bytes(sizes_.hidden, Format::kFp32));
    const MatrixView states{kept_.state1, sizes_.hidden, sizes_.columns, sizes_.columns};
    const MatrixView weights{weight, kGates * sizes_.hidden, sizes_.hidden, sizes_.hidden};
    for (std::size_t first = 0; first < own.rows(); first += products.block_rows()) {
      const std::size_t count = std::min(products.block_rows(), own.rows() - first);
      products.take_weights(weights, sizes_, own, first, count);
      for (std::size_t column = 0; column < sizes_.columns; column += kPanelColumns) {
        pack_panel(kernels_, Format::kFp32, states, column, panel.begin());
        products.multiply(0, count, panels_of(panel.begin(), sizes_.hidden, Format::kFp32), 1,
                          [&](std::size_t row, std::size_t height, std::size_t, const float* tile) {
                            float* const to = kept_.gates2 + (own.rows_begin() + first + row) * sizes_.columns + column;
                            kernels_.rows.add(tile, height, kernels::kNoBias.data(), to, sizes_.columns);
                          });
      }
    }
  }

  [[nodiscard]] GateBiases biases_of(const LstmWeights& weights, std::size_t unit) const {
    const auto bias = [&](std::size_t gate) {
      const std::size_t row = kGateOf[gate] * sizes_.hidden + unit;
      return weights.input_bias.data_ptr<float>()[row] + weights.state_bias.data_ptr<float>()[row];
    };
    return {bias(0), bias(1), bias(2), bias(3)};
  }
  void first_step(const LstmWeights& weights, const Units& own, std::size_t unit) const {
    const std::size_t at = (own.begin + unit) * sizes_.columns;
    first_cells(sizes_.columns,
                {gates_of(kept_.gates1, sizes_.columns, own, unit), biases_of(weights, own.begin + unit),
                 kept_.cell1 + at, kept_.squashed1 + at, kept_.state1 + at});
  }
  void second_step(const LstmWeights& weights, const Units& own, std::size_t unit, float* states) const {
    const std::size_t at = (own.begin + unit) * sizes_.columns;
    second_cells(sizes_.columns,
                 {gates_of(kept_.gates2, sizes_.columns, own, unit), biases_of(weights, own.begin + unit),
                  kept_.cell1 + at, kept_.squashed2 + at, states + at});
  }

  const kernels::Kernels& kernels_;
  const Sizes& sizes_;
  Kept kept_;
};

struct Gradients {
  at::Tensor input_weight, state_weight, input_bias, state_bias;
};

class Backward {
 public:
  Backward(const kernels::Kernels& kernels, const Sizes& sizes, const at::Tensor& memory)
      : kernels_(kernels),
        sizes_(sizes),
        kept_(memory, sizes),
        memory_(floats((2 * kGates + 2) * sizes.hidden * sizes.columns)),
        by_gates_(memory_.data_ptr<float>()),
        by_cell1_(by_gates_ + 2 * kGates * sizes.hidden * sizes.columns),
        by_state_(by_cell1_ + sizes.hidden * sizes.columns) {}

  void run(const at::Tensor& by_state2, const at::Tensor& input, const at::Tensor& state_weight,
           const Gradients& gradients) const {
    const Format format = products_format();
    const std::size_t depth = kernels::padded_depth(kGates * sizes_.hidden, Format::kFp32);
    const Scratch inputs(sizes_.input_panels() * kernels::panel_bytes(2 * sizes_.columns, format));
    const Scratch panels(sizes_.batch_panels() * kernels::panel_bytes(depth, Format::kFp32));
    const at::Tensor transposed = floats(sizes_.hidden * depth);
    const double before = sizes_.pack_time() + sizes_.state_time();
    share_units(sizes_, kernels_.tile(Format::kFp32), before, [&](const Units& own) {
      pack_inputs(format, input.data_ptr<float>(), own.piece, inputs.begin());
      take_state(by_state2, own);
      for (std::size_t unit = 0; unit < own.count; ++unit) second_step(own, unit);
      pack_gates(own, reinterpret_cast<float*>(panels.begin()));
      transpose_weight(state_weight.data_ptr<float>(), own, depth, transposed.data_ptr<float>());
    });
    share_units(sizes_, kernels_.tile(format), sizes_.input_time() + sizes_.state_time(), [&](const Units& own) {
      multiply_gates({transposed.data_ptr<float>(), sizes_.hidden, kGates * sizes_.hidden, depth}, panels.begin(), own);
      for (std::size_t unit = 0; unit < own.count; ++unit) first_step(own, unit);
      sum_biases(own, gradients.input_bias.data_ptr<float>(), gradients.state_bias.data_ptr<float>());
      weigh_states(own, gradients.state_weight.data_ptr<float>());
      weigh_inputs(format, own, inputs.begin(), gradients.input_weight.data_ptr<float>());
    });
  }

 private:
  /// A piece of the panels of both steps' inputs.
  void pack_inputs(Format format, const float* input, std::size_t piece, std::byte* inputs) const {
    const std::size_t all = sizes_.input_panels();
    for (std::size_t i = all * piece / WorkCrew::kPieces; i < all * (piece + 1) / WorkCrew::kPieces; ++i) {
      pack_panel_of_inputs(format, input, i, inputs);
    }
  }
  /// The second step's rows, then the first's: the order of by_gates.
  void pack_panel_of_inputs(Format format, const float* input, std::size_t panel, std::byte* inputs) const {
    const std::size_t half = kernels::panel_bytes(sizes_.columns, format);
    const std::size_t used = kernels::panel_bytes(sizes_.batch, format);
    std::byte* const to = inputs + 2 * panel * half;
    for (std::size_t i = 0; i < 2; ++i) {
      const float* const from = input + (1 - i) * sizes_.dim;
      pack_panel(kernels_, format, {from, sizes_.batch, sizes_.dim, 2 * sizes_.dim}, panel * kPanelColumns,
                 to + i * half);
      std::memset(to + i * half + used, 0, half - used);
    }
  }

  /// [batch, hidden], however it lies, to [unit, batch]; beyond the batch 0.
  void take_state(const at::Tensor& by_state2, const Units& own) const {
    const std::int64_t stride = by_state2.stride(0);
    for (std::size_t unit = own.begin; unit < own.begin + own.count; ++unit) {
      const float* from = by_state2.data_ptr<float>() + static_cast<std::int64_t>(unit) * by_state2.stride(1);
      float* const to = by_state_ + unit * sizes_.columns;
      for (std::size_t i = 0; i < sizes_.batch; ++i, from += stride) to[i] = *from;
      std::fill(to + sizes_.batch, to + sizes_.columns, 0.0F);
    }
  }

  /// Rows of all units' gates of the second step as float32 panels: a panel is its rows, one after the other.
  void pack_gates(const Units& own, float* panels) const {
    const std::size_t depth = kernels::padded_depth(kGates * sizes_.hidden, Format::kFp32);
    const std::size_t begin = own.rows_begin(), end = begin + own.rows();
    for (std::size_t panel = 0; panel < sizes_.batch_panels(); ++panel) {
      float* const to = panels + panel * depth * kPanelColumns;
      for (std::size_t row = begin; row < end; ++row) {
        std::copy_n(by_gates_ + row * 2 * sizes_.columns + panel * kPanelColumns, kPanelColumns,
                    to + row * kPanelColumns);
      }
      if (own.count > 0 && end == kGates * sizes_.hidden)
        std::fill(to + end * kPanelColumns, to + depth * kPanelColumns, 0.0F);
    }
  }

  /// Their rows of the weights become columns of `transposed` [hidden, depth].
  void transpose_weight(const float* weight, const Units& own, std::size_t depth, float* transposed) const {
    constexpr std::size_t kBlock = 16;  // columns that stay in the first cache
    for (std::size_t column = 0; column < sizes_.hidden; column += kBlock) {
      const std::size_t count = std::min(kBlock, sizes_.hidden - column);
      for (std::size_t row = 0; row < own.rows(); ++row) {
        const float* const from = weight + weight_row(sizes_, own, row) * sizes_.hidden + column;
        float* const to = transposed + column * depth + own.rows_begin() + row;
        for (std::size_t i = 0; i < count; ++i) to[i * depth] = from[i];
      }
    }
  }

  /// by_state_ of the first step.
  void multiply_gates(const MatrixView& transposed, const std::byte* panels, const Units& own) const {
    const GateProducts products(kernels_, Format::kFp32, transposed.columns);
    for (std::size_t first = own.begin; first < own.begin + own.count; first += products.block_rows()) {
      const std::size_t count = std::min(products.block_rows(), own.begin + own.count - first);
      products.take(transposed, first, count);
      products.multiply(0, count, panels_of(panels, transposed.columns, Format::kFp32), sizes_.batch_panels(),
                        [&](std::size_t row, std::size_t height, std::size_t panel, const float* tile) {
                          float* const to = by_state_ + (first + row) * sizes_.columns + panel * kPanelColumns;
                          kernels_.rows.store(tile, height, kernels::kNoBias.data(), to, sizes_.columns);
                        });
    }
  }

  void second_step(const Units& own, std::size_t unit) const {
    const std::size_t at = (own.begin + unit) * sizes_.columns;
    second_slopes(sizes_.columns,
                  {by_state_ + at, gates_of(kept_.gates2, sizes_.columns, own, unit), kept_.cell1 + at,
                   kept_.squashed2 + at, gates_of(by_gates_, 2 * sizes_.columns, own, unit), by_cell1_ + at});
  }
  void first_step(const Units& own, std::size_t unit) const {
    const std::size_t at = (own.begin + unit) * sizes_.columns;
    first_slopes(sizes_.columns,
                 {by_state_ + at, by_cell1_ + at, gates_of(kept_.gates1, sizes_.columns, own, unit),
                  kept_.squashed1 + at, gates_of(by_gates_ + sizes_.columns, 2 * sizes_.columns, own, unit)});
  }

  void sum_biases(const Units& own, float* by_input_bias, float* by_state_bias) const {
    for (std::size_t row = 0; row < own.rows(); ++row) {
      const float* const by_gate = by_gates_ + (own.rows_begin() + row) * 2 * sizes_.columns;
      const bool both = row < kFirstGates * own.count;
      const float sum = sum_of(by_gate) + (both ? sum_of(by_gate + sizes_.columns) : 0.0F);
      const std::size_t to = weight_row(sizes_, own, row);
      by_input_bias[to] = by_state_bias[to] = sum;
    }
  }
  /// Over the columns; eight sums side by side, always in this order.
  [[nodiscard]] float sum_of(const float* x) const {
    std::array<float, 8> sums{};
    for (std::size_t i = 0; i < sizes_.columns; i += 8) {
      for (std::size_t j = 0; j < 8; ++j) sums[j] += x[i + j];
    }
    return std::accumulate(sums.begin(), sums.end(), 0.0F);
  }

  void weigh_states(const Units& own, float* gradient) const {
    const Scratch panels(sizes_.state_panels() * kernels::panel_bytes(sizes_.batch, Format::kFp32));
    const Scratch scratch(kernels::panel_bytes(sizes_.batch, Format::kFp32));
    const kernels::Panels right = panels_of(panels.begin(), sizes_.batch, Format::kFp32);
    for (std::size_t panel = 0; panel < sizes_.state_panels(); ++panel) {
      pack_panel_of_transposed(kernels_, Format::kFp32, {kept_.state1, sizes_.hidden, sizes_.batch, sizes_.columns},
                               panel * kPanelColumns, panels.begin() + panel * right.bytes, scratch.begin());
    }
    weigh(Format::kFp32, own, {0, own.rows()}, sizes_.batch, right, sizes_.hidden, gradient);
  }

  void weigh_inputs(Format format, const Units& own, const std::byte* inputs, float* gradient) const {
    kernels::Panels right = panels_of(inputs, 2 * sizes_.columns, format);
    weigh(format, own, {0, kFirstGates * own.count}, 2 * sizes_.columns, right, sizes_.dim, gradient);
    right.steps /= 2;  // the first step does without
    weigh(format, own, {kFirstGates * own.count, own.count}, sizes_.columns, right, sizes_.dim, gradient);
  }

  /// The gradient of a weight [4 hidden, columns]: rows of `own` over the first `depth` of their columns.
  void weigh(Format format, const Units& own, const Piece& rows, std::size_t depth, const kernels::Panels& right,
             std::size_t columns, float* gradient) const {
    const GateProducts products(kernels_, format, depth);
    const MatrixView by_gates{by_gates_ + own.rows_begin() * 2 * sizes_.columns, own.rows(), depth, 2 * sizes_.columns};
    for (std::size_t first = rows.begin; first < rows.begin + rows.count; first += products.block_rows()) {
      const std::size_t count = std::min(products.block_rows(), rows.begin + rows.count - first);
      products.take(by_gates, first, count);
      products.multiply(0, count, right, (columns + kPanelColumns - 1) / kPanelColumns,
                        [&](std::size_t row, std::size_t height, std::size_t panel, const float* tile) {
                          store(own, first + row, height, panel * kPanelColumns, tile, columns, gradient);
                        });
    }
  }

  /// A tile of rows of `own` to rows of the weights.
  void store(const Units& own, std::size_t first, std::size_t height, std::size_t column, const float* tile,
             std::size_t columns, float* gradient) const {
    for_each_gate(own, first, height, [&](std::size_t row, std::size_t number) {
      float* const to = gradient + weight_row(sizes_, own, row) * columns + column;
      const float* const from = tile + (row - first) * kPanelColumns;
      if (column + kPanelColumns <= columns) {
        kernels_.rows.store(from, number, kernels::kNoBias.data(), to, columns);
        return;
      }
      for (std::size_t r = 0; r < number; ++r) {
        std::copy_n(from + r * kPanelColumns, columns - column, to + r * columns);
      }
    });
  }

  const kernels::Kernels& kernels_;
  const Sizes& sizes_;
  Kept kept_;
  at::Tensor memory_;
  float* by_gates_;  ///< [rows of units, 2 columns]: the second step's, then the first's
  float* by_cell1_;  ///< [hidden, columns]
  float* by_state_;  ///< of the second step, then of the first
};

class TwoStepLstm : public torch::autograd::Function<TwoStepLstm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& input_weight,
                            const at::Tensor& state_weight, const at::Tensor& input_bias,
                            const at::Tensor& state_bias) {
    const Sizes sizes(input, state_weight);
    const at::Tensor rows = input.contiguous(), memory = floats(Kept::size(sizes));
    const LstmWeights weights{input_weight.contiguous(), state_weight.contiguous(), input_bias.contiguous(),
                              state_bias.contiguous()};
    const at::Tensor states = Forward(*product_kernels(), sizes, memory).run(rows, weights);
    context->save_for_backward({rows, input_weight, weights.state_weight, memory});
    const auto columns = static_cast<std::int64_t>(sizes.columns);
    return states.as_strided({input.size(0), state_weight.size(1)}, {1, columns});
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &input_weight = saved[1], &state_weight = saved[2], &memory = saved[3];
    const Sizes sizes(input, state_weight);
    const auto bias = [&] { return floats(kGates * sizes.hidden); };
    const Gradients found{at::empty(input_weight.sizes(), at::kFloat), at::empty(state_weight.sizes(), at::kFloat),
                          bias(), bias()};
    Backward(*product_kernels(), sizes, memory).run(gradients[0], input, state_weight, found);
    return {at::Tensor(), found.input_weight, found.state_weight, found.input_bias, found.state_bias};
  }
};

}  // namespace

at::Tensor two_step_lstm(const at::Tensor& input, const LstmWeights& weights) {
  if (input.scalar_type() != at::kFloat || !product_kernels()) return two_step_lstm_reference(input, weights);
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
