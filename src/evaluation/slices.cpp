#include "evaluation/slices.h"

#include "core/fail.h"

namespace imagerank::evaluation {
namespace {

// Columns of a slice's sums by prompt: a sum and a count for each of the two accuracies.
constexpr std::size_t kStrict = 0;
constexpr std::size_t kPickscore = 2;
constexpr std::size_t kColumns = 4;

std::vector<double> sums_of(const SplitTruth& truth, const Predictions& predictions, double threshold,
                            const Slice& slice) {
  std::vector<double> sums(truth.prompt_count * kColumns);
  for (const auto pair : slice.pairs) {
    if (pair >= truth.pairs()) {
      fail(ErrorCode::kInvalidArgument, "slice {}, {}: pair {}, expected less than {}", slice.dimension, slice.name,
           pair, truth.pairs());
    }
    const double p_a = truth.pair_p_a[pair];
    const double a = predictions.pair_a[pair];
    const double b = predictions.pair_b[pair];
    double* const prompt = sums.data() + truth.pair_prompt[pair] * kColumns;
    if (is_strict(p_a)) {
      prompt[kStrict] += strict_credit(p_a, a, b);
      prompt[kStrict + 1] += 1.0;
    }
    prompt[kPickscore] += pickscore_credit(p_a, a, b, threshold);
    prompt[kPickscore + 1] += 1.0;
  }
  return sums;
}

Estimate estimate(std::span<const double> sums, std::span<const double> resampled, std::size_t column,
                  const Bootstrap& bootstrap) {
  double sum = 0.0;
  double count = 0.0;
  for (std::size_t row = 0; row < sums.size(); row += kColumns) {
    sum += sums[row + column];
    count += sums[row + column + 1];
  }
  if (count <= 0.0) return {};
  const auto of_draw = [&](std::size_t draw) -> std::optional<double> {
    const double* const row = resampled.data() + draw * kColumns;
    if (row[column + 1] <= 0.0) return std::nullopt;
    return row[column] / row[column + 1];
  };
  return bootstrap.estimate(sum / count, of_draw, Scale::kShare, effective_groups(sums.subspan(column + 1), kColumns));
}

/// Micro; null without strict pairs or predictions.
std::optional<double> strict_accuracy(const SplitTruth& truth, const Predictions& predictions, const Slice& slice) {
  if (predictions.pair_a.empty()) return std::nullopt;
  double credit = 0.0;
  double count = 0.0;
  for (const auto pair : slice.pairs) {
    if (!is_strict(truth.pair_p_a[pair])) continue;
    credit += strict_credit(truth.pair_p_a[pair], predictions.pair_a[pair], predictions.pair_b[pair]);
    count += 1.0;
  }
  return count > 0.0 ? std::optional(credit / count) : std::nullopt;
}

}  // namespace

std::vector<SliceResult> measure_slices(const SplitTruth& truth, const Predictions& predictions,
                                        const BaselineResults& baselines, double pickscore_threshold,
                                        const Bootstrap& bootstrap, std::span<const Slice> slices) {
  check_predictions(truth, predictions, bootstrap);
  std::vector<SliceResult> results;
  if (predictions.pair_a.empty()) return results;
  for (const auto& slice : slices) {
    if (slice.pairs.empty()) continue;
    const auto sums = sums_of(truth, predictions, pickscore_threshold, slice);
    const auto resampled = bootstrap.resampled_sums(sums, kColumns);
    SliceResult result{slice.dimension, slice.name, 0, slice.pairs.size(), 0, {}, {}, {}};
    for (std::size_t row = 0; row < sums.size(); row += kColumns) {
      if (sums[row + kPickscore + 1] > 0.0) ++result.prompts;
      result.strict_pairs += static_cast<std::uint64_t>(sums[row + kStrict + 1]);
    }
    result.strict = estimate(sums, resampled, kStrict, bootstrap);
    result.pickscore = estimate(sums, resampled, kPickscore, bootstrap);
    for (std::size_t i = 0; i < kBaselineCount && result.strict_pairs != 0; ++i) {
      const bool drawn = static_cast<Baseline>(i) == Baseline::kRandom;  // worked out, not drawn
      result.baselines[i] = drawn ? std::optional(0.5) : strict_accuracy(truth, baselines[i].predictions, slice);
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace imagerank::evaluation
