#include "evaluation/bootstrap.h"

#include <algorithm>

#include "core/random.h"

namespace imagerank::evaluation {

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

Estimate Bootstrap::estimate(std::optional<double> value,
                             const std::function<std::optional<double>(std::size_t draw)>& statistic) const {
  Estimate result{value, std::nullopt, std::nullopt};
  if (!value || draws_ == 0) return result;
  std::vector<double> values;
  values.reserve(draws_);
  for (std::size_t draw = 0; draw < draws_; ++draw) {
    if (const auto drawn = statistic(draw)) values.push_back(*drawn);
  }
  if (values.empty() || values.size() * 2 < draws_) return result;
  std::ranges::sort(values);
  result.low = quantile(values, 0.025);
  result.high = quantile(values, 0.975);
  return result;
}

double quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

}  // namespace imagerank::evaluation
