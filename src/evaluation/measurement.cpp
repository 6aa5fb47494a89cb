#include "evaluation/measurement.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>

#include "core/fail.h"

namespace imagerank::evaluation {
namespace {

void check(std::string_view name, std::span<const double> values, std::size_t expected) {
  if (!values.empty() && values.size() != expected) {
    fail(ErrorCode::kInvalidArgument, "evaluation: {} has {} numbers, expected {}", name, values.size(), expected);
  }
  const auto bad = std::ranges::find_if_not(values, [](double value) { return std::isfinite(value); });
  if (bad != values.end()) {
    fail(ErrorCode::kCorruptData, "evaluation: {} number {} is {}, expected finite scores: did training diverge?", name,
         bad - values.begin(), *bad);
  }
}

/// Sums per prompt from which metrics follow, in columns side by side, so that one pass resamples them all: a sum and
/// a count for each metric that is a mean, then the confusion matrix, then count, sum, squares and error for R2.
class Ledger {
 public:
  Ledger(std::size_t prompts, std::size_t classes) : classes_(classes), sums_(prompts * columns()) {}

  [[nodiscard]] static constexpr std::size_t confusion() { return 2 * kMetricCount; }
  [[nodiscard]] std::size_t regression() const { return confusion() + classes_ * classes_; }
  [[nodiscard]] std::size_t columns() const { return regression() + 4; }
  [[nodiscard]] std::span<const double> sums() const { return sums_; }

  double& cell(std::size_t prompt, std::size_t column) { return sums_[prompt * columns() + column]; }
  void add(std::size_t prompt, Metric metric, double sum, double count) {
    cell(prompt, 2 * static_cast<std::size_t>(metric)) += sum;
    cell(prompt, 2 * static_cast<std::size_t>(metric) + 1) += count;
  }
  void add(std::size_t prompt, Metric metric, std::optional<double> value) {
    if (value) add(prompt, metric, *value, 1.0);
  }
  /// Turns a metric's sum over a prompt's items into their mean, counted once.
  void average_within_prompts(Metric metric) {
    const std::size_t column = 2 * static_cast<std::size_t>(metric);
    for (std::size_t row = column; row < sums_.size(); row += columns()) {
      if (sums_[row + 1] <= 0.0) continue;
      sums_[row] /= sums_[row + 1];
      sums_[row + 1] = 1.0;
    }
  }
  /// effective_groups of what a metric counts.
  [[nodiscard]] double effective_prompts(Metric metric) const {
    if (sums_.empty()) return 0.0;
    if (metric == Metric::kR2) return effective_groups(std::span(sums_).subspan(regression()), columns());
    if (metric == Metric::kAccuracy || metric == Metric::kBalancedAccuracy || metric == Metric::kMacroF1) {
      std::vector<double> rows;
      for (std::size_t row = 0; row < sums_.size(); row += columns()) {
        const auto cells = std::span(sums_).subspan(row + confusion(), classes_ * classes_);
        rows.push_back(std::accumulate(cells.begin(), cells.end(), 0.0));
      }
      return effective_groups(rows);
    }
    return effective_groups(std::span(sums_).subspan(2 * static_cast<std::size_t>(metric) + 1), columns());
  }
  [[nodiscard]] std::vector<double> totals() const {
    std::vector<double> result(columns());
    for (std::size_t i = 0; i < sums_.size(); ++i) result[i % columns()] += sums_[i];
    return result;
  }

