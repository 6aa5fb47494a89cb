#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/attention.h"
#include "kernels/buffer.h"
#include "kernels/levels.h"
#include "kernels/product.h"
#include "kernels/tile_check.h"
#include "support/amx_emulation.h"

namespace imagerank::kernels {
namespace {

std::vector<float> random_numbers(std::size_t count, unsigned seed, float spread = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

float bfloat16(float value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat16_from_float(value)) << 16);
}

bool same_bits(const float* a, const float* b, std::size_t count) {
  return std::memcmp(static_cast<const void*>(a), static_cast<const void*>(b), count * sizeof(float)) == 0;
}

/// Every level this machine has, and AMX over emulated tiles.
class KernelsOf : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    const auto kernels = test::kernels_named(GetParam());
    if (!kernels) GTEST_SKIP() << "this CPU has no " << GetParam();
    kernels_ = *kernels;
  }
  Kernels kernels_{};
};

INSTANTIATE_TEST_SUITE_P(Levels, KernelsOf, testing::ValuesIn(test::kKernelNames),
                         [](const auto& kernels) { return std::string(kernels.param); });

struct ProductCase {
  std::size_t rows, columns, depth, part;
};

/// rows [rows, depth] times weights [columns, depth], through tiles.
std::vector<float> product_of(const Kernels& kernels, Format format, const ProductCase& shape,
                              const std::vector<float>& rows, const std::vector<float>& weights) {
  ProductRows packed(shape.rows, shape.part == 0 ? shape.depth : shape.part, format);
  const PackedMatrix matrix(kernels, weights, shape.columns, shape.depth, format, shape.part);
  std::vector<float> result(shape.rows * shape.columns);
  std::vector<float> row(round_up(shape.depth, 64));
  for (std::size_t part = 0; part < matrix.parts(); ++part) {
    const std::size_t depth = shape.part == 0 ? shape.depth : shape.part;
    for (std::size_t r = 0; r < shape.rows; ++r) {
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(r * shape.depth + part * depth), depth, row.begin());
      packed.set(kernels, r, row.data());
    }
    multiply(kernels, packed, shape.rows, matrix, 0, matrix.panels(), part,
             [&](std::size_t first, std::size_t height, std::size_t column, const float* tile) {
               for (std::size_t r = 0; r < height; ++r) {
                 for (std::size_t c = 0; c < kPanelColumns && column + c < shape.columns; ++c) {
                   result[(first + r) * shape.columns + column + c] += tile[r * kPanelColumns + c];
                 }
               }
             });
  }
  return result;
}

/// Largest difference to plain loops in float64 over rounded inputs, as a share of the root mean square.
double product_error(const std::vector<float>& result, const ProductCase& shape, const std::vector<float>& rows,
                     const std::vector<float>& weights, float (*rounded)(float)) {
  double worst = 0.0, squares = 0.0;
  for (std::size_t r = 0; r < shape.rows; ++r) {
    for (std::size_t c = 0; c < shape.columns; ++c) {
      double sum = 0.0;
      for (std::size_t k = 0; k < shape.depth; ++k) {
        sum += static_cast<double>(rounded(rows[r * shape.depth + k])) *
               static_cast<double>(rounded(weights[c * shape.depth + k]));
      }
      worst = std::max(worst, std::abs(sum - static_cast<double>(result[r * shape.columns + c])));
      squares += sum * sum;
    }
  }
  return worst / std::sqrt(squares / static_cast<double>(shape.rows * shape.columns));
}

/// Byte k of column c of packed weights, where PackedMatrix's docs say it is.
std::byte packed_byte(const PackedMatrix& matrix, std::size_t c, std::size_t byte) {
  const std::size_t part = byte / (matrix.part_steps() * kStepBytes),
                    in_part = byte % (matrix.part_steps() * kStepBytes);
  const std::size_t step = in_part / kStepBytes;
  return matrix.panel(c / kPanelColumns,
                      part)[(step * kPanelColumns + c % kPanelColumns) * kStepBytes + in_part % kStepBytes];
}

const std::vector<ProductCase> kShapes = {{1, 32, 64, 0},     {14, 64, 128, 0},    {33, 96, 768, 0}, {50, 70, 588, 0},
                                          {29, 32, 256, 128}, {100, 40, 100, 0},   {1, 1, 1, 0},     {31, 33, 80, 0},
                                          {65, 32, 1280, 0},  {16, 64, 3072, 1024}};

