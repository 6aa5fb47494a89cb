#include "evaluation/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/random.h"

namespace imagerank::evaluation {
namespace {

constexpr double kZ975 = 1.959963984540054;

/// The draws' variance is that of a mean of n groups around their own mean: (n - 1) / n of what it estimates.
double widening(double groups) { return std::sqrt(groups / (groups - 1.0)); }

double standard_deviation(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (count - 1.0));
}

std::pair<double, double> wilson_interval(double share, std::span<const double> draws, double groups) {
  const double t = student_t_975(groups - 1.0);
  const double error = standard_deviation(draws) * widening(groups);
  const double variance = share * (1.0 - share);
  constexpr double kTiny = 1e-9;
  const bool varies = error > kTiny;
  // What every draw repeats is so by construction, unless all answers are alike: then each group counts as one answer.
  if (!varies && variance > kTiny) return {share, share};
  const double answers = varies && variance > kTiny ? variance / (error * error) : groups;
  const double shrink = t * t / answers;
  const double middle = (share + shrink / 2.0) / (1.0 + shrink);
  const double half = std::sqrt(t * t * std::max(0.0, variance) / answers + shrink * shrink / 4.0) / (1.0 + shrink);
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

std::pair<double, double> percentile_interval(std::vector<double>& draws, double groups) {
  std::ranges::sort(draws);
  const double tail = 0.5 * std::erfc(widening(groups) * student_t_975(groups - 1.0) / std::numbers::sqrt2);
  return {quantile(draws, tail), quantile(draws, 1.0 - tail)};
}

}  // namespace

Bootstrap::Bootstrap(std::size_t groups, std::size_t draws, std::uint64_t seed)
    : groups_(groups), draws_(groups < 2 ? 0 : draws), counts_(groups_ * draws_) {
  for (std::size_t draw = 0; draw < draws_; ++draw) {
    Random random(seed, draw);
    const auto row = std::span(counts_).subspan(draw * groups_, groups_);
    for (std::size_t i = 0; i < groups_; ++i) {
      auto& count = row[random.below(groups_)];
      if (count != UINT16_MAX) ++count;
    }
  }
}

std::vector<double> Bootstrap::resampled_sums(std::span<const double> per_group, std::size_t columns) const {
  std::vector<double> sums(draws_ * columns);
  for (std::size_t draw = 0; draw < draws_; ++draw) {
    const auto drawn = counts(draw);
    double* const out = sums.data() + draw * columns;
    for (std::size_t group = 0; group < groups_; ++group) {
      if (drawn[group] == 0) continue;
      const double times = drawn[group];
      const double* const row = per_group.data() + group * columns;
      for (std::size_t column = 0; column < columns; ++column) out[column] += times * row[column];
    }
  }
  return sums;
}

Estimate Bootstrap::estimate(std::optional<double> value, const Statistic& statistic, Scale scale,
                             double groups) const {
  Estimate result{value, std::nullopt, std::nullopt};
  if (groups <= 0.0) groups = static_cast<double>(groups_);
  constexpr double kOne = 1.0 + 1e-9;
  if (!value || draws_ == 0 || groups < kOne) return result;
  groups = std::max(groups, 2.0);
  std::vector<double> values;
  values.reserve(draws_);
  for (std::size_t draw = 0; draw < draws_; ++draw) {
    if (const auto drawn = statistic(draw)) values.push_back(*drawn);
  }
  if (values.size() < 2 || values.size() * 2 < draws_) return result;
  const auto [low, high] =
      scale == Scale::kShare ? wilson_interval(*value, values, groups) : percentile_interval(values, groups);
  result.low = low;
  result.high = high;
  return result;
}

double effective_groups(std::span<const double> sizes, std::size_t stride) {
  double sum = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < sizes.size(); i += stride) {
    sum += sizes[i];
    squares += sizes[i] * sizes[i];
  }
  return squares > 0.0 ? sum * sum / squares : 0.0;
}

double student_t_975(double degrees) {
  constexpr std::array kSmall = {12.706205, 4.302653, 3.182446};  // for 1, 2 and 3
  if (degrees < 3.0) {
    const double n = std::max(degrees, 1.0);
    const std::size_t below = n < 2.0 ? 0 : 1;
    const double first = 1.0 / static_cast<double>(below + 1);
    const double second = 1.0 / static_cast<double>(below + 2);
    return kSmall[below] + (kSmall[below + 1] - kSmall[below]) * (first - 1.0 / n) / (first - second);
  }
  const double n = degrees;
  const double z = kZ975;
  return z + (std::pow(z, 3) + z) / (4 * n) + (5 * std::pow(z, 5) + 16 * std::pow(z, 3) + 3 * z) / (96 * n * n) +
         (3 * std::pow(z, 7) + 19 * std::pow(z, 5) + 17 * std::pow(z, 3) - 15 * z) / (384 * n * n * n);
}

double quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

}  // namespace imagerank::evaluation