 private:
  std::size_t classes_;
  std::vector<double> sums_;  // [prompts, columns]
};

void add_points(const SplitTruth& truth, const Predictions& predictions, Ledger& ledger) {
  const auto classes = static_cast<std::size_t>(truth.class_count);
  for (std::size_t i = 0; i < truth.points(); ++i) {
    const auto prompt = truth.point_prompt[i];
    const auto label = static_cast<std::size_t>(truth.point_label[i]);
    if (!predictions.classes.empty()) {
      ledger.cell(prompt, Ledger::confusion() + label * classes + static_cast<std::size_t>(predictions.classes[i])) +=
          1;
    }
    if (!predictions.values.empty()) {
      const auto y = static_cast<double>(label);
      const double error = y - predictions.values[i];
      ledger.cell(prompt, ledger.regression()) += 1.0;
      ledger.cell(prompt, ledger.regression() + 1) += y;
      ledger.cell(prompt, ledger.regression() + 2) += y * y;
      ledger.cell(prompt, ledger.regression() + 3) += error * error;
    }
    if (!predictions.probabilities.empty()) {
      const auto row = std::span(predictions.probabilities).subspan(i * classes, classes);
      ledger.add(prompt, Metric::kBrier, brier_row(row, truth.point_label[i]));
      ledger.add(prompt, Metric::kLogLoss, log_loss_row(row, truth.point_label[i]));
    }
  }
}

void add_pairs(const SplitTruth& truth, const Predictions& predictions, double threshold, Ledger& ledger) {
  if (predictions.pair_a.empty()) return;
  for (std::size_t i = 0; i < truth.pairs(); ++i) {
    const auto prompt = truth.pair_prompt[i];
    const double p_a = truth.pair_p_a[i];
    const double a = predictions.pair_a[i];
    const double b = predictions.pair_b[i];
    if (is_strict(p_a)) {
      ledger.add(prompt, Metric::kPairStrictMicro, strict_credit(p_a, a, b));
      ledger.add(prompt, Metric::kPairStrictMacro, strict_credit(p_a, a, b));
    }
    ledger.add(prompt, Metric::kPairPickscore, pickscore_credit(p_a, a, b, threshold));
  }
  ledger.average_within_prompts(Metric::kPairStrictMacro);
}

/// A pair loss's statement about a strict pair, as brier_row takes it: the probabilities that b and that a wins.
std::array<double, 2> winner_probabilities(double p_a) { return {1.0 - p_a, p_a}; }

void add_pair_probabilities(const SplitTruth& truth, std::span<const double> stated, Ledger& ledger) {
  for (std::size_t i = 0; i < stated.size(); ++i) {
    if (!is_strict(truth.pair_p_a[i])) continue;
    const std::int32_t winner = truth.pair_p_a[i] > 0.5 ? 1 : 0;
    const auto row = winner_probabilities(stated[i]);
    ledger.add(truth.pair_prompt[i], Metric::kBrier, brier_row(row, winner));
    ledger.add(truth.pair_prompt[i], Metric::kLogLoss, log_loss_row(row, winner));
  }
}

void add_rankings(const SplitTruth& truth, const Predictions& predictions, Ledger& ledger) {
  if (predictions.candidates.empty()) return;
  for (std::size_t i = 0; i < truth.rankings(); ++i) {
    const auto prompt = truth.ranking_prompt[i];
    const auto begin = truth.ranking_begin[i];
    const auto size = truth.ranking_begin[i + 1] - begin;
    const auto relevance = std::span(truth.relevance).subspan(begin, size);
    const auto scores = std::span(predictions.candidates).subspan(begin, size);
    ledger.add(prompt, Metric::kPairHpsInversion, hps_inversion(relevance, scores));
    ledger.add(prompt, Metric::kKendallTauB, kendall_tau_b(relevance, scores));
    ledger.add(prompt, Metric::kSpearman, spearman(relevance, scores));
    ledger.add(prompt, Metric::kNdcgAt4, ndcg_at(relevance, scores, 4));
    const auto pairs = decided_pairs(relevance, scores);
    ledger.add(prompt, Metric::kPairImageReward, pairs.right, pairs.count);
    const auto top = recall_at(relevance, scores, 1);
    ledger.add(prompt, Metric::kRecallAt1, top);
    ledger.add(prompt, Metric::kRecallAt2, recall_at(relevance, scores, 2));
    ledger.add(prompt, Metric::kRecallAt4, recall_at(relevance, scores, 4));
    ledger.add(prompt, Metric::kFilterAt1, filter_at(relevance, scores, 1));
    ledger.add(prompt, Metric::kFilterAt2, filter_at(relevance, scores, 2));
    ledger.add(prompt, Metric::kFilterAt4, filter_at(relevance, scores, 4));
    if (top) ledger.add(prompt, Metric::kBestOfNLift, *top, *share_of_best(relevance));
  }
  ledger.average_within_prompts(Metric::kPairHpsInversion);
}

/// Whether a metric depends on how the scores order images.
bool is_of_order(Metric metric) { return metric >= Metric::kPairStrictMicro && metric <= Metric::kBestOfNLift; }

/// Whether any two images got different scores. Where none did, what metrics of order say is a convention, not a result
/// with an uncertainty.
bool tells_apart(const SplitTruth& truth, const Predictions& predictions) {
  if (!std::ranges::equal(predictions.pair_a, predictions.pair_b)) return true;
  for (std::size_t i = 0; i < truth.rankings() && !predictions.candidates.empty(); ++i) {
    const auto scores = std::span(predictions.candidates)
                            .subspan(truth.ranking_begin[i], truth.ranking_begin[i + 1] - truth.ranking_begin[i]);
    if (std::ranges::adjacent_find(scores, std::not_equal_to<>()) != scores.end()) return true;
  }
  return false;
}

/// A metric that follows from a ledger's sums.
std::optional<double> from_sums(Metric metric, std::span<const double> sums, const Ledger& ledger,
                                std::size_t classes) {
  const auto confusion = sums.subspan(Ledger::confusion(), classes * classes);
  switch (metric) {
    case Metric::kAccuracy:
      return accuracy(confusion, classes);
    case Metric::kBalancedAccuracy:
      return balanced_accuracy(confusion, classes);
    case Metric::kMacroF1:
      return macro_f1(confusion, classes);
    case Metric::kR2: {
      const auto row = sums.subspan(ledger.regression(), 4);
      return r2(row[0], row[1], row[2], row[3]);
    }
    default: {
      const std::size_t column = 2 * static_cast<std::size_t>(metric);
      if (sums[column + 1] <= 0.0) return std::nullopt;
      return sums[column] / sums[column + 1];
    }
  }
}

/// Rows of one class against the rest, ascending by score.
std::vector<ScoredRow> scored_rows(const SplitTruth& truth, const Predictions& predictions, std::int32_t positive) {
  const auto classes = static_cast<std::size_t>(truth.class_count);
  std::vector<ScoredRow> rows(truth.points());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {predictions.class_scores[i * classes + static_cast<std::size_t>(positive)],
               truth.point_label[i] == positive, truth.point_prompt[i]};
  }
  std::ranges::sort(rows, [](const ScoredRow& a, const ScoredRow& b) { return a.score < b.score; });
  return rows;
}

Estimate estimate_auc(const SplitTruth& truth, const Predictions& predictions, const Bootstrap& bootstrap) {
  if (predictions.class_scores.empty()) return {};
  std::vector<std::vector<ScoredRow>> curves;
  for (std::int32_t positive = truth.class_count == 2 ? 1 : 0; positive < truth.class_count; ++positive) {
    curves.push_back(scored_rows(truth, predictions, positive));
  }
  const auto mean = [&](std::span<const std::uint16_t> weights) -> std::optional<double> {
    double sum = 0.0;
    int present = 0;
    for (const auto& curve : curves) {
      const auto area = auc(curve, weights);
      if (!area) continue;
      sum += *area;
      ++present;
    }
    if (present == 0) return std::nullopt;
    return sum / present;
  };
  return bootstrap.estimate(mean({}), [&](std::size_t draw) { return mean(bootstrap.counts(draw)); });
}

void sort_by_confidence(std::vector<ConfidentRow>& rows) {
  std::ranges::sort(rows, [](const ConfidentRow& a, const ConfidentRow& b) { return a.confidence < b.confidence; });
}

std::vector<ConfidentRow> confident_pairs(const SplitTruth& truth, std::span<const double> stated) {
  std::vector<ConfidentRow> rows;
  for (std::size_t i = 0; i < stated.size(); ++i) {
    if (!is_strict(truth.pair_p_a[i])) continue;
    const double credit = is_strict(stated[i]) ? ((stated[i] > 0.5) == (truth.pair_p_a[i] > 0.5) ? 1.0 : 0.0) : 0.5;
    rows.push_back({std::max(stated[i], 1.0 - stated[i]), credit, truth.pair_prompt[i]});
  }
  sort_by_confidence(rows);
  return rows;
}

std::vector<ConfidentRow> confident_rows(const SplitTruth& truth, const Predictions& predictions) {
  const auto classes = static_cast<std::size_t>(truth.class_count);
  if (!predictions.pair_probabilities.empty()) return confident_pairs(truth, predictions.pair_probabilities);
  if (predictions.probabilities.empty()) return {};
  const auto chosen = likeliest_classes(predictions.probabilities, truth.class_count);
  std::vector<ConfidentRow> rows(truth.points());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {predictions.probabilities[i * classes + static_cast<std::size_t>(chosen[i])],
               chosen[i] == truth.point_label[i] ? 1.0 : 0.0, truth.point_prompt[i]};
  }
  sort_by_confidence(rows);
  return rows;
}