TEST_P(KernelsOf, WeightsArePackedAsPlainLoopsWould) {
  for (const ProductCase& shape : {ProductCase{0, 70, 588, 0}, {0, 64, 256, 128}, {0, 1, 1, 0}, {0, 33, 80, 0}}) {
    auto weights = random_numbers(shape.columns * shape.depth, 30);
    std::fill_n(weights.begin(), shape.depth, 0.0F);  // a column of nothing
    for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
      const PackedMatrix matrix(kernels_, weights, shape.columns, shape.depth, format, shape.part);
      for (std::size_t c = 0; c < shape.columns; ++c) {
        const float* const column = weights.data() + c * shape.depth;
        float scale = 0.0F;
        for (std::size_t k = 0; k < shape.depth; ++k) scale = std::max(scale, std::abs(column[k]) / 127.0F);
        std::vector<std::byte> expected(padded_depth(shape.depth, format) * bytes_of(format));
        std::vector<std::int32_t> sums(matrix.parts());
        for (std::size_t k = 0; k < shape.depth; ++k) {
          const std::uint16_t half = bfloat16_from_float(column[k]);
          const auto byte = static_cast<std::int8_t>(scale > 0.0F ? std::lrint(column[k] / scale) : 0);
          const void* const number = format == Format::kFp32   ? static_cast<const void*>(column + k)
                                     : format == Format::kBf16 ? static_cast<const void*>(&half)
                                                               : static_cast<const void*>(&byte);
          std::memcpy(expected.data() + k * bytes_of(format), number, bytes_of(format));
          sums[k / matrix.part_depth()] += byte;
        }
        std::size_t wrong = 0;
        for (std::size_t b = 0; b < expected.size(); ++b) wrong += packed_byte(matrix, c, b) == expected[b] ? 0 : 1;
        EXPECT_EQ(wrong, 0U) << shape.depth << ", column " << c << ", " << bytes_of(format) << " bytes a number";
        if (format != Format::kInt8) continue;
        EXPECT_EQ(matrix.scales(c / kPanelColumns)[c % kPanelColumns], scale);
        for (std::size_t part = 0; part < matrix.parts(); ++part) {
          EXPECT_EQ(matrix.offsets(c / kPanelColumns, part)[c % kPanelColumns], kInt8Offset * sums[part]);
        }
      }
    }
  }
}

TEST_P(KernelsOf, Fp32ProductIsPlainLoops) {
  for (const ProductCase& shape : kShapes) {
    const auto rows = random_numbers(shape.rows * shape.depth, 1),
               weights = random_numbers(shape.columns * shape.depth, 2);
    const auto result = product_of(kernels_, Format::kFp32, shape, rows, weights);
    EXPECT_LT(product_error(result, shape, rows, weights, [](float x) { return x; }), 5e-6) << shape.depth;
  }
}

TEST_P(KernelsOf, Bf16ProductIsPlainLoopsOverRoundedNumbers) {
  for (const ProductCase& shape : kShapes) {
    const auto rows = random_numbers(shape.rows * shape.depth, 3),
               weights = random_numbers(shape.columns * shape.depth, 4);
    const auto result = product_of(kernels_, Format::kBf16, shape, rows, weights);
    EXPECT_LT(product_error(result, shape, rows, weights, bfloat16), 4e-6) << shape.depth;
  }
}

TEST_P(KernelsOf, Int8ProductIsWithinItsSteps) {
  for (const ProductCase& shape : kShapes) {
    const auto rows = random_numbers(shape.rows * shape.depth, 5),
               weights = random_numbers(shape.columns * shape.depth, 6);
    const auto result = product_of(kernels_, Format::kInt8, shape, rows, weights);
    EXPECT_LT(product_error(result, shape, rows, weights, [](float x) { return x; }), 0.08) << shape.depth;
  }
}

TEST_P(KernelsOf, Int8SumsAreExactIntegers) {
  const ProductCase shape{40, 64, 192, 0};
  // Integers of the scale's own steps, with a 127 in each row and column: nothing is rounded.
  std::mt19937 random(7);
  const auto integers = [&](std::size_t count, std::size_t depth) {
    std::vector<float> values(count * depth);
    for (float& value : values) value = static_cast<float>(static_cast<int>(random() % 255) - 127);
    for (std::size_t i = 0; i < count; ++i) values[i * depth + i % depth] = 127.0F;
    return values;
  };
  const auto rows = integers(shape.rows, shape.depth), weights = integers(shape.columns, shape.depth);
  const auto result = product_of(kernels_, Format::kInt8, shape, rows, weights);
  EXPECT_LT(product_error(result, shape, rows, weights, [](float x) { return x; }), 1e-6);
}

