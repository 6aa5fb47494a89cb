#include "simulation/annotators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace imagerank::simulation {
namespace {

constexpr double kMatchWeight = 0.68;
constexpr double kQualityWeight = 0.32;

// Shares of the ten most active people of Pick-a-Pic v0, whose sum is 0.56 of all rankings.
constexpr std::array<double, 10> kHeavyShares = {0.173, 0.100, 0.064, 0.051, 0.050, 0.033, 0.033, 0.023, 0.017, 0.016};

constexpr double kNoise = 0.215;
constexpr double kTieMargin = 0.096;
constexpr double kTaste = 0.025;

double appeal(const Annotator& annotator, const Candidate& candidate) {
  double sum = true_utility(candidate.match, candidate.quality) + annotator.quality_taste * candidate.quality;
  sum += annotator.background_taste[static_cast<std::size_t>(candidate.scene->background)];
  for (const Group& group : candidate.scene->groups) {
    sum += annotator.colour_taste[static_cast<std::size_t>(group.colour)] /
           static_cast<double>(candidate.scene->groups.size());
  }
  return sum;
}

}  // namespace

double true_utility(double match, double quality) noexcept { return kMatchWeight * match + kQualityWeight * quality; }

std::vector<Annotator> make_annotators(std::size_t rankings, double noise, Random& random) {
  const std::size_t count = std::max<std::size_t>(14, rankings / 26);
  std::vector<Annotator> annotators(count);
  double tail = 0.0;
  for (std::size_t i = kHeavyShares.size(); i < count; ++i) tail += 1.0 / static_cast<double>(i);
  double heavy = 0.0;
  for (const double share : kHeavyShares) heavy += share;
  for (std::size_t i = 0; i < count; ++i) {
    Annotator& person = annotators[i];
    person.user_id = fmt::format("{}", 100 + i);
    person.activity = i < kHeavyShares.size() ? kHeavyShares[i] : (1.0 - heavy) / (tail * static_cast<double>(i));
    person.quality_taste = noise * 0.07 * random.normal();
    for (double& taste : person.colour_taste) taste = noise * kTaste * random.normal();
    for (double& taste : person.background_taste) taste = noise * kTaste * random.normal();
    person.first_place_taste = noise * 0.012 * std::abs(random.normal());
    person.noise = noise * kNoise * std::exp(0.2 * random.normal());
    person.tie_margin = kTieMargin * std::exp(0.12 * random.normal());
  }
  return annotators;
}

std::size_t draw_annotator(std::span<const Annotator> annotators, Random& random) {
  double u = random.uniform();
  for (std::size_t i = 0; i + 1 < annotators.size(); ++i) {
    u -= annotators[i].activity;
    if (u < 0.0) return i;
  }
  return annotators.size() - 1;
}

std::optional<std::size_t> vote(const Annotator& annotator, std::span<const Candidate> candidates, Random& random) {
  double best = -std::numeric_limits<double>::infinity();
  double second = best;
  std::size_t best_index = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double value = appeal(annotator, candidates[i]) + (i == 0 ? annotator.first_place_taste : 0.0) +
                         annotator.noise * random.normal();
    if (value > best) {
      second = best;
      best = value;
      best_index = i;
    } else {
      second = std::max(second, value);
    }
  }
  if (best - second < annotator.tie_margin) return std::nullopt;
  return best_index;
}

}  // namespace imagerank::simulation
