#include "reward/wide_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "kernels/matmul.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

using kernels::Format;
using kernels::kPanelColumns;
using kernels::MatrixView;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::size_t extent(const at::Tensor& tensor, std::int64_t dimension) {
  return static_cast<std::size_t>(tensor.size(dimension));
}

MatrixView view(const at::Tensor& matrix) {
  return {matrix.data_ptr<float>(), extent(matrix, 0), extent(matrix, 1), static_cast<std::size_t>(matrix.stride(0))};
}

/// Memory that kernels pack into.
at::Tensor bytes(std::size_t count) { return at::empty({static_cast<std::int64_t>(count)}, at::kByte); }
std::byte* begin_of(const at::Tensor& memory) { return reinterpret_cast<std::byte*>(memory.data_ptr<std::uint8_t>()); }

/// Calls work(begin, end) for parts of [0, count).
template <typename Work>
void share_range(std::size_t count, double microseconds, const Work& work) {
  share(microseconds, [&](std::size_t piece) {
    const std::size_t begin = count * piece / WorkCrew::kPieces, end = count * (piece + 1) / WorkCrew::kPieces;
    if (begin < end) work(begin, end);
  });
}

thread_local Format current_format = Format::kFp32;

/// a b over the kernels' tiles, the numbers rounded to the format and their sums float32. Every number is the same sum
/// whoever takes it.
class Product {
 public:
  /// @param b  [depth, columns], or its transpose.
  Product(Format format, const MatrixView& a, const MatrixView& b, bool transposed)
      : kernels_(*product_kernels()),
        format_(format),
        a_(a),
        b_(b),
        transposed_(transposed),
        panels_(((transposed ? b.rows : b.columns) + kPanelColumns - 1) / kPanelColumns),
        panel_bytes_(kernels::panel_bytes(a.columns, format_)),
        block_(kernels_, format_, a.columns) {}

  /// Calls finish(first row, height, first column, tile) for each tile; the last columns may be beyond b's.
  template <typename Finish>
  void run(const Finish& finish) const {
    const std::size_t height = kernels_.tile(format_).height, tiles = (a_.rows + height - 1) / height;
    if (tiles < panels_) {  // shared by panels, which need not wait for all to be packed
      share_range(panels_, sums_time(), [&](std::size_t begin, std::size_t end) {
        const at::Tensor panels = bytes((end - begin) * panel_bytes_);
        pack(begin, end, begin_of(panels));
        multiply(0, a_.rows, begin_of(panels), begin, end, finish);
      });
      return;
    }
    const at::Tensor panels = bytes(panels_ * panel_bytes_);
    share_range(panels_, pack_time(),
                [&](std::size_t begin, std::size_t end) { pack(begin, end, begin_of(panels) + begin * panel_bytes_); });
    share_range(tiles, sums_time(), [&](std::size_t begin, std::size_t end) {
      multiply(begin * height, std::min(end * height, a_.rows), begin_of(panels), 0, panels_, finish);
    });
  }

 private:
  // Microseconds on one thread, about.
  [[nodiscard]] double sums_time() const {
    constexpr double kOfASum = 1e-5;
    return kOfASum * static_cast<double>(a_.rows * a_.columns * panels_ * kPanelColumns);
  }
  [[nodiscard]] double pack_time() const {
    constexpr double kOfANumber = 1.5e-4;
    return kOfANumber * static_cast<double>(b_.rows * b_.columns);
  }

  void pack(std::size_t first, std::size_t last, std::byte* out) const {
    const at::Tensor scratch = bytes(transposed_ ? panel_bytes_ : 0);
    for (std::size_t panel = first; panel < last; ++panel, out += panel_bytes_) {
      if (transposed_) {
        pack_panel_of_transposed(kernels_, format_, b_, panel * kPanelColumns, out, begin_of(scratch));
      } else {
        pack_panel(kernels_, format_, b_, panel * kPanelColumns, out);
      }
    }
  }

  /// Rows [begin, end) times panels [first, last), packed at `panels`.
  template <typename Finish>
  void multiply(std::size_t begin, std::size_t end, const std::byte* panels, std::size_t first, std::size_t last,
                const Finish& finish) const {
    const at::Tensor scratch = bytes(block_.bytes());
    multiply_rows(kernels_, format_, a_, begin, end - begin, panels, last - first, block_, begin_of(scratch),
                  [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                    finish(row, height, first * kPanelColumns + column, tile);
                  });
  }

  const kernels::Kernels& kernels_;
  Format format_;
  MatrixView a_, b_;
  bool transposed_;
  std::size_t panels_, panel_bytes_;
  kernels::RowBlock block_;
};

/// a b.
at::Tensor product(Format format, const at::Tensor& a, const at::Tensor& b) {
  if (!product_kernels()) return at::mm(a, b);
  const at::Tensor left = a.contiguous(), right = b.contiguous();
  at::Tensor result = at::empty({a.size(0), b.size(1)}, a.options());
  auto* const out = result.data_ptr<float>();
  const std::size_t columns = extent(result, 1);
  Product(format, view(left), view(right), false)
      .run([&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
        float* const to = out + row * columns + column;
        if (column + kPanelColumns <= columns) {
          product_kernels()->rows.store(tile, height, kernels::kNoBias.data(), to, columns);
          return;
        }
        for (std::size_t r = 0; r < height; ++r) {
          std::copy_n(tile + r * kPanelColumns, columns - column, to + r * columns);
        }
      });
  return result;
}

class WideLinear : public torch::autograd::Function<WideLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias) {
    context->save_for_backward({input, weight});
    return wide_product(input, weight, bias);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1];
    const at::Tensor by_output = gradients[0].contiguous();
    at::Tensor by_input;
    if (context->needs_input_grad(0)) by_input = product(current_format, by_output, weight);
    return {by_input, product(current_format, by_output.t(), input), by_output.sum(0)};
  }
};

}  // namespace

ProductsIn::ProductsIn(Format format) noexcept : outer_(std::exchange(current_format, format)) {}
ProductsIn::~ProductsIn() { current_format = outer_; }

Format products_format() noexcept { return current_format; }

const std::optional<kernels::Kernels>& product_kernels() {
  static const std::optional<kernels::Kernels> kKernels = kernels::find_kernels();
  return kKernels;
}

at::Tensor wide_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  return WideLinear::apply(input, weight, bias);
}

at::Tensor wide_product(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  if (!product_kernels()) return at::addmm(bias, input, weight.t());
  const at::Tensor left = weight.contiguous(), right = input.contiguous(), added = bias.contiguous();
  at::Tensor result = at::empty({input.size(0), weight.size(0)}, input.options());
  auto* const out = result.data_ptr<float>();
  const float* const plus = added.data_ptr<float>();
  const std::size_t outputs = extent(weight, 0), rows = extent(input, 0);
  // The weights are rows as they lie, and few columns of input are packed instead of many of weights.
  Product(current_format, view(left), view(right), true)
      .run([&](std::size_t output, std::size_t height, std::size_t first, const float* tile) {
        for (std::size_t c = 0; c < kPanelColumns && first + c < rows; ++c) {
          float* const to = out + (first + c) * outputs + output;
          for (std::size_t r = 0; r < height; ++r) to[r] = tile[r * kPanelColumns + c] + plus[output + r];
        }
      });
  return result;
}

}  // namespace imagerank::reward
