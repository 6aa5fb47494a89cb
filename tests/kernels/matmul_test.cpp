#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/buffer.h"
#include "support/amx_emulation.h"

namespace imagerank::kernels {
namespace {

/// Rows further apart than they are long, what is between them NaN: nobody may read it.
struct Matrix {
  std::size_t rows, columns, stride;
  std::vector<float> numbers;

  Matrix(std::size_t row_count, std::size_t column_count, unsigned seed)
      : rows(row_count),
        columns(column_count),
        stride(column_count + 5),
        numbers(row_count * stride, std::numeric_limits<float>::quiet_NaN()) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) numbers[r * stride + c] = normal(random);
    }
  }
  [[nodiscard]] MatrixView view() const { return {numbers.data(), rows, columns, stride}; }
  [[nodiscard]] float at(std::size_t r, std::size_t c) const { return numbers[r * stride + c]; }
};

class MatmulOf : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    const auto kernels = test::kernels_named(GetParam());
    if (!kernels) GTEST_SKIP() << "this CPU has no " << GetParam();
    kernels_ = *kernels;
  }

  /// Rows [first, first + count) of a b, or of a b^T, through panels.
  std::vector<float> multiplied(Format format, const Matrix& a, const Matrix& b, bool transposed, std::size_t first,
                                std::size_t count) const {
    const std::size_t columns = transposed ? b.rows : b.columns;
    const std::size_t panels = (columns + kPanelColumns - 1) / kPanelColumns, size = panel_bytes(a.columns, format);
    const Buffer packed(panels * size), spare(size);
    for (std::size_t panel = 0; panel < panels; ++panel) {
      std::byte* const out = packed.data() + panel * size;
      std::memset(out, 0xff, size);  // NaN: all of it must be written
      if (transposed) {
        pack_panel_of_transposed(kernels_, format, b.view(), panel * kPanelColumns, out, spare.data());
      } else {
        pack_panel(kernels_, format, b.view(), panel * kPanelColumns, out);
      }
    }
    const RowBlock block(kernels_, format, a.columns);
    const Buffer scratch(block.bytes());
    std::vector<float> result(count * columns, -1.0F);
    multiply_rows(kernels_, format, a.view(), first, count, packed.data(), panels, block, scratch.data(),
                  [&](std::size_t row, std::size_t height, std::size_t column, const float* tile) {
                    for (std::size_t r = 0; r < height; ++r) {
                      for (std::size_t c = 0; c < kPanelColumns && column + c < columns; ++c) {
                        result[(row - first + r) * columns + column + c] = tile[r * kPanelColumns + c];
                      }
                    }
                  });
    return result;
  }

  Kernels kernels_{};
};

INSTANTIATE_TEST_SUITE_P(Levels, MatmulOf, testing::ValuesIn(test::kKernelNames),
                         [](const auto& kernels) { return std::string(kernels.param); });

float rounded(Format format, float value) {
  if (format == Format::kFp32) return value;
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat16_from_float(value)) << 16);
}

TEST_P(MatmulOf, IsPlainLoopsOverRoundedNumbers) {
  struct Shape {
    std::size_t rows, depth, columns;
  };
  for (const Format format : {Format::kFp32, Format::kBf16}) {
    for (const Shape& shape :
         {Shape{1, 1, 1}, {3, 17, 33}, {14, 64, 32}, {65, 100, 31}, {300, 48, 70}, {40, 2048, 64}}) {
      for (const bool transposed : {false, true}) {
        const Matrix a(shape.rows, shape.depth, 1);
        const Matrix b(transposed ? shape.columns : shape.depth, transposed ? shape.depth : shape.columns, 2);
        const std::vector<float> found = multiplied(format, a, b, transposed, 0, shape.rows);
        for (std::size_t r = 0; r < shape.rows; ++r) {
          for (std::size_t c = 0; c < shape.columns; ++c) {
            double sum = 0.0;
            for (std::size_t k = 0; k < shape.depth; ++k) {
              sum += static_cast<double>(rounded(format, a.at(r, k))) *
                     rounded(format, transposed ? b.at(c, k) : b.at(k, c));
            }
            ASSERT_NEAR(found[r * shape.columns + c], sum, 1e-5 * std::sqrt(static_cast<double>(shape.depth)) + 1e-6)
                << shape.rows << " x " << shape.depth << " x " << shape.columns << " at " << r << ", " << c;
          }
        }
      }
    }
  }
}

TEST_P(MatmulOf, ARowIsTheSameBitsInAnyPart) {
  const Matrix a(131, 200, 3), b(200, 40, 4);
  for (const Format format : {Format::kFp32, Format::kBf16}) {
    const std::vector<float> whole = multiplied(format, a, b, false, 0, a.rows);
    for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 5}, {5, 126}, {130, 1}}) {
      const std::vector<float> part = multiplied(format, a, b, false, first, count);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first * b.columns)));
    }
  }
}

}  // namespace
}  // namespace imagerank::kernels
