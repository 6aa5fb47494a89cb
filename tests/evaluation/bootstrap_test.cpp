#include "evaluation/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(Bootstrap, OneGroupWithRowsGivesNoInterval) {
  const auto ones = [](std::size_t) { return std::optional<double>(1.0); };
  EXPECT_FALSE(Bootstrap(5).estimate(1.0, ones, Scale::kShare, 1).low);
}

TEST(Bootstrap, EffectiveGroupsAreThoseOfEqualSize) {
  const std::vector<double> equal = {3, 3, 0, 3};
  EXPECT_DOUBLE_EQ(effective_groups(equal), 3.0);
  const std::vector<double> one_large = {98, 1, 1};
  EXPECT_NEAR(effective_groups(one_large), 1.04, 0.01);
  const std::vector<double> every_other = {5, 2, 7, 2};
  EXPECT_DOUBLE_EQ(effective_groups(std::span(every_other).subspan(1), 2), 2.0);
  EXPECT_DOUBLE_EQ(effective_groups(std::vector<double>{0, 0}), 0.0);
  EXPECT_LT(student_t_975(1.5), student_t_975(1.0));
  EXPECT_GT(student_t_975(1.5), student_t_975(2.0));
}

TEST(Bootstrap, ASharesIntervalIsWilsons) {
  // Ten groups of one answer each, seven right: the draws' variance is p (1 - p) / 10, so ten independent answers.
  const std::vector<double> rows = {1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  const Bootstrap bootstrap(10, 4000, 3);
  const auto sums = bootstrap.resampled_sums(rows, 1);
  const auto estimate = bootstrap.estimate(
      0.7, [&](std::size_t draw) { return std::optional<double>(sums[draw] / 10.0); }, Scale::kShare);
  const double n = 9.0;  // widened for its being a variance around the mean of ten
  const double t = 2.2622;
  const double middle = (0.7 + t * t / (2 * n)) / (1 + t * t / n);
  const double half = t / (1 + t * t / n) * std::sqrt(0.21 / n + t * t / (4 * n * n));
  EXPECT_NEAR(*estimate.low, middle - half, 0.01);
  EXPECT_NEAR(*estimate.high, middle + half, 0.01);
}

TEST(Bootstrap, AnswersThatAreAllAlikeStillLeaveDoubt) {
  const auto ones = [](std::size_t) { return std::optional<double>(1.0); };
  const auto estimate = Bootstrap(20).estimate(1.0, ones, Scale::kShare);
  EXPECT_NEAR(*estimate.low, 20 / (20 + 2.093 * 2.093), 1e-3);
  EXPECT_DOUBLE_EQ(*estimate.high, 1.0);
  const auto third = [](std::size_t) { return std::optional<double>(1.0 / 3); };
  EXPECT_DOUBLE_EQ(*Bootstrap(20).estimate(1.0 / 3, third, Scale::kShare).high, 1.0 / 3) << "so by construction";
}

}  // namespace
}  // namespace imagerank::evaluation
