#include "evaluation/measurement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "imagerank/error.h"

namespace imagerank::evaluation {
namespace {

/// Two prompts. Prompt 0: a ranking of three, the first best, and its pairs; prompt 1: one strict pair and one tie.
SplitTruth small_truth() {
  SplitTruth truth;
  truth.prompt_count = 2;
  truth.class_count = 3;
  truth.point_prompt = {0, 0, 0, 1};
  truth.point_label = {2, 0, 0, 1};
  truth.pair_prompt = {0, 0, 1, 1};
  truth.pair_p_a = {1, 0, 1, 0.5};
  truth.ranking_prompt = {0};
  truth.ranking_begin = {0, 3};
  truth.relevance = {1, 0, 0};
  return truth;
}

Predictions small_predictions() {
  Predictions predictions;
  predictions.classes = {2, 0, 1, 1};
  predictions.values = {1.8, 0.1, 0.9, 1.2};
  predictions.class_scores = closeness_scores(predictions.values, 3);
  predictions.probabilities = {0.1, 0.1, 0.8, 0.9, 0.1, 0.0, 0.3, 0.6, 0.1, 0.2, 0.7, 0.1};
  predictions.pair_a = {1.8, 0.1, 1.2, 1.0};
  predictions.pair_b = {0.1, 1.8, 1.3, 1.0};
  predictions.candidates = {1.8, 0.1, 0.9};
  return predictions;
}

double value(const Measurement& measurement, Metric metric) { return at(measurement, metric).value.value(); }

TEST(Measurement, SmallCaseByHand) {
  const auto truth = small_truth();
  const auto result = measure(truth, small_predictions(), 0.0, Bootstrap(2));
  EXPECT_DOUBLE_EQ(value(result, Metric::kAccuracy), 0.75);
  EXPECT_DOUBLE_EQ(value(result, Metric::kBalancedAccuracy), (0.5 + 1 + 1) / 3);
  EXPECT_DOUBLE_EQ(value(result, Metric::kMacroF1), (2.0 / 3 + 2.0 / 3 + 1) / 3);
  // Labels 2, 0, 0, 1 vary by 5 - 9/4; errors 0.2, 0.1, 0.9, 0.2.
  EXPECT_NEAR(value(result, Metric::kR2), 1 - (0.04 + 0.01 + 0.81 + 0.04) / 2.75, 1e-12);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairStrictMicro), 2.0 / 3);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairStrictMacro), 0.5);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairPickscore), 0.75);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairHpsInversion), 1.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kKendallTauB), 2 / std::sqrt(6.0));
  EXPECT_DOUBLE_EQ(value(result, Metric::kNdcgAt4), 1.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kRecallAt1), 1.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kRecallAt2), 1.0);
  EXPECT_FALSE(at(result, Metric::kRecallAt4).value) << "three images";
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairImageReward), 1.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kFilterAt1), 1.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kBestOfNLift), 3.0);
  EXPECT_NEAR(value(result, Metric::kBrier), (0.06 + 0.02 + (0.49 + 0.36 + 0.01) + 0.14) / 4, 1e-12);
  EXPECT_NEAR(value(result, Metric::kLogLoss), -(std::log(0.8) + std::log(0.9) + std::log(0.3) + std::log(0.7)) / 4,
              1e-12);
  EXPECT_NEAR(value(result, Metric::kEce), (0.2 + 0.1 + 0.6 + 0.3) / 4, 1e-12) << "each row is a bin of its own";
  // Against 0: -1.8, -0.1*, -0.9*, -1.2: 3 of 4. Against 1: 0.8, 0.9, 0.1, 0.2*: 2 of 3. Against 2: all.
  EXPECT_NEAR(value(result, Metric::kAuc), (1.0 + 2.0 / 3 + 1.0) / 3, 1e-12);
}

TEST(Measurement, IntervalsHoldTheValue) {
  const auto result = measure(small_truth(), small_predictions(), 0.0, Bootstrap(2));
  const auto& strict = at(result, Metric::kPairStrictMicro);
  EXPECT_LT(*strict.low, 0.1) << "two prompts say next to nothing";
  EXPECT_GT(*strict.high, 0.9);
  const auto& brier = at(result, Metric::kBrier);
  EXPECT_NEAR(*brier.low, 0.14, 1e-12) << "only prompt 1";
  EXPECT_NEAR(*brier.high, (0.06 + 0.02 + 0.86) / 3, 1e-12) << "only prompt 0";
}

TEST(Measurement, WhatIsNotPredictedIsNull) {
  const auto truth = small_truth();
  Predictions utility;
  utility.pair_a = {1, 0, 0, 0};
  utility.pair_b = {0, 1, 1, 0};
  const auto result = measure(truth, utility, 0.0, Bootstrap(2));
  for (const auto metric : {Metric::kAccuracy, Metric::kBalancedAccuracy, Metric::kMacroF1, Metric::kAuc, Metric::kR2,
                            Metric::kBrier, Metric::kLogLoss, Metric::kEce, Metric::kRecallAt1}) {
    EXPECT_FALSE(at(result, metric).value);
    EXPECT_FALSE(at(result, metric).low);
  }
  EXPECT_TRUE(at(result, Metric::kPairStrictMicro).value);
  EXPECT_TRUE(confusion_matrix(truth, utility).empty());
  EXPECT_TRUE(reliability_bins(truth, utility).empty());
}

