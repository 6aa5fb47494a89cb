#include "evaluation/paired.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "core/random.h"

namespace imagerank::evaluation {
namespace {

constexpr std::size_t kMostEnumerated = 16;
constexpr int kDrawnSigns = 9999;

/// Strict pairs of one prompt: how many more the first has right, and how many there are.
struct PromptSums {
  double difference = 0.0;
  double pairs = 0.0;
};

std::vector<PromptSums> sums_by_prompt(const SplitTruth& truth, const Predictions& first, const Predictions& second) {
  std::vector<PromptSums> sums(truth.prompt_count);
  for (std::size_t i = 0; i < truth.pairs(); ++i) {
    const double p_a = truth.pair_p_a[i];
    if (!is_strict(p_a)) continue;
    auto& prompt = sums[truth.pair_prompt[i]];
    prompt.difference +=
        strict_credit(p_a, first.pair_a[i], first.pair_b[i]) - strict_credit(p_a, second.pair_a[i], second.pair_b[i]);
    prompt.pairs += 1.0;
  }
  return sums;
}

}  // namespace

double sign_flip_p(std::span<const double> differences) {
  std::vector<double> sizes;
  double total = 0.0;
  for (const double difference : differences) {
    if (std::abs(difference) > 0.0) sizes.push_back(std::abs(difference));
    total += difference;
  }
  if (sizes.empty()) return 1.0;
  // Sums in another order differ by rounding: what is as far from zero but for that is as far.
  const double least = std::abs(total) - 1e-9 * std::max(1.0, std::abs(total));
  const auto flipped = [&](auto&& negative) {
    double sum = 0.0;
    for (std::size_t i = 0; i < sizes.size(); ++i) sum += negative(i) ? -sizes[i] : sizes[i];
    return std::abs(sum) >= least;
  };
  if (sizes.size() <= kMostEnumerated) {
    const std::uint32_t signs = 1U << sizes.size();
    std::uint32_t as_far = 0;
    for (std::uint32_t sign = 0; sign < signs; ++sign) {
      if (flipped([&](std::size_t i) { return (sign >> i & 1U) != 0; })) ++as_far;
    }
    return static_cast<double>(as_far) / static_cast<double>(signs);
  }
  int as_far = 0;
  for (int draw = 0; draw < kDrawnSigns; ++draw) {
    Random random(0, static_cast<std::uint64_t>(draw));
    std::uint64_t bits = 0;
    const auto negative = [&](std::size_t i) {
      if (i % 64 == 0) bits = random.next();
      return (bits >> (i % 64) & 1U) != 0;
    };
    if (flipped(negative)) ++as_far;
  }
  return (as_far + 1.0) / (kDrawnSigns + 1.0);
}

PairedTest compare_strict(const SplitTruth& truth, const Predictions& first, const Predictions& second,
                          const Bootstrap& bootstrap) {
  check_predictions(truth, first, bootstrap);
  check_predictions(truth, second, bootstrap);
  if (first.pair_a.empty() || second.pair_a.empty()) return {};
  const auto prompts = sums_by_prompt(truth, first, second);
  std::vector<double> table;
  std::vector<double> differences;
  double sum = 0.0;
  double count = 0.0;
  for (const auto& prompt : prompts) {
    table.insert(table.end(), {prompt.difference, prompt.pairs});
    differences.push_back(prompt.difference);
    sum += prompt.difference;
    count += prompt.pairs;
  }
  if (count <= 0.0) return {};
  const auto resampled = bootstrap.resampled_sums(table, 2);
  const auto of_draw = [&](std::size_t draw) -> std::optional<double> {
    if (resampled[2 * draw + 1] <= 0.0) return std::nullopt;
    return resampled[2 * draw] / resampled[2 * draw + 1];
  };
  const double groups = effective_groups(std::span(table).subspan(1), 2);
  return {bootstrap.estimate(sum / count, of_draw, Scale::kReal, groups), sign_flip_p(differences)};
}

PairedTest reversed(const PairedTest& test) {
  const auto negated = [](const std::optional<double>& value) {
    return value ? std::optional<double>(-*value) : std::nullopt;
  };
  return {{negated(test.difference.value), negated(test.difference.high), negated(test.difference.low)}, test.p};
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(order.size() - i) * p[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

}  // namespace imagerank::evaluation
