#include "reward/scaling.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/half.h"

namespace imagerank::reward {
namespace {

TEST(Scaler, WeightedStatisticsByHand) {
  // Image rows (1, 5) three times and (3, 5) once: mean 1.5, variance (3 * 0.25 + 2.25) / 4 = 0.75; the second
  // component never varies. The third row is not used at all.
  const std::vector<float> images = {1, 5, 3, 5, 100, 100};
  const std::vector<double> image_counts = {3, 1, 0};
  const std::vector<float> texts = {0, 2, 4, 2};
  const std::vector<double> text_counts = {1, 1};
  const Scaler scaler =
      Scaler::fit({.dim = 2, .values = images}, image_counts, {.dim = 2, .values = texts}, text_counts);
  std::vector<float> out(2);
  scaler.prepare_image(std::vector<float>{3, 9}, out);
  EXPECT_NEAR(out[0], 1.5 / std::sqrt(0.75), 1e-6);
  EXPECT_EQ(out[1], 0.0F);
  scaler.prepare_text(std::vector<float>{4, 2}, out);
  EXPECT_NEAR(out[0], 1.0, 1e-6);
  EXPECT_EQ(out[1], 0.0F);
}

TEST(VectorTable, KnowsWhetherItsRowsAreInMemory) {
  EXPECT_TRUE((VectorTable{.dim = 2, .values = {1.0F, 2.0F}, .halves = {}, .owner = nullptr}).is_resident());
  constexpr std::size_t kNumbers = std::size_t{1} << 20;  // 512 pages
  const std::size_t bytes = kNumbers * sizeof(std::uint16_t);
  void* const fresh = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(fresh, MAP_FAILED);
  const std::span numbers(static_cast<std::uint16_t*>(fresh), kNumbers);
  const VectorTable table{.dim = 4, .values = {}, .halves = numbers, .owner = nullptr};
  EXPECT_FALSE(table.is_resident()) << "no page was touched";
  std::ranges::fill(numbers, std::uint16_t{1});
  EXPECT_TRUE(table.is_resident());
  ::munmap(fresh, bytes);
}

TEST(VectorTable, HalvesAreWidenedExactly) {
  std::vector<std::uint16_t> halves;
  std::vector<float> expected;
  for (int i = 0; i < 22; ++i) {  // no multiple of any vector width
    halves.push_back(half_from_float(static_cast<float>(std::sin(i)) * (i % 3 == 0 ? 1e-6F : 10.0F)));
    expected.push_back(float_from_half(halves.back()));
  }
  const VectorTable table{.dim = 11, .values = {}, .halves = halves, .owner = nullptr};
  ASSERT_EQ(table.row_count(), 2U);
  std::vector<float> row(11);
  table.copy_row(1, row);
  EXPECT_EQ(row, std::vector<float>(expected.begin() + 11, expected.end()));
  const VectorTable same{.dim = 11, .values = expected, .halves = {}, .owner = nullptr};
  std::vector<float> other(11);
  same.copy_row(1, other);
  EXPECT_EQ(row, other);
}

TEST(Scaler, UnitLength) {
  const Scaler scaler = Scaler::unit_length(2);
  std::vector<float> row = {3, 4};
  scaler.prepare_text(row, row);
  EXPECT_NEAR(row[0], 0.6, 1e-7);
  EXPECT_NEAR(row[1], 0.8, 1e-7);
  std::vector<float> zero = {0, 0};
  scaler.prepare_image(zero, zero);
  EXPECT_EQ(zero, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace imagerank::reward
