#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace imagerank {

/// splitmix64: one step of the generator, also a good 64-bit mixer. Source: Steele, Lea, Flood 2014.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t value) noexcept {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

/// The same numbers on every platform and library version for a seed, which <random>'s distributions do not promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(mix64(seed)) {}
  /// An independent stream, for one item or one thread.
  Random(std::uint64_t seed, std::uint64_t stream) noexcept : state_(mix64(mix64(seed) ^ mix64(~stream))) {}

  std::uint64_t next() noexcept { return mix64(state_ += 0x9e3779b97f4a7c15ULL); }
  /// Uniform in [0, 1), 53 bits.
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }
  /// Uniform in [0, count), unbiased; count > 0. Source: Lemire 2019.
  std::uint64_t below(std::uint64_t count) noexcept {
    __extension__ using Wide = unsigned __int128;
    Wide product = Wide{next()} * count;
    if (static_cast<std::uint64_t>(product) < count) {
      const std::uint64_t threshold = (0 - count) % count;
      while (static_cast<std::uint64_t>(product) < threshold) product = Wide{next()} * count;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }
  /// Standard normal, Box-Muller.
  double normal() noexcept {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }
  bool chance(double probability) noexcept { return uniform() < probability; }
  /// Fisher-Yates.
  template <typename T>
  void shuffle(std::vector<T>& items) noexcept {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace imagerank