TEST_P(KernelsOf, Int8KeepsOutliersApart) {
  const ProductCase shape{20, 64, 768, 0};
  auto rows = random_numbers(shape.rows * shape.depth, 8);
  const auto weights = random_numbers(shape.columns * shape.depth, 9);
  for (std::size_t r = 0; r < shape.rows; ++r) {
    for (const std::size_t channel : {5, 133, 700}) rows[r * shape.depth + channel] *= 60.0F;
  }
  const auto result = product_of(kernels_, Format::kInt8, shape, rows, weights);
  // Without outliers the error of the same numbers is some 0.03 of the result's size; with one scale for all of them,
  // 60 times as coarse, it would be over 0.3.
  EXPECT_LT(product_error(result, shape, rows, weights, [](float x) { return x; }), 0.05);
}

TEST_P(KernelsOf, Int8TakesAtMostTheLargestOutliers) {
  std::vector<float> row = random_numbers(768, 10, 0.01F);
  for (std::size_t i = 0; i < 20; ++i) row[i * 30] = 5.0F + static_cast<float>(i);
  std::vector<std::uint8_t> bytes(768);
  RowScale scale;
  kernels_.rows.to_int8(row.data(), row.size(), bytes.data(), scale);
  ASSERT_EQ(scale.outliers.count, Outliers::kMost);
  EXPECT_FLOAT_EQ(scale.scale, 8.0F / 127.0F);  // 5, 6, 7 and 8 had no place left
  for (std::size_t j = 0; j < Outliers::kMost; ++j) {
    EXPECT_EQ(bytes[scale.outliers.at[j]], kInt8Offset);
    EXPECT_EQ(scale.outliers.value[j], row[scale.outliers.at[j]]);
    EXPECT_GT(scale.outliers.value[j], 8.5F);
  }
}

/// Magnitudes above ten times the mean, once what is above three times it is held there; the mean in float64.
std::vector<std::size_t> plain_outliers(const std::vector<float>& row, bool& close) {
  const auto n = static_cast<double>(row.size());
  double mean = 0.0, held = 0.0;
  for (const float value : row) mean += std::abs(value) / n;
  for (const float value : row) held += std::min(static_cast<double>(std::abs(value)), 3.0 * mean) / n;
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::abs(row[i]) > 10.0 * held) found.push_back(i);
    close |= std::abs(std::abs(row[i]) / (10.0 * held) - 1.0) < 1e-4;  // rounding may decide either way
  }
  return found;
}

TEST_P(KernelsOf, Int8OutliersAreThoseOfPlainLoopsWhateverTheRow) {
  std::size_t with = 0, without = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    auto row = random_numbers(seed % 2 == 0 ? 768 : 1040, 100 + seed);
    // From normal numbers to few large ones, as after GELU, and one that is nearly an outlier.
    for (float& value : row) value *= std::pow(std::abs(value), static_cast<float>(seed % 7) * 0.25F);
    row[seed % row.size()] = 4.0F + static_cast<float>(seed % 40) * 0.15F;
    bool close = false;
    const auto expected = plain_outliers(row, close);
    if (close || expected.size() > Outliers::kMost) continue;
    std::vector<std::uint8_t> bytes(row.size());
    RowScale scale;
    kernels_.rows.to_int8(row.data(), row.size(), bytes.data(), scale);
    EXPECT_EQ(std::vector<std::size_t>(scale.outliers.at.begin(), scale.outliers.at.begin() + scale.outliers.count),
              expected)
        << seed;
    ++(expected.empty() ? without : with);
  }
  EXPECT_GT(with, 50U);
  EXPECT_GT(without, 50U);
}

TEST_P(KernelsOf, ARowOfZerosIsZero) {
  const ProductCase shape{3, 32, 64, 0};
  const std::vector<float> rows(shape.rows * shape.depth);
  const auto weights = random_numbers(shape.columns * shape.depth, 11);
  for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
    for (const float value : product_of(kernels_, format, shape, rows, weights)) EXPECT_EQ(value, 0.0F);
  }
}

