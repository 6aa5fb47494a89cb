#include "evaluation/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

namespace imagerank::evaluation {
namespace {

using Doubles = std::vector<double>;

// Truth 0: 5 rows, of which 4 right; truth 1: 3 rows, 1 right and 2 called 2; truth 2: 2 rows, both right.
const Doubles kConfusion = {4, 1, 0, 0, 1, 2, 0, 0, 2};

TEST(Metrics, NamesAreTheContract) {
  const std::set<std::string_view> expected = {"accuracy",
                                               "balanced_accuracy",
                                               "macro_f1",
                                               "auc",
                                               "r2",
                                               "pair_accuracy_strict_micro",
                                               "pair_accuracy_strict_macro",
                                               "pair_accuracy_pickscore",
                                               "pair_accuracy_hps_inversion",
                                               "pair_accuracy_imagereward",
                                               "kendall_tau_b",
                                               "spearman",
                                               "ndcg_at_4",
                                               "recall_at_1",
                                               "recall_at_2",
                                               "recall_at_4",
                                               "filter_at_1",
                                               "filter_at_2",
                                               "filter_at_4",
                                               "best_of_n_lift",
                                               "brier",
                                               "log_loss",
                                               "ece"};
  EXPECT_EQ(std::set<std::string_view>(kMetricNames.begin(), kMetricNames.end()), expected);
  for (std::size_t i = 0; i < kMetricCount; ++i) EXPECT_FALSE(metric_definition(static_cast<Metric>(i)).empty());
}

TEST(Metrics, ClassificationByHand) {
  EXPECT_DOUBLE_EQ(*accuracy(kConfusion, 3), 0.7);
  EXPECT_DOUBLE_EQ(*balanced_accuracy(kConfusion, 3), (4.0 / 5 + 1.0 / 3 + 1.0) / 3);
  // F1 = 2 hits / (rows of the class + predictions of it): 8/9, 2/5, 4/6.
  EXPECT_DOUBLE_EQ(*macro_f1(kConfusion, 3), (8.0 / 9 + 2.0 / 5 + 4.0 / 6) / 3);
}

TEST(Metrics, ClassificationOfAConstant) {
  const Doubles always_zero = {8, 0, 0, 1, 0, 0, 1, 0, 0};
  EXPECT_DOUBLE_EQ(*accuracy(always_zero, 3), 0.8);
  EXPECT_DOUBLE_EQ(*balanced_accuracy(always_zero, 3), 1.0 / 3);
  EXPECT_DOUBLE_EQ(*macro_f1(always_zero, 3), 16.0 / 18 / 3);
}

TEST(Metrics, ClassificationOfOneClassAndOfNothing) {
  const Doubles one_class = {5, 0, 0, 0};
  EXPECT_DOUBLE_EQ(*balanced_accuracy(one_class, 2), 1.0);
  EXPECT_DOUBLE_EQ(*macro_f1(one_class, 2), 1.0);
  const Doubles nothing(4, 0.0);
  EXPECT_FALSE(accuracy(nothing, 2));
  EXPECT_FALSE(balanced_accuracy(nothing, 2));
  EXPECT_FALSE(macro_f1(nothing, 2));
}

TEST(Metrics, R2) {
  // Truth 0, 1, 2: sum 3, squares 5, variation 2. Predicting 0.5, 1, 1.5 leaves 0.5.
  EXPECT_DOUBLE_EQ(*r2(3, 3, 5, 0.5), 0.75);
  EXPECT_DOUBLE_EQ(*r2(3, 3, 5, 2.0), 0.0);
  EXPECT_FALSE(r2(3, 3, 3, 0.5)) << "the truth does not vary";
  EXPECT_FALSE(r2(0, 0, 0, 0));
}

TEST(Metrics, AucCountsTiesHalf) {
  const std::vector<ScoredRow> rows = {{0.1, false, 0}, {0.4, false, 0}, {0.4, true, 1}, {0.8, true, 1}};
  // Of 4 pairs (positive, negative): 0.4 over 0.1, 0.4 ties 0.4, 0.8 over both.
  EXPECT_DOUBLE_EQ(*auc(rows, {}), 3.5 / 4);
  const std::array<std::uint16_t, 2> without_positives = {1, 0};
  EXPECT_FALSE(auc(rows, without_positives));
  std::vector<ScoredRow> constant = rows;
  for (auto& row : constant) row.score = 7;
  EXPECT_DOUBLE_EQ(*auc(constant, {}), 0.5);
}

TEST(Metrics, AucWeighsGroups) {
  const std::vector<ScoredRow> rows = {{0.1, false, 0}, {0.2, true, 1}, {0.3, false, 2}};
  EXPECT_DOUBLE_EQ(*auc(rows, {}), 0.5);
  const std::array<std::uint16_t, 3> weights = {3, 1, 1};
  EXPECT_DOUBLE_EQ(*auc(rows, weights), 0.75);
}

TEST(Metrics, ProbabilityRows) {
  const std::array binary = {0.3, 0.7};
  EXPECT_NEAR(brier_row(binary, 1), 0.09, 1e-12);
  EXPECT_NEAR(brier_row(binary, 0), 0.49, 1e-12);
  const std::array three = {0.2, 0.3, 0.5};
  EXPECT_NEAR(brier_row(three, 2), 0.04 + 0.09 + 0.25, 1e-12);
  EXPECT_NEAR(log_loss_row(three, 2), std::log(2.0), 1e-12);
  const std::array sure = {1.0, 0.0};
  EXPECT_NEAR(log_loss_row(sure, 1), 23 * std::log(2.0), 1e-9) << "clipped, not infinite";
}

TEST(Metrics, EceOfEqualMassBins) {
  // 30 rows, two a bin; in bin b the confidence is b / 20 + 0.2 and one of two is right: |0.5 - confidence|.
  std::vector<ConfidentRow> rows;
  double expected = 0.0;
  for (int bin = 0; bin < 15; ++bin) {
    const double confidence = bin / 20.0 + 0.2;
    rows.push_back({confidence - 1e-6, true, 0});
    rows.push_back({confidence + 1e-6, false, 0});
    expected += std::abs(0.5 - confidence) / 15;
  }
  const auto bins = reliability(rows, {});
  ASSERT_EQ(bins.size(), kCalibrationBins);
  for (const auto& bin : bins) EXPECT_NEAR(bin.weight, 1.0 / 15, 1e-12);
  EXPECT_NEAR(*ece(bins), expected, 1e-9);
}

TEST(Metrics, EceOfAConstantIsOneBin) {
  std::vector<ConfidentRow> rows(100, ConfidentRow{0.6, false, 0});
  for (std::size_t i = 0; i < 60; ++i) rows[i].correct = true;
  const auto bins = reliability(rows, {});
  ASSERT_EQ(bins.size(), 1U);
  EXPECT_NEAR(*ece(bins), 0.0, 1e-12);
  EXPECT_FALSE(ece({}));
}

TEST(Metrics, StrictCreditNeedsAHigherScore) {
  EXPECT_EQ(strict_credit(1.0, 2.0, 1.0), 1.0);
  EXPECT_EQ(strict_credit(0.0, 2.0, 1.0), 0.0);
  EXPECT_EQ(strict_credit(0.0, 1.0, 2.0), 1.0);
  EXPECT_EQ(strict_credit(1.0, 1.0, 1.0), 0.0) << "a tie is wrong";
  EXPECT_EQ(strict_credit(0.0, 1.0, 1.0), 0.0) << "a tie is wrong whoever won";
  EXPECT_EQ(strict_credit(0.7, 2.0, 1.0), 1.0) << "a soft vote has a winner";
  EXPECT_FALSE(is_strict(0.5));
}

TEST(Metrics, PickscoreCredit) {
  // p = 0.5 + margin / 2; scores 0.2 apart have a margin of tanh(0.1) = 0.0997.
  EXPECT_EQ(pickscore_credit(1.0, 0.2, 0.0, 0.0), 1.0);
  EXPECT_EQ(pickscore_credit(0.0, 0.2, 0.0, 0.0), 0.0);
  EXPECT_EQ(pickscore_credit(0.5, 0.2, 0.0, 0.0), 0.5) << "a tie called a win";
  EXPECT_EQ(pickscore_credit(0.5, 0.2, 0.0, 0.1), 1.0) << "within the threshold";
  EXPECT_EQ(pickscore_credit(0.0, 0.2, 0.0, 0.1), 0.5) << "a win called a tie";
  EXPECT_EQ(pickscore_credit(0.0, 100.0, 0.0, 1.0), 0.5) << "threshold 1 always ties";
}

TEST(Metrics, PickscoreThresholdIsTheBestOfValidation) {
  // Winners lie 2 apart (margin 0.76), ties 1 apart (margin 0.46): thresholds 0.5 to 0.7 get all, and the lowest is
  // taken.
  const Doubles p_a = {1, 0, 0.5, 0.5};
  const Doubles a = {2, 0, 1, 0};
  const Doubles b = {0, 2, 0, 1};
  EXPECT_DOUBLE_EQ(choose_pickscore_threshold(p_a, a, b), 0.5);
  EXPECT_DOUBLE_EQ(choose_pickscore_threshold({}, {}, {}), 0.0);
}

// One best image of four, as Pick-a-Pic has it.
const Doubles kBestIsFirst = {1, 0, 0, 0};

TEST(Metrics, HpsInversion) {
  // The best image is scored third of four: two inversions of six pairs; the three ties of the truth are right.
  EXPECT_DOUBLE_EQ(*hps_inversion(kBestIsFirst, Doubles{2, 4, 3, 1}), 4.0 / 6);
  EXPECT_DOUBLE_EQ(*hps_inversion(kBestIsFirst, Doubles{5, 5, 5, 5}), 4.5 / 6) << "a constant is a random order";
  EXPECT_DOUBLE_EQ(*hps_inversion(Doubles{3, 2, 1}, Doubles{1, 2, 3}), 0.0);
  EXPECT_DOUBLE_EQ(*hps_inversion(Doubles{0, 0, 0, 0}, Doubles{1, 2, 3, 4}), 1.0);
  EXPECT_FALSE(hps_inversion(Doubles{1}, Doubles{1}));
}

TEST(Metrics, KendallTauB) {
  EXPECT_DOUBLE_EQ(*kendall_tau_b(kBestIsFirst, Doubles{4, 3, 2, 1}), 3 / std::sqrt(18.0)) << "the ceiling";
  EXPECT_DOUBLE_EQ(*kendall_tau_b(kBestIsFirst, Doubles{2, 4, 3, 1}), -1 / std::sqrt(18.0));
  EXPECT_DOUBLE_EQ(*kendall_tau_b(Doubles{3, 2, 1}, Doubles{3, 1, 2}), 1.0 / 3);
  // One tie in the scores: two concordant of three, sqrt(3 * 2).
  EXPECT_DOUBLE_EQ(*kendall_tau_b(Doubles{3, 2, 1}, Doubles{3, 1, 1}), 2 / std::sqrt(6.0));
  EXPECT_DOUBLE_EQ(*kendall_tau_b(kBestIsFirst, Doubles{5, 5, 5, 5}), 0.0);
  EXPECT_FALSE(kendall_tau_b(Doubles{0, 0}, Doubles{1, 2}));
  EXPECT_FALSE(kendall_tau_b({}, {}));
}

TEST(Metrics, Spearman) {
  EXPECT_DOUBLE_EQ(*spearman(Doubles{1, 2, 3, 4}, Doubles{10, 20, 40, 30}), 0.8);
  EXPECT_DOUBLE_EQ(*spearman(Doubles{1, 2, 3}, Doubles{3, 2, 1}), -1.0);
  // Mid-ranks 4, 2, 2, 2 against 4, 3, 2, 1: covariance 3, variances 3 and 5.
  EXPECT_DOUBLE_EQ(*spearman(kBestIsFirst, Doubles{4, 3, 2, 1}), 3 / std::sqrt(15.0));
  EXPECT_DOUBLE_EQ(*spearman(kBestIsFirst, Doubles{5, 5, 5, 5}), 0.0);
  EXPECT_FALSE(spearman(Doubles{1, 1}, Doubles{1, 2}));
}

TEST(Metrics, Ndcg) {
  EXPECT_DOUBLE_EQ(*ndcg_at(kBestIsFirst, Doubles{4, 3, 2, 1}, 4), 1.0);
  EXPECT_DOUBLE_EQ(*ndcg_at(kBestIsFirst, Doubles{2, 4, 3, 1}, 4), 1 / std::log2(4.0)) << "third place";
  EXPECT_DOUBLE_EQ(*ndcg_at(kBestIsFirst, Doubles{2, 4, 3, 1}, 2), 0.0) << "beyond k";
  const double discounts = 1 + 1 / std::log2(3.0) + 0.5 + 1 / std::log2(5.0);
  EXPECT_DOUBLE_EQ(*ndcg_at(kBestIsFirst, Doubles{5, 5, 5, 5}, 4), discounts / 4) << "mean over all orders";
  // Relevance 2, 1, 0 in the order 1, 2, 0.
  EXPECT_DOUBLE_EQ(*ndcg_at(Doubles{2, 1, 0}, Doubles{2, 3, 1}, 4),
                   (1 + 2 / std::log2(3.0)) / (2 + 1 / std::log2(3.0)));
  EXPECT_FALSE(ndcg_at(Doubles{0, 0}, Doubles{1, 2}, 4));
}

TEST(Metrics, DecidedPairsAreImageRewards) {
  // Ranks 1, 2, 2, 3: five pairs are decided; scores 4, 4, 3, 1 tie one of them, which is wrong.
  const auto pairs = decided_pairs(Doubles{2, 1, 1, 0}, Doubles{4, 4, 3, 1});
  EXPECT_DOUBLE_EQ(pairs.count, 5.0);
  EXPECT_DOUBLE_EQ(pairs.right, 4.0);
  EXPECT_DOUBLE_EQ(decided_pairs(Doubles{1, 1}, Doubles{1, 2}).count, 0.0) << "a tie of the votes decides nothing";
  EXPECT_DOUBLE_EQ(decided_pairs(kBestIsFirst, Doubles{5, 5, 5, 5}).right, 0.0) << "a constant has none right";
}

TEST(Metrics, RecallAtK) {
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{4, 3, 2, 1}, 1), 1.0);
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{3, 4, 2, 1}, 1), 0.0);
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{4, 4, 2, 1}, 1), 0.5);
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{5, 5, 5, 5}, 1), 0.25) << "a constant is chance";
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{3, 4, 2, 1}, 2), 1.0);
  EXPECT_DOUBLE_EQ(*recall_at(kBestIsFirst, Doubles{5, 5, 5, 5}, 2), 0.5);
  // One place is left for three tied images, two of them best: 1 - 1/3.
  EXPECT_DOUBLE_EQ(*recall_at(Doubles{0, 1, 1, 0, 0}, Doubles{9, 5, 5, 5, 1}, 2), 2.0 / 3);
  // Two places for three tied images, one of them best: 1 - 2/3 * 1/2.
  EXPECT_DOUBLE_EQ(*recall_at(Doubles{1, 0, 0}, Doubles{5, 5, 5}, 2), 2.0 / 3);
  EXPECT_FALSE(recall_at(Doubles{1, 1}, Doubles{1, 2}, 1));
  EXPECT_FALSE(recall_at(kBestIsFirst, Doubles{4, 3, 2, 1}, 4)) << "four of four are always all";
  EXPECT_FALSE(recall_at({}, {}, 1));
}

