#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace imagerank::evaluation {

/// A value and its 95 % interval; null where it does not apply or no interval can be computed.
struct Estimate {
  std::optional<double> value;
  std::optional<double> low;
  std::optional<double> high;
};

/// The bootstrap by group: groups (prompts), not rows, are drawn with replacement, because rows of one prompt are not
/// independent. The draws are made once, so that every metric of every head and baseline sees the same ones and
/// differences are paired. Deterministic for a seed. Thread-safe after construction.
/// Source: Efron and Tibshirani 1993, chapter 13 (percentile interval); Field and Welsh 2007 (clusters).
class Bootstrap {
 public:
  static constexpr std::size_t kDraws = 1000;
  /// @param groups  how many; fewer than 2 give no intervals. @param draws  0 for no intervals.
  explicit Bootstrap(std::size_t groups, std::size_t draws = kDraws, std::uint64_t seed = 0);

  [[nodiscard]] std::size_t draws() const noexcept { return draws_; }
  [[nodiscard]] std::size_t groups() const noexcept { return groups_; }
  /// How often each group was drawn, [groups].
  [[nodiscard]] std::span<const std::uint16_t> counts(std::size_t draw) const noexcept {
    return std::span(counts_).subspan(draw * groups_, groups_);
  }
  /// Sums over the drawn groups. @param per_group  [groups, columns]. @return [draws, columns].
  [[nodiscard]] std::vector<double> resampled_sums(std::span<const double> per_group, std::size_t columns) const;
  /// @param value      the statistic on the data itself.
  /// @param statistic  the statistic of one draw; nullopt where it is undefined there.
  /// @return no interval if it is undefined in more than half of the draws.
  [[nodiscard]] Estimate estimate(std::optional<double> value,
                                  const std::function<std::optional<double>(std::size_t draw)>& statistic) const;

 private:
  std::size_t groups_ = 0;
  std::size_t draws_ = 0;
  std::vector<std::uint16_t> counts_;  // [draws, groups]
};

/// The q-quantile of sorted values, linearly interpolated; values must not be empty, q in 0..1.
[[nodiscard]] double quantile(std::span<const double> sorted, double q);

}  // namespace imagerank::evaluation