Estimate estimate_ece(const SplitTruth& truth, const Predictions& predictions, const Bootstrap& bootstrap) {
  const auto rows = confident_rows(truth, predictions);
  return bootstrap.estimate(ece(reliability(rows, {})),
                            [&](std::size_t draw) { return ece(reliability(rows, bootstrap.counts(draw))); });
}

}  // namespace

Subject subject_of(const Predictions& predictions) noexcept {
  if (!predictions.pair_probabilities.empty()) return Subject::kPairs;
  return predictions.probabilities.empty() ? Subject::kNothing : Subject::kLabels;
}

std::size_t SplitTruth::strict_pairs() const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(pair_p_a, is_strict));
}

void check_predictions(const SplitTruth& truth, const Predictions& predictions, const Bootstrap& bootstrap) {
  const auto classes = static_cast<std::size_t>(truth.class_count);
  if (bootstrap.groups() != truth.prompt_count) {
    fail(ErrorCode::kInvalidArgument, "evaluation: the bootstrap has {} groups, expected {} prompts",
         bootstrap.groups(), truth.prompt_count);
  }
  if (!predictions.classes.empty() && predictions.classes.size() != truth.points()) {
    fail(ErrorCode::kInvalidArgument, "evaluation: {} predicted classes, expected {}", predictions.classes.size(),
         truth.points());
  }
  for (const auto predicted : predictions.classes) {
    if (predicted < 0 || predicted >= truth.class_count) {
      fail(ErrorCode::kInvalidArgument, "evaluation: predicted class {}, expected 0 to {}", predicted,
           truth.class_count - 1);
    }
  }
  check("class_scores", predictions.class_scores, truth.points() * classes);
  check("probabilities", predictions.probabilities, truth.points() * classes);
  check("values", predictions.values, truth.points());
  check("pair_a", predictions.pair_a, truth.pairs());
  check("pair_b", predictions.pair_b, truth.pairs());
  check("candidates", predictions.candidates, truth.relevance.size());
  check("pair_probabilities", predictions.pair_probabilities, truth.pairs());
  if (!predictions.probabilities.empty() && !predictions.pair_probabilities.empty()) {
    fail(ErrorCode::kInvalidArgument, "evaluation: probabilities of labels and of pairs, expected one of them");
  }
}

