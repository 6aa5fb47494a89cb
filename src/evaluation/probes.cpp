#include "evaluation/probes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/fail.h"

namespace imagerank::evaluation {
namespace {

double deviation_of(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const auto [least, most] = std::ranges::minmax(values);
  if (!(least < most)) return 0.0;
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

ProbeResult measure_probe(std::span<const double> scores, std::span<const std::uint32_t> prompt, const Probe& probe,
                          double deviation, const Bootstrap& bootstrap) {
  ProbeResult result{probe.name, probe.what, probe.expectation, 0, {}, {}, ProbeVerdict::kNothingToJudge};
  constexpr std::size_t kColumns = 3;  // change, rises, items
  std::vector<double> sums(bootstrap.groups() * kColumns);
  std::array<double, kColumns> totals = {};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(probe.scores[i])) continue;
    const double change = probe.scores[i] - scores[i];
    const std::array<double, kColumns> row = {change / deviation, change > 0.0 ? 1.0 : 0.0, 1.0};
    for (std::size_t column = 0; column < kColumns; ++column) {
      sums[prompt[i] * kColumns + column] += row[column];
      totals[column] += row[column];
    }
    ++result.n;
  }
  if (result.n == 0) return result;
  const double groups = effective_groups(std::span(sums).subspan(2), kColumns);
  const auto resampled = bootstrap.resampled_sums(sums, kColumns);
  const auto mean = [&](std::size_t column, Scale scale) {
    const auto of_draw = [&](std::size_t draw) -> std::optional<double> {
      const double* const row = resampled.data() + draw * kColumns;
      if (row[2] <= 0.0) return std::nullopt;
      return row[column] / row[2];
    };
    return bootstrap.estimate(totals[column] / totals[2], of_draw, scale, groups);
  };
  result.mean_change = mean(0, Scale::kReal);
  result.share_rising = mean(1, Scale::kShare);
  result.verdict = judge_probe(probe.expectation, result.mean_change);
  return result;
}

}  // namespace

std::string_view expectation_name(Expectation expectation) noexcept {
  switch (expectation) {
    case Expectation::kFall:
      return "fall";
    case Expectation::kNotRise:
      return "not rise";
    case Expectation::kStay:
      return "stay";
  }
  return "";
}

std::string_view probe_verdict_name(ProbeVerdict verdict) noexcept {
  switch (verdict) {
    case ProbeVerdict::kAsItShould:
      return "as it should";
    case ProbeVerdict::kNotAsItShould:
      return "not as it should";
    case ProbeVerdict::kUnclear:
      return "unclear";
    case ProbeVerdict::kNothingToJudge:
      return "nothing to judge";
  }
  return "";
}

ProbeVerdict judge_probe(Expectation expectation, const Estimate& mean_change) noexcept {
  if (!mean_change.low || !mean_change.high) return ProbeVerdict::kNothingToJudge;
  const double low = *mean_change.low;
  const double high = *mean_change.high;
  bool right = false;
  bool wrong = false;
  switch (expectation) {
    case Expectation::kFall:
      right = high < 0.0;
      wrong = low >= 0.0;
      break;
    case Expectation::kNotRise:
      right = high < kSmallChange;
      wrong = low >= kSmallChange;
      break;
    case Expectation::kStay:
      right = low > -kSmallChange && high < kSmallChange;
      wrong = low >= kSmallChange || high <= -kSmallChange;
      break;
  }
  if (right) return ProbeVerdict::kAsItShould;
  return wrong ? ProbeVerdict::kNotAsItShould : ProbeVerdict::kUnclear;
}

ProbeReport measure_probes(std::span<const double> scores, std::span<const std::uint32_t> prompt,
                           std::size_t prompt_count, std::span<const Probe> probes, std::size_t draws) {
  if (prompt.size() != scores.size()) {
    fail(ErrorCode::kInvalidArgument, "probes: {} prompts, expected one for each of {} scores", prompt.size(),
         scores.size());
  }
  for (const auto& probe : probes) {
    if (probe.scores.size() == scores.size()) continue;
    fail(ErrorCode::kInvalidArgument, "probe {}: {} scores, expected {}", probe.name, probe.scores.size(),
         scores.size());
  }
  const auto bad = std::ranges::find_if_not(scores, [](double score) { return std::isfinite(score); });
  if (bad != scores.end()) {
    fail(ErrorCode::kCorruptData, "probes: score {} is {}, expected a finite number", bad - scores.begin(), *bad);
  }
  ProbeReport report;
  report.items = scores.size();
  report.prompts = prompt_count;
  report.deviation = deviation_of(scores);
  const Bootstrap bootstrap(prompt_count, draws);
  for (const auto& probe : probes) {
    if (report.deviation > 0.0) {
      report.results.push_back(measure_probe(scores, prompt, probe, report.deviation, bootstrap));
    } else {
      report.results.push_back({probe.name, probe.what, probe.expectation, 0, {}, {}, ProbeVerdict::kNothingToJudge});
    }
  }
  return report;
}

}  // namespace imagerank::evaluation