TEST(Metrics, FilterAtK) {
  const Doubles grades = {3, 2, 1, 0};
  EXPECT_DOUBLE_EQ(*filter_at(grades, Doubles{4, 3, 2, 1}, 1), 1.0);
  EXPECT_DOUBLE_EQ(*filter_at(grades, Doubles{4, 3, 1, 2}, 1), 0.0);
  EXPECT_DOUBLE_EQ(*filter_at(grades, Doubles{4, 3, 1, 2}, 2), 1.0);
  EXPECT_DOUBLE_EQ(*filter_at(grades, Doubles{4, 3, 1, 1}, 1), 0.5);
  EXPECT_FALSE(filter_at(kBestIsFirst, Doubles{1, 2, 3, 4}, 2)) << "of three worst images any order has one";
  EXPECT_DOUBLE_EQ(*filter_at(kBestIsFirst, Doubles{1, 2, 3, 4}, 1), 0.0) << "the best image is not a worst one";
  EXPECT_DOUBLE_EQ(*filter_at(kBestIsFirst, Doubles{5, 5, 5, 5}, 1), 0.75) << "a constant is chance";
  EXPECT_FALSE(filter_at(Doubles{1, 1}, Doubles{1, 2}, 1));
}

TEST(Metrics, ShareOfBest) {
  EXPECT_DOUBLE_EQ(*share_of_best(kBestIsFirst), 0.25);
  EXPECT_DOUBLE_EQ(*share_of_best(Doubles{2, 2, 0}), 2.0 / 3);
  EXPECT_FALSE(share_of_best(Doubles{1, 1}));
}

TEST(Metrics, PairProbability) {
  EXPECT_DOUBLE_EQ(pair_probability(1.0, 1.0), 0.5);
  EXPECT_NEAR(pair_probability(std::log(3.0), 0.0), 0.75, 1e-12);
  EXPECT_DOUBLE_EQ(pair_probability(-1e6, 1e6), 0.0);
  EXPECT_DOUBLE_EQ(pair_probability(1e6, -1e6), 1.0);
  EXPECT_NEAR(pair_probability(2.0 * std::log(3.0), 0.0, {2.0, 0.0}), 0.75, 1e-12) << "half as sure";
  // sigmoid(1 - 0.5) = 0.62246 and sigmoid(-1 - 0.5) = 0.18243: of those that are no tie.
  EXPECT_DOUBLE_EQ(pair_probability(3.0, 3.0, {1.0, 0.5}), 0.5);
  EXPECT_EQ(pair_probability(1.0, 0.0, {1.0, 0.5}), pair_probability(1.0, 0.0)) << "ties do not matter to winners";
}

}  // namespace
}  // namespace imagerank::evaluation