TEST_P(KernelsOf, ARowIsTheSameBitsWhateverStandsAroundIt) {
  const ProductCase whole{61, 96, 768, 0};
  const auto rows = random_numbers(whole.rows * whole.depth, 12),
             weights = random_numbers(whole.columns * whole.depth, 13);
  for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
    const auto together = product_of(kernels_, format, whole, rows, weights);
    for (const std::size_t r : {0U, 13U, 14U, 31U, 32U, 60U}) {
      const std::vector<float> row(rows.begin() + static_cast<std::ptrdiff_t>(r * whole.depth),
                                   rows.begin() + static_cast<std::ptrdiff_t>((r + 1) * whole.depth));
      const auto alone = product_of(kernels_, format, {1, whole.columns, whole.depth, 0}, row, weights);
      EXPECT_TRUE(same_bits(alone.data(), together.data() + r * whole.columns, whole.columns)) << r;
    }
  }
}

TEST_P(KernelsOf, APanelInPiecesGivesTheSameBits) {
  const ProductCase shape{67, 96, 1280, 0};
  const auto rows = random_numbers(shape.rows * shape.depth, 20),
             weights = random_numbers(shape.columns * shape.depth, 21);
  for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
    Tile& tile = kernels_.tiles[static_cast<std::size_t>(format)];
    tile.cached_steps = 0;
    const auto whole = product_of(kernels_, format, shape, rows, weights);
    for (const std::size_t steps : {16U, 192U, 200U, 5000U}) {
      tile.cached_steps = steps;
      const auto pieces = product_of(kernels_, format, shape, rows, weights);
      EXPECT_TRUE(same_bits(pieces.data(), whole.data(), whole.size())) << steps;
    }
  }
}

TEST_P(KernelsOf, TheCheckTellsARightTileFromAWrongOne) {
  for (const Format format : {Format::kFp32, Format::kBf16, Format::kInt8}) {
    const Tile& right = kernels_.tile(format);
    EXPECT_TRUE(tile_is_right(right, format)) << right.name;
    static Tile right_tile;
    right_tile = right;
    Tile wrong = right;
    wrong.run = [](const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
                   bool /*add*/) { right_tile.run(rows, stride, panel, steps, tile, false); };
    EXPECT_FALSE(tile_is_right(wrong, format)) << "sums that are not kept";
    wrong.run = [](const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
                   bool add) {
      right_tile.run(rows, stride, panel, steps, tile, add);
      auto* const last = static_cast<std::byte*>(tile) + (right_tile.height * kPanelColumns - 1) * sizeof(float);
      std::memset(last, 0, sizeof(float));
    };
    EXPECT_FALSE(tile_is_right(wrong, format)) << "one number of all";
  }
}

TEST(Avx512Tiles, ThoseForBf16AreRightWhicheverIsChosen) {
  if (!best_level() || *best_level() < Level::kAvx512) GTEST_SKIP() << "this CPU has no AVX-512";
  EXPECT_TRUE(tile_is_right(avx512_widened_tile(), Format::kBf16));
  if (!__builtin_cpu_supports("avx512bf16")) GTEST_SKIP() << "this CPU has no AVX512_BF16";
  EXPECT_TRUE(tile_is_right(avx512_bf16_tile(), Format::kBf16));
}

TEST_P(KernelsOf, LayerNormIsPlainLoops) {
  for (const std::size_t n : {32U, 768U, 1280U}) {
    const auto x = random_numbers(n, 14, 3.0F), weight = random_numbers(n, 15), bias = random_numbers(n, 16);
    std::vector<float> out(n);
    kernels_.rows.layer_norm(x.data(), weight.data(), bias.data(), n, 1e-5F, out.data());
    const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(n);
    double variance = 0.0;
    for (const float value : x) variance += (value - mean) * (value - mean) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(out[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i],
                  2e-6 * (1.0 + std::abs(out[i])));
    }
  }
}

TEST_P(KernelsOf, SoftmaxIsPlainLoops) {
  for (const std::size_t used : {1U, 20U, 50U, 64U}) {
    auto x = random_numbers(64, 17, 5.0F);
    const std::vector<float> before = x;
    kernels_.rows.softmax(x.data(), used, 64);
    double sum = 0.0;
    const double largest = *std::max_element(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(used));
    for (std::size_t i = 0; i < used; ++i) sum += std::exp(before[i] - largest);
    for (std::size_t i = 0; i < 64; ++i) {
      const double expected = i < used ? std::exp(before[i] - largest) / sum : 0.0;
      EXPECT_NEAR(x[i], expected, 1e-6 * expected + 1e-12) << i;
    }
  }
}

