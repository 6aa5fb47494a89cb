#include "evaluation/leaderboard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace imagerank::evaluation {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Grouping styles() { return {"style", {"anime", "photo"}, {0, 0, 0, 0, 1, 1}}; }

TEST(Leaderboard, MeansByGroupAreTheirDefinitions) {
  const std::vector<PromptScores> scores = {{1, 2, 3, 4, 10, 20}, {2, 3, 4, 5, 11, kNone}};
  const std::vector<Grouping> groupings = {styles()};
  const auto rows = make_leaderboard(scores, groupings, Bootstrap(6, 200), 2);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].generator, 0U);
  EXPECT_DOUBLE_EQ(*rows[0].mean.value, 40.0 / 6);
  EXPECT_DOUBLE_EQ(*rows[0].mean_of_groups.value, (2.5 + 15.0) / 2);
  EXPECT_DOUBLE_EQ(*rows[0].groups[0][0].mean.value, 2.5);
  EXPECT_EQ(rows[0].groups[0][0].prompts, 4U);
  // Batches of two: means 1.5 and 3.5, so a deviation of 1.
  EXPECT_DOUBLE_EQ(*rows[0].groups[0][0].batch_deviation, 1.0);
  EXPECT_FALSE(rows[0].groups[0][1].batch_deviation);
  EXPECT_FALSE(rows[0].to_leader.value);
  // What has no score is left out, not replaced: five prompts, and a difference over those five.
  EXPECT_EQ(rows[1].prompts, 5U);
  EXPECT_DOUBLE_EQ(*rows[1].mean.value, 5.0);
  EXPECT_DOUBLE_EQ(*rows[1].to_leader.value, 1.0);
  EXPECT_LT(*rows[0].mean.low, *rows[0].mean.value);
  EXPECT_GT(*rows[0].mean.high, *rows[0].mean.value);
}

TEST(Leaderboard, WithoutScoresThereIsNoMeanAndItComesLast) {
  const std::vector<PromptScores> scores = {{kNone, kNone}, {-1, -2}};
  const auto rows = make_leaderboard(scores, {}, Bootstrap(2, 100));
  EXPECT_EQ(rows[0].generator, 1U);
  EXPECT_EQ(rows[1].generator, 0U);
  EXPECT_FALSE(rows[1].mean.value);
  EXPECT_EQ(rows[1].prompts, 0U);
}

TEST(Leaderboard, RewardsThatOrderAlikeAgree) {
  const std::vector<PromptScores> first = {{1, 2, 3}, {4, 5, 6}, {7, 8, kNone}};
  std::vector<PromptScores> second = first;
  for (auto& row : second) {
    for (double& value : row) value = std::exp(value);
  }
  EXPECT_DOUBLE_EQ(*compare_rewards(first, second).spearman_images, 1.0);
  EXPECT_DOUBLE_EQ(*compare_rewards(first, second).kendall_generators, 1.0);
  for (auto& row : second) {
    for (double& value : row) value = -value;
  }
  EXPECT_DOUBLE_EQ(*compare_rewards(first, second).spearman_images, -1.0);
  EXPECT_DOUBLE_EQ(*compare_rewards(first, second).kendall_generators, -1.0);
}

}  // namespace
}  // namespace imagerank::evaluation
