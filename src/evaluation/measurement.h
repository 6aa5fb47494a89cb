#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "evaluation/bootstrap.h"
#include "evaluation/metrics.h"

namespace imagerank::evaluation {

/// What people said in one split. Prompts are numbered 0..prompt_count-1 over all three kinds; one may occur in any.
struct SplitTruth {
  std::size_t prompt_count = 0;
  std::int32_t class_count = 3;
  std::vector<std::uint32_t> point_prompt;    ///< [points]
  std::vector<std::int32_t> point_label;      ///< [points], 0..class_count-1
  std::vector<std::uint32_t> pair_prompt;     ///< [pairs]
  std::vector<double> pair_p_a;               ///< [pairs], 0..1
  std::vector<std::uint32_t> ranking_prompt;  ///< [rankings]
  std::vector<std::size_t> ranking_begin;     ///< [rankings + 1], into the two arrays of candidates
  std::vector<double> relevance;              ///< [candidates], 0 or more, higher is better

  [[nodiscard]] std::size_t points() const noexcept { return point_label.size(); }
  [[nodiscard]] std::size_t pairs() const noexcept { return pair_p_a.size(); }
  [[nodiscard]] std::size_t rankings() const noexcept { return ranking_prompt.size(); }
  [[nodiscard]] std::size_t strict_pairs() const noexcept;
};

/// What a head or a baseline says of a SplitTruth. An empty array: it says nothing of that kind, and the metrics that
/// need it are null. Utilities are on any scale on which higher is better.
struct Predictions {
  std::vector<std::int32_t> classes;   ///< [points]
  std::vector<double> class_scores;    ///< [points, class_count]: for AUC, by column; any scale
  std::vector<double> probabilities;   ///< [points, class_count], rows sum to 1
  std::vector<double> values;          ///< [points], on the labels' scale: for R2
  std::vector<double> pair_a, pair_b;  ///< [pairs]: utilities
  std::vector<double> candidates;      ///< [candidates]: utilities
  /// [pairs]: the stated probability that a is preferred. Where there is one, brier, log_loss and ece are about the
  /// winners of strict pairs, and `probabilities` must be empty.
  std::vector<double> pair_probabilities;
};

/// What a head states probabilities of.
enum class Subject : std::uint8_t { kNothing, kLabels, kPairs };
[[nodiscard]] Subject subject_of(const Predictions& predictions) noexcept;

/// Estimates by Metric.
using Measurement = std::array<Estimate, kMetricCount>;
[[nodiscard]] inline const Estimate& at(const Measurement& measurement, Metric metric) {
  return measurement[static_cast<std::size_t>(metric)];
}
[[nodiscard]] inline Estimate& at(Measurement& measurement, Metric metric) {
  return measurement[static_cast<std::size_t>(metric)];
}

/// @throws Error kInvalidArgument where array sizes disagree, kCorruptData for a score that is not finite.
void check_predictions(const SplitTruth& truth, const Predictions& predictions, const Bootstrap& bootstrap);

/// All metrics of one set of predictions, with intervals from `bootstrap`, whose groups are the truth's prompts.
/// @param pickscore_threshold  see choose_pickscore_threshold.
/// @throws Error as check_predictions.
[[nodiscard]] Measurement measure(const SplitTruth& truth, const Predictions& predictions, double pickscore_threshold,
                                  const Bootstrap& bootstrap);

/// brier, log_loss and ece of stated probabilities that a pair's image a is preferred, for strict pairs; the other
/// metrics are null. @param p_a  [pairs].
[[nodiscard]] Measurement measure_pair_probabilities(const SplitTruth& truth, std::span<const double> p_a,
                                                     const Bootstrap& bootstrap);

/// [class_count, class_count] counts, rows the truth; empty without classes.
[[nodiscard]] std::vector<double> confusion_matrix(const SplitTruth& truth, const Predictions& predictions);
/// The bins of a reliability plot; empty without probabilities.
[[nodiscard]] std::vector<ReliabilityBin> reliability_bins(const SplitTruth& truth, const Predictions& predictions);

/// @param values  numbers on the labels' scale. @return the nearest label each, within 0..class_count-1.
[[nodiscard]] std::vector<std::int32_t> nearest_labels(std::span<const double> values, std::int32_t class_count);
/// Scores for AUC from one number a row, [rows, class_count]: how close it lies to each label.
[[nodiscard]] std::vector<double> closeness_scores(std::span<const double> values, std::int32_t class_count);
/// The likeliest class of each row; the lowest of equals.
[[nodiscard]] std::vector<std::int32_t> likeliest_classes(std::span<const double> class_scores,
                                                          std::int32_t class_count);

}  // namespace imagerank::evaluation