TEST_P(KernelsOf, ActivationsAreTheirFormulas) {
  std::vector<float> x;
  for (int i = -2200; i <= 2200; ++i) x.push_back(static_cast<float>(i) * 0.0137F);
  x.resize(round_up(x.size(), kPanelColumns));
  for (const float value : {-1e30F, 1e30F, -200.0F, 200.0F}) x.insert(x.end(), kPanelColumns, value);
  std::vector<float> quick = x, exact = x;
  kernels_.rows.quick_gelu(quick.data(), x.size() / kPanelColumns, kNoBias.data());
  kernels_.rows.gelu(exact.data(), x.size() / kPanelColumns, kNoBias.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    const double sigmoid = value / (1.0 + std::exp(-1.702 * value));
    EXPECT_NEAR(quick[i], sigmoid, 1e-6 * std::abs(sigmoid) + 1e-8) << value;
    const double gelu = 0.5 * value * std::erfc(-value / std::numbers::sqrt2);
    EXPECT_NEAR(exact[i], gelu, std::abs(value) < 100.0 ? 2e-7 * (1.0 + std::abs(value)) : 1e-6 * std::abs(gelu) + 1e-6)
        << value;
  }
}

TEST_P(KernelsOf, Bfloat16RoundsToNearestEven) {
  std::vector<float> x = random_numbers(256, 18, 100.0F);
  x[0] = std::bit_cast<float>(0x3f808000U);  // half way, to even: down
  x[1] = std::bit_cast<float>(0x3f818000U);  // half way, to even: up
  x[2] = std::numeric_limits<float>::infinity();
  x[3] = std::numeric_limits<float>::max();
  x[4] = -0.0F;
  x[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::uint16_t> out(x.size());
  kernels_.rows.to_bf16(x.data(), x.size(), out.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i == 5) {
      EXPECT_GT(out[i] & 0x7fffU, 0x7f80U);
    } else {
      EXPECT_EQ(out[i], bfloat16_from_float(x[i])) << x[i];
    }
  }
  EXPECT_EQ(out[0], 0x3f80U);
  EXPECT_EQ(out[1], 0x3f82U);
  EXPECT_EQ(out[3], 0x7f80U);
}

/// One head in float64, plain loops. @param qkv  [length, 3, padded].
std::vector<double> plain_attention(const std::vector<float>& qkv, std::size_t padded, std::size_t length,
                                    std::size_t query, bool causal) {
  const auto at = [&](std::size_t row, std::size_t kind, std::size_t d) {
    return static_cast<double>(qkv[(row * 3 + kind) * padded + d]);
  };
  std::vector<double> weights(causal ? query + 1 : length);
  double sum = 0.0;
  for (std::size_t key = 0; key < weights.size(); ++key) {
    double score = 0.0;
    for (std::size_t d = 0; d < padded; ++d) score += at(query, 0, d) * at(key, 1, d);
    sum += weights[key] = std::exp(score);
  }
  std::vector<double> context(padded);
  for (std::size_t key = 0; key < weights.size(); ++key) {
    for (std::size_t d = 0; d < padded; ++d) context[d] += weights[key] / sum * at(key, 2, d);
  }
  return context;
}