Measurement measure(const SplitTruth& truth, const Predictions& predictions, double pickscore_threshold,
                    const Bootstrap& bootstrap) {
  check_predictions(truth, predictions, bootstrap);
  const auto classes = static_cast<std::size_t>(truth.class_count);
  Ledger ledger(truth.prompt_count, classes);
  add_points(truth, predictions, ledger);
  add_pairs(truth, predictions, pickscore_threshold, ledger);
  add_pair_probabilities(truth, predictions.pair_probabilities, ledger);
  add_rankings(truth, predictions, ledger);
  const auto totals = ledger.totals();
  const auto resampled = bootstrap.resampled_sums(ledger.sums(), ledger.columns());

  const bool ordered = tells_apart(truth, predictions);
  Measurement result;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const auto metric = static_cast<Metric>(i);
    if (metric == Metric::kAuc) {
      result[i] = estimate_auc(truth, predictions, bootstrap);
    } else if (metric == Metric::kEce) {
      result[i] = estimate_ece(truth, predictions, bootstrap);
    } else {
      const auto of_draw = [&](std::size_t draw) {
        return from_sums(metric, std::span(resampled).subspan(draw * ledger.columns(), ledger.columns()), ledger,
                         classes);
      };
      const double groups = ledger.effective_prompts(metric);
      if (groups <= 0.0) continue;
      result[i] = bootstrap.estimate(
          from_sums(metric, totals, ledger, classes), of_draw,
          is_share(metric) && (ordered || !is_of_order(metric)) ? Scale::kShare : Scale::kReal, groups);
    }
  }
  return result;
}

