#include "evaluation/bootstrap.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/random.h"

namespace imagerank::evaluation {
namespace {

TEST(Bootstrap, EachDrawHoldsAsManyGroupsAsThereAre) {
  const Bootstrap bootstrap(17, 50, 1);
  for (std::size_t draw = 0; draw < bootstrap.draws(); ++draw) {
    const auto counts = bootstrap.counts(draw);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 17);
  }
}

TEST(Bootstrap, IsDeterministicForASeed) {
  const Bootstrap first(40, 20, 5);
  const Bootstrap again(40, 20, 5);
  const Bootstrap other(40, 20, 6);
  bool differs = false;
  for (std::size_t draw = 0; draw < 20; ++draw) {
    const auto counts = first.counts(draw);
    EXPECT_TRUE(std::equal(counts.begin(), counts.end(), again.counts(draw).begin()));
    differs = differs || !std::equal(counts.begin(), counts.end(), other.counts(draw).begin());
  }
  EXPECT_TRUE(differs);
}

TEST(Bootstrap, ResampledSumsAreCountsTimesRows) {
  const Bootstrap bootstrap(3, 4, 9);
  const std::vector<double> rows = {1, 10, 2, 20, 3, 30};
  const auto sums = bootstrap.resampled_sums(rows, 2);
  for (std::size_t draw = 0; draw < 4; ++draw) {
    const auto counts = bootstrap.counts(draw);
    const double expected = counts[0] + 2.0 * counts[1] + 3.0 * counts[2];
    EXPECT_DOUBLE_EQ(sums[2 * draw], expected);
    EXPECT_DOUBLE_EQ(sums[2 * draw + 1], 10 * expected);
  }
}

TEST(Bootstrap, NoIntervalFromOneGroupOrFromNothing) {
  const auto ones = [](std::size_t) { return std::optional<double>(1.0); };
  EXPECT_FALSE(Bootstrap(1).estimate(1.0, ones).low);
  EXPECT_FALSE(Bootstrap(0).estimate(std::nullopt, ones).low);
  EXPECT_FALSE(Bootstrap(5).estimate(std::nullopt, ones).low) << "no value, no interval";
  const auto undefined = [](std::size_t) { return std::optional<double>(); };
  EXPECT_FALSE(Bootstrap(5).estimate(1.0, undefined).low);
  EXPECT_DOUBLE_EQ(*Bootstrap(5).estimate(1.0, ones).low, 1.0);
}

TEST(Bootstrap, QuantileInterpolates) {
  const std::vector<double> values = {0, 10, 20, 30};
  EXPECT_DOUBLE_EQ(quantile(values, 0.0), 0.0);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 15.0);
  EXPECT_DOUBLE_EQ(quantile(values, 1.0), 30.0);
}

// Prompts differ in how easy they are, and have 1 to 8 pairs each: rows are not independent. Over many made-up data
// sets the interval must hold the true accuracy about as often as it says.
TEST(Bootstrap, IntervalCoversTheTruthUnderClustering) {
  constexpr int kDataSets = 200;
  constexpr std::size_t kPrompts = 120;
  int covered = 0;
  int covered_by_rows = 0;  // what a bootstrap that ignores prompts would give
  for (int data_set = 0; data_set < kDataSets; ++data_set) {
    Random random(20240501, static_cast<std::uint64_t>(data_set));
    std::vector<double> rows(kPrompts * 2);
    std::vector<double> single;
    for (std::size_t prompt = 0; prompt < kPrompts; ++prompt) {
      const double ease = random.uniform(0.2, 1.0);  // mean 0.6
      const auto pairs = 1 + random.below(8);
      for (std::uint64_t pair = 0; pair < pairs; ++pair) {
        const double right = random.chance(ease) ? 1.0 : 0.0;
        rows[2 * prompt] += right;
        rows[2 * prompt + 1] += 1.0;
        single.insert(single.end(), {right, 1.0});
      }
    }
    const auto holds = [&](const std::vector<double>& table) {
      const Bootstrap bootstrap(table.size() / 2, 300, static_cast<std::uint64_t>(data_set));
      const auto sums = bootstrap.resampled_sums(table, 2);
      const auto estimate = bootstrap.estimate(
          0.6, [&](std::size_t draw) { return std::optional<double>(sums[2 * draw] / sums[2 * draw + 1]); });
      return *estimate.low <= 0.6 && 0.6 <= *estimate.high;
    };
    covered += holds(rows) ? 1 : 0;
    covered_by_rows += holds(single) ? 1 : 0;
  }
  EXPECT_GE(covered, 186) << "of 200: at least 93 %";
  EXPECT_LT(covered_by_rows, covered) << "the test would not notice a bootstrap by row";
}

}  // namespace
}  // namespace imagerank::evaluation