TEST_P(KernelsOf, AttentionIsPlainLoops) {
  using Shape = std::pair<std::size_t, std::size_t>;
  for (const auto& [length, depth] : {Shape{50, 64}, Shape{7, 64}, Shape{77, 24}, Shape{257, 80}, Shape{1, 32}}) {
    const std::size_t padded = round_up(depth, kPanelColumns);
    std::mt19937 random(19);
    std::normal_distribution<float> normal(0.0F, 0.3F);
    for (const Format format : {Format::kFp32, Format::kBf16}) {
      std::vector<float> qkv(length * 3 * padded);
      for (std::size_t i = 0; i < qkv.size(); ++i) {
        if (i % padded < depth) qkv[i] = format == Format::kBf16 ? bfloat16(normal(random)) : normal(random);
      }
      ProductRows rows(length, 3 * padded, format);
      for (std::size_t r = 0; r < length; ++r) rows.set(kernels_, r, qkv.data() + r * 3 * padded);
      const std::size_t part = padded * bytes_of(format);
      // Probabilities are rounded to bfloat16 too.
      const double tolerance = format == Format::kBf16 ? 4e-3 : 1e-5;
      HeadAttention attention(257, padded, format);
      ProductRows context(length, padded, Format::kFp32, true), last(1, padded, Format::kFp32, true);
      for (const bool causal : {false, true}) {
        attention.set_sequence(kernels_, rows.row(0) + part, rows.row(0) + 2 * part, rows.stride(), length);
        attention.attend(kernels_, rows.row(0), rows.stride(), length, causal, 0, context, 0, 0);
        attention.attend(kernels_, rows.row(length - 1), rows.stride(), 1, causal, length - 1, last, 0, 0);
        const auto row = [](const ProductRows& of, std::size_t r) { return reinterpret_cast<const float*>(of.row(r)); };
        for (std::size_t r = 0; r < length; ++r) {
          const auto expected = plain_attention(qkv, padded, length, r, causal);
          for (std::size_t d = 0; d < padded; ++d) {
            ASSERT_NEAR(row(context, r)[d], expected[d], tolerance) << length << " " << r << " " << d;
          }
        }
        EXPECT_TRUE(same_bits(row(last, 0), row(context, length - 1), padded));
      }
    }
  }
}

class EmulatedAmx : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::kernels_named("emulated_amx")) GTEST_SKIP() << "this CPU has no AVX2";
  }
  /// Eight tiles of 16 rows of 64 bytes.
  static std::array<std::uint8_t, 64> whole_tiles() {
    std::array<std::uint8_t, 64> config{1};
    for (std::size_t i = 0; i < 8; ++i) {
      config[16 + 2 * i] = 64;
      config[48 + i] = 16;
    }
    return config;
  }
  /// Tile 0 of sums, plus tile 1 times tile 2.
  template <class Number, class Weight>
  static std::array<Number, 256> dot(const std::array<Number, 256>& sums, const std::array<Number, 256>& rows,
                                     const std::array<Weight, 256>& weights,
                                     void (test::TileRegisters::*instruction)(std::size_t, std::size_t, std::size_t)) {
    test::TileRegisters registers;
    registers.load_config(whole_tiles().data());
    registers.load(0, sums.data(), 64);
    registers.load(1, rows.data(), 64);
    registers.load(2, weights.data(), 64);
    (registers.*instruction)(0, 1, 2);
    std::array<Number, 256> result{};
    registers.store(0, result.data(), 64);
    return result;
  }
  static std::uint32_t pair(float even, float odd) {
    return bfloat16_from_float(even) | std::uint32_t{bfloat16_from_float(odd)} << 16;
  }
};

/// Each test of the kernels over emulated tiles is worth what the emulation is.
TEST_F(EmulatedAmx, Bf16SumsEvenAndOddNumbersApartWithoutDenormals) {
  const auto one_row = [](const std::vector<std::uint32_t>& rows, const std::vector<std::uint32_t>& weights,
                          float sum) {
    std::array<std::uint32_t, 256> a{}, b{}, sums{std::bit_cast<std::uint32_t>(sum)};
    for (std::size_t k = 0; k < rows.size(); ++k) {
      a[k] = rows[k];
      b[k * 16] = weights[k];
    }
    return std::bit_cast<float>(dot(sums, a, b, &test::TileRegisters::dot_bf16)[0]);
  };
  EXPECT_EQ(one_row({pair(2, 3), pair(5, 7)}, {pair(11, 13), pair(17, 19)}, 1000), 1000 + 22 + 39 + 85 + 133);
  // 2^24 + 1 is no float32: by pairs, in order, the ones would be lost.
  EXPECT_EQ(one_row({pair(4096, 1), pair(-4096, 1)}, {pair(4096, 1), pair(4096, 1)}, 0), 2.0F);
  EXPECT_EQ(one_row({pair(1, 1)}, {pair(1, 1)}, 0x1p25F), 0x1p25F);  // 2 are half of its last place: to even
  EXPECT_EQ(one_row({pair(1, 1)}, {pair(1, 1)}, 0x1.000002p25F), 0x1.000004p25F);
  EXPECT_EQ(one_row({pair(0x1p-130F, 0)}, {pair(0x1p100F, 0)}, 0), 0.0F) << "denormal in";
  EXPECT_EQ(one_row({pair(0x1p-70F, 0)}, {pair(0x1p-70F, 0)}, 0), 0.0F) << "denormal out";
  EXPECT_EQ(one_row({}, {}, 0x1p-130F), 0.0F) << "denormal sum";
  EXPECT_EQ(one_row({pair(0x1p-63F, 0)}, {pair(0x1p-63F, 0)}, 0), 0x1p-126F) << "the smallest normal one";
}