Measurement measure_pair_probabilities(const SplitTruth& truth, std::span<const double> p_a,
                                       const Bootstrap& bootstrap) {
  Predictions predictions;
  predictions.pair_probabilities.assign(p_a.begin(), p_a.end());
  return measure(truth, predictions, 0.0, bootstrap);
}

std::vector<double> confusion_matrix(const SplitTruth& truth, const Predictions& predictions) {
  if (predictions.classes.empty()) return {};
  const auto classes = static_cast<std::size_t>(truth.class_count);
  std::vector<double> matrix(classes * classes);
  for (std::size_t i = 0; i < truth.points(); ++i) {
    matrix[static_cast<std::size_t>(truth.point_label[i]) * classes +
           static_cast<std::size_t>(predictions.classes[i])] += 1.0;
  }
  return matrix;
}

std::vector<ReliabilityBin> reliability_bins(const SplitTruth& truth, const Predictions& predictions) {
  return reliability(confident_rows(truth, predictions), {});
}

std::vector<std::int32_t> nearest_labels(std::span<const double> values, std::int32_t class_count) {
  std::vector<std::int32_t> labels;
  labels.reserve(values.size());
  for (const double value : values) {
    labels.push_back(static_cast<std::int32_t>(std::lround(std::clamp(value, 0.0, class_count - 1.0))));
  }
  return labels;
}

std::vector<double> closeness_scores(std::span<const double> values, std::int32_t class_count) {
  std::vector<double> scores;
  scores.reserve(values.size() * static_cast<std::size_t>(class_count));
  for (const double value : values) {
    // With two classes the number itself orders the rows, beyond 1 too; the other column is its mirror.
    if (class_count == 2) {
      scores.insert(scores.end(), {-value, value});
      continue;
    }
    for (std::int32_t c = 0; c < class_count; ++c) scores.push_back(-std::abs(value - c));
  }
  return scores;
}

std::vector<std::int32_t> likeliest_classes(std::span<const double> class_scores, std::int32_t class_count) {
  const auto classes = static_cast<std::size_t>(class_count);
  std::vector<std::int32_t> result;
  result.reserve(class_scores.size() / classes);
  for (std::size_t begin = 0; begin + classes <= class_scores.size(); begin += classes) {
    const auto row = class_scores.subspan(begin, classes);
    result.push_back(static_cast<std::int32_t>(std::ranges::max_element(row) - row.begin()));
  }
  return result;
}

}  // namespace imagerank::evaluation
