#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace imagerank::evaluation {

/// Every metric, in the order of every table. The names are a contract with readers of report.json.
enum class Metric : std::uint8_t {
  kAccuracy,
  kBalancedAccuracy,
  kMacroF1,
  kAuc,
  kR2,
  kPairStrictMicro,
  kPairStrictMacro,
  kPairPickscore,
  kPairHpsInversion,
  kPairImageReward,
  kKendallTauB,
  kSpearman,
  kNdcgAt4,
  kRecallAt1,
  kRecallAt2,
  kRecallAt4,
  kFilterAt1,
  kFilterAt2,
  kFilterAt4,
  kBestOfNLift,
  kBrier,
  kLogLoss,
  kEce,
};
inline constexpr std::size_t kMetricCount = 23;
/// Names by Metric: "accuracy", ..., "ece".
inline constexpr std::array<std::string_view, kMetricCount> kMetricNames = {"accuracy",
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

/// What a metric means here, in one sentence: conventions on ties, averaging and range.
[[nodiscard]] std::string_view metric_definition(Metric metric) noexcept;
/// True for what is read in percent: every metric from 0 to 1 but ndcg, auc and those of probabilities.
[[nodiscard]] bool is_share(Metric metric) noexcept;
/// False for brier, log_loss and ece.
[[nodiscard]] constexpr bool higher_is_better(Metric metric) noexcept {
  return metric != Metric::kBrier && metric != Metric::kLogLoss && metric != Metric::kEce;
}

// ---- Classification: from a confusion matrix of (weighted) counts, [classes, classes], rows the truth. ----------
// Each gives nullopt where the matrix is empty.

/// Share of rows on the diagonal, 0..1.
[[nodiscard]] std::optional<double> accuracy(std::span<const double> confusion, std::size_t classes);
/// Mean recall over the classes that occur in the truth, 0..1; a constant gets 1 / (classes that occur).
/// Source: scikit-learn's balanced_accuracy_score.
[[nodiscard]] std::optional<double> balanced_accuracy(std::span<const double> confusion, std::size_t classes);
/// Mean F1 over the classes that occur in truth or prediction, 0..1; a class never hit has F1 0.
/// Source: scikit-learn's f1_score(average="macro").
[[nodiscard]] std::optional<double> macro_f1(std::span<const double> confusion, std::size_t classes);

/// 1 - SSE / SST, where SST is around the mean of the truth: at most 1, and 0 for the mean itself.
/// @return nullopt where the truth does not vary.
[[nodiscard]] std::optional<double> r2(double count, double sum, double sum_of_squares, double squared_error);

/// One row's score for "is positive", sorted for AucCurve.
struct ScoredRow {
  double score = 0.0;
  bool positive = false;
  std::uint32_t group = 0;  ///< whose weight counts for this row
};
/// Area under the ROC curve: the chance that a positive scores above a negative, ties half; a constant gets 0.5.
/// @param sorted  ascending by score. @param group_weight  weight by ScoredRow::group; empty: all 1.
/// @return nullopt where positives or negatives are missing. Source: the Mann-Whitney U statistic.
[[nodiscard]] std::optional<double> auc(std::span<const ScoredRow> sorted, std::span<const std::uint16_t> group_weight);

// ---- Probabilities. ------------------------------------------------------------------------------------------

/// One row's Brier score: (p1 - y)^2 for two classes, 0..1; the sum over classes for more, 0..2.
/// Source: scikit-learn's brier_score_loss.
[[nodiscard]] double brier_row(std::span<const double> probabilities, std::int32_t label);
/// -ln p(label), p clipped to [2^-23, 1]: the probabilities are float32.
[[nodiscard]] double log_loss_row(std::span<const double> probabilities, std::int32_t label);

/// One row's top probability and whether that answer was right.
struct ConfidentRow {
  double confidence = 0.0;
  double correct = 0.0;  ///< 1, 0, or 0.5 where two answers had that probability
  std::uint32_t group = 0;
};
/// One bin of a reliability plot.
struct ReliabilityBin {
  double weight = 0.0;  ///< share of rows
  double mean_confidence = 0.0;
  double accuracy = 0.0;
};
inline constexpr std::size_t kCalibrationBins = 15;
/// Equal-mass bins over the top class's confidence; rows of one confidence stay in one bin, so a constant gives one.
/// @param sorted  ascending by confidence. @param group_weight  as in auc().
[[nodiscard]] std::vector<ReliabilityBin> reliability(std::span<const ConfidentRow> sorted,
                                                      std::span<const std::uint16_t> group_weight);
/// Expected calibration error: the weighted mean of |accuracy - confidence| over `reliability`'s bins, 0..1.
/// Source: Guo et al. 2017; equal-mass bins: Nguyen and O'Connor 2015.
[[nodiscard]] std::optional<double> ece(std::span<const ReliabilityBin> bins);

// ---- Pairs. p_a: the probability that a is preferred; above 0.5 a won, below b won, 0.5 a tie. ------------------

/// True for a pair that someone won.
[[nodiscard]] constexpr bool is_strict(double p_a) noexcept { return p_a < 0.5 || p_a > 0.5; }
/// 1 if the winner scores higher, else 0: an equal score is wrong, so that a constant gets 0, never 1 or 0.5.
/// Source: the `>` of ImageReward's test.py. Call for strict pairs only.
[[nodiscard]] double strict_credit(double p_a, double score_a, double score_b) noexcept;
/// How a head's differences of score become probabilities, as reward.json's "calibration" has it.
struct PairCalibration {
  double temperature = 1.0;         ///< above 0
  std::optional<double> tie_width;  ///< a tie is likeliest while |difference| / temperature is below it
};
/// The probability that a is preferred to b if one of them is: 1 / (1 + exp((score_b - score_a) / temperature)).
/// Source: Bradley and Terry 1952; with Davidson's ties (1970) it is the same.
[[nodiscard]] double pair_probability(double score_a, double score_b, const PairCalibration& calibration = {}) noexcept;
/// PickScore's rule: a tie is predicted where |p - (1 - p)| <= threshold, p = 1 / (1 + exp(score_b - score_a));
/// 1 for the right one of the three answers, 0.5 if exactly one of truth and prediction is a tie, else 0.
/// Source: PickScore's eval_preference_predictor.py.
[[nodiscard]] double pickscore_credit(double p_a, double score_a, double score_b, double threshold) noexcept;
/// The threshold of {0, 0.1, ..., 1} with the highest mean credit; the lowest of equals; 0 without pairs.
[[nodiscard]] double choose_pickscore_threshold(std::span<const double> p_a, std::span<const double> score_a,
                                                std::span<const double> score_b);

// ---- Rankings of n images: relevance (higher is better, equal is a tie) against scores, both [n]. ---------------

/// 1 - inversions / (n (n - 1) / 2). Pairs tied in the truth count as right; a tie in the scores counts as half an
/// inversion, which is what breaking it at random gives. @return nullopt for n < 2.
/// Source: inversion_score of HPSv2's training, whose argsort breaks ties by position.
[[nodiscard]] std::optional<double> hps_inversion(std::span<const double> relevance, std::span<const double> scores);
/// (concordant - discordant) / sqrt((pairs - ties in truth) (pairs - ties in scores)), -1..1; 0 for constant scores.
/// With one best image of four the ceiling is 3 / sqrt(18) = 0.707. @return nullopt where the truth is all one tie.
[[nodiscard]] std::optional<double> kendall_tau_b(std::span<const double> relevance, std::span<const double> scores);
/// Pearson's correlation of mid-ranks, -1..1; 0 for constant scores. @return nullopt where the truth is all one tie.
[[nodiscard]] std::optional<double> spearman(std::span<const double> relevance, std::span<const double> scores);
/// Discounted gain (gain = relevance, discount 1 / log2(1 + place)) of the k highest scores over the best possible,
/// 0..1; images of equal score share the mean gain of their places. Relevance must not be negative.
/// @return nullopt where the truth is all one tie. Source: Jarvelin and Kekalainen 2002; ties: McSherry and Najork
/// 2008.
[[nodiscard]] std::optional<double> ndcg_at(std::span<const double> relevance, std::span<const double> scores,
                                            std::size_t k);
/// The pairs of a ranking that the truth decides, and how many of them the scores order alike.
struct DecidedPairs {
  double right = 0.0;
  double count = 0.0;
};
/// Tied scores are wrong, ties in the truth are left out. Source: the `>` over all pairs of ImageReward's test.py.
[[nodiscard]] DecidedPairs decided_pairs(std::span<const double> relevance, std::span<const double> scores);
/// 1 if a best image is among the k highest scores; tied scores in expectation over their orders.
/// @return nullopt where the truth is all one tie, or so many images are best that any order has 1.
/// Source: the Recall of ImageReward's paper; the rule for ties is this project's.
[[nodiscard]] std::optional<double> recall_at(std::span<const double> relevance, std::span<const double> scores,
                                              std::size_t k);
/// 1 if a worst image is among the k lowest scores; else as recall_at. Source: the Filter of ImageReward's paper.
[[nodiscard]] std::optional<double> filter_at(std::span<const double> relevance, std::span<const double> scores,
                                              std::size_t k);
/// The share of best images in a ranking: how often one taken at random is best. nullopt where all are tied.
[[nodiscard]] std::optional<double> share_of_best(std::span<const double> relevance);

}  // namespace imagerank::evaluation