TEST_F(EmulatedAmx, Int8TakesRowsUnsignedAndWeightsSignedAndDoesNotSaturate) {
  std::array<std::uint32_t, 256> rows{}, weights{}, sums{};
  rows.fill(0xffffffffU);
  weights.fill(0x80808080U);
  EXPECT_EQ(static_cast<std::int32_t>(dot(sums, rows, weights, &test::TileRegisters::dot_int8)[255]), 64 * 255 * -128);
  sums.fill(0x80000000U);
  EXPECT_EQ(dot(sums, rows, weights, &test::TileRegisters::dot_int8)[0], 0x80000000U - 64U * 255 * 128) << "wraps";
  rows = {0x04030201U};
  weights = {0xfd020180U, 0x00000001U};  // columns 0 and 1 of step 0
  const auto result = dot({}, rows, weights, &test::TileRegisters::dot_int8);
  EXPECT_EQ(static_cast<std::int32_t>(result[0]), 1 * -128 + 2 * 1 + 3 * 2 + 4 * -3);
  EXPECT_EQ(result[1], 1U);
  EXPECT_EQ(result[16], 0U) << "another row";
}

TEST_F(EmulatedAmx, FaultsWhereTheCpuWould) {
  test::TileRegisters registers;
  EXPECT_THROW(registers.zero(0), std::logic_error) << "not configured";
  auto config = whole_tiles();
  registers.load_config(config.data());
  EXPECT_NO_THROW(registers.zero(7));
  EXPECT_THROW(registers.zero(8), std::logic_error);
  EXPECT_THROW(registers.dot_bf16(1, 1, 2), std::logic_error) << "one tile twice";
  std::array<std::uint8_t, 64> stored{};
  registers.store_config(stored.data());
  EXPECT_EQ(stored, config);
  registers.release();
  registers.store_config(stored.data());
  EXPECT_EQ(stored, (std::array<std::uint8_t, 64>{}));
  for (const auto& [at, value] :
       {std::pair{0, 2}, {1, 3}, {2, 1}, {15, 1}, {16, 65}, {17, 1}, {32, 1}, {48, 17}, {48, 0}, {56, 1}}) {
    config = whole_tiles();
    config[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    EXPECT_THROW(registers.load_config(config.data()), std::logic_error) << at;
  }
  config = whole_tiles();
  config[16 + 2 * 1] = 32;  // half as many steps as the weights have
  registers.load_config(config.data());
  EXPECT_THROW(registers.dot_int8(0, 1, 2), std::logic_error);
}

TEST_F(EmulatedAmx, TilesOfAnotherLibraryAreSetAnew) {
  const Kernels kernels = *test::kernels_named("emulated_amx");
  const ProductCase shape{40, 64, 192, 0};
  const auto rows = random_numbers(shape.rows * shape.depth, 22),
             weights = random_numbers(shape.columns * shape.depth, 23);
  auto other = whole_tiles();
  other[48 + 5] = 3;
  for (const Format format : {Format::kBf16, Format::kInt8}) {
    const auto before = product_of(kernels, format, shape, rows, weights);
    test::tile_registers().load_config(other.data());
    EXPECT_EQ(product_of(kernels, format, shape, rows, weights), before);
    test::tile_registers().release();
    EXPECT_EQ(product_of(kernels, format, shape, rows, weights), before);
  }
}

TEST(Kernels, BestLevelKeepsToItsLimit) {
  if (!best_level()) GTEST_SKIP() << "this CPU has no AVX2";
  EXPECT_EQ(best_level(Level::kAvx2), Level::kAvx2);
  EXPECT_STREQ(level_name(Level::kAmx), "amx");
}

TEST(Kernels, BuffersAreZeroAndAligned) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{5000}, std::size_t{3} << 20}) {
    const Buffer buffer(bytes);
    EXPECT_GE(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    for (std::size_t i = 0; i < buffer.size(); i += 997) EXPECT_EQ(buffer.data()[i], std::byte{0});
  }
  EXPECT_EQ(Buffer().data(), nullptr);
}

}  // namespace
}  // namespace imagerank::kernels