TEST(Measurement, AnEmptySplitIsAllNull) {
  SplitTruth empty;
  empty.ranking_begin = {0};
  const auto result = measure(empty, {}, 0.0, Bootstrap(0));
  for (const auto& estimate : result) EXPECT_FALSE(estimate.value);
}

TEST(Measurement, AConstantNeverLooksLikeSkill) {
  const auto truth = small_truth();
  Predictions constant;
  constant.classes.assign(4, 0);
  constant.values.assign(4, 0.75);  // the mean
  constant.class_scores.assign(12, 0.3);
  constant.pair_a.assign(4, 1.0);
  constant.pair_b.assign(4, 1.0);
  constant.candidates.assign(3, 1.0);
  const auto result = measure(truth, constant, 0.0, Bootstrap(2));
  EXPECT_DOUBLE_EQ(value(result, Metric::kAccuracy), 0.5) << "its class's share";
  EXPECT_DOUBLE_EQ(value(result, Metric::kBalancedAccuracy), 1.0 / 3);
  EXPECT_DOUBLE_EQ(value(result, Metric::kAuc), 0.5);
  EXPECT_DOUBLE_EQ(value(result, Metric::kR2), 0.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairStrictMicro), 0.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairStrictMacro), 0.0);
  EXPECT_DOUBLE_EQ(*at(result, Metric::kPairStrictMicro).high, 0.0) << "by convention, so without a doubt";
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairPickscore), (3 * 0.5 + 1) / 4);
  EXPECT_DOUBLE_EQ(value(result, Metric::kKendallTauB), 0.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kSpearman), 0.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kRecallAt1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(value(result, Metric::kPairImageReward), 0.0);
  EXPECT_DOUBLE_EQ(value(result, Metric::kBestOfNLift), 1.0);
}

TEST(Measurement, APairLossStatesWhoWins) {
  const auto truth = small_truth();
  auto predictions = small_predictions();
  predictions.pair_probabilities = {0.9, 0.4, 0.5, 0.7};
  EXPECT_THROW((void)measure(truth, predictions, 0.0, Bootstrap(2)), Error) << "of labels or of pairs, not of both";
  predictions.probabilities.clear();
  EXPECT_EQ(subject_of(predictions), Subject::kPairs);
  const auto result = measure(truth, predictions, 0.0, Bootstrap(2));
  // Winners a, b, a of the three strict pairs; the tie is left out.
  EXPECT_NEAR(value(result, Metric::kBrier), (0.01 + 0.16 + 0.25) / 3, 1e-12);
  EXPECT_NEAR(value(result, Metric::kLogLoss), -(std::log(0.9) + std::log(0.6) + std::log(0.5)) / 3, 1e-12);
  // Sure to 0.9, 0.6 and 0.5 of answers that are right, right and undecided.
  EXPECT_NEAR(value(result, Metric::kEce), (0.1 + 0.4 + 0.0) / 3, 1e-12);
  EXPECT_EQ(reliability_bins(truth, predictions).size(), 3U);
}

TEST(Measurement, ConfusionRowsAreTheTruth) {
  const std::vector<double> expected = {1, 1, 0, 0, 1, 0, 0, 0, 1};
  EXPECT_EQ(confusion_matrix(small_truth(), small_predictions()), expected);
}

TEST(Measurement, RefusesWrongSizesAndScoresThatAreNotNumbers) {
  const auto truth = small_truth();
  auto predictions = small_predictions();
  predictions.pair_a.pop_back();
  EXPECT_THROW((void)measure(truth, predictions, 0.0, Bootstrap(2)), Error);
  predictions = small_predictions();
  predictions.values[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)measure(truth, predictions, 0.0, Bootstrap(2)), Error);
  predictions = small_predictions();
  predictions.classes[0] = 3;
  EXPECT_THROW((void)measure(truth, predictions, 0.0, Bootstrap(2)), Error);
  EXPECT_THROW((void)measure(truth, small_predictions(), 0.0, Bootstrap(3)), Error);
}

TEST(Measurement, NearestLabelStaysInRange) {
  const std::vector<double> values = {-3.0, 0.49, 0.51, 1.5, 9.0};
  const std::vector<std::int32_t> expected = {0, 0, 1, 2, 2};
  EXPECT_EQ(nearest_labels(values, 3), expected);
}

TEST(Measurement, LikeliestClassIsTheLowestOfEquals) {
  const std::vector<double> rows = {0.4, 0.4, 0.2, 0.1, 0.2, 0.7};
  const std::vector<std::int32_t> expected = {0, 2};
  EXPECT_EQ(likeliest_classes(rows, 3), expected);
}

}  // namespace
}  // namespace imagerank::evaluation
