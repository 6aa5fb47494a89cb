#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "simulation/grammar.h"

namespace imagerank::simulation {
namespace {

constexpr double kShapeWeight = 1.0;
constexpr double kColourWeight = 1.0;
constexpr double kCountWeight = 0.6;
constexpr double kSizeWeight = 0.3;
constexpr double kPlaceWeight = 0.4;
constexpr double kBackgroundWeight = 1.0;
constexpr double kExtraGroupCost = 0.1;

double mentioned_weight(const GroupMention& mention) {
  return kShapeWeight + (mention.colour ? kColourWeight : 0.0) + (mention.count ? kCountWeight : 0.0) +
         (mention.size ? kSizeWeight : 0.0) + (mention.place ? kPlaceWeight : 0.0);
}

double earned_weight(const Group& wanted, const GroupMention& mention, const Group& found) {
  double sum = wanted.shape == found.shape ? kShapeWeight : 0.0;
  if (mention.colour && wanted.colour == found.colour) sum += kColourWeight;
  if (mention.count) {
    const int difference = std::abs(wanted.count - found.count);
    sum += difference == 0 ? kCountWeight : difference == 1 ? kCountWeight / 2.0 : 0.0;
  }
  if (mention.size && wanted.size == found.size) sum += kSizeWeight;
  if (mention.place && wanted.place == found.place) sum += kPlaceWeight;
  return sum;
}

/// The most that any one-to-one assignment of wanted to found groups earns; at most 4! assignments.
double best_assignment(const Prompt& prompt, const Scene& scene) {
  const std::size_t slots = std::max(prompt.scene.groups.size(), scene.groups.size());
  std::vector<std::size_t> order(slots);
  std::iota(order.begin(), order.end(), std::size_t{0});
  double best = 0.0;
  do {
    double sum = 0.0;
    for (std::size_t i = 0; i < prompt.scene.groups.size(); ++i) {
      if (order[i] >= scene.groups.size()) continue;  // left out
      sum += earned_weight(prompt.scene.groups[i], prompt.mentions[i], scene.groups[order[i]]);
    }
    best = std::max(best, sum);
  } while (std::ranges::next_permutation(order).found);
  return best;
}

}  // namespace

double match(const Prompt& prompt, const Scene& scene) {
  if (prompt.scene.groups.empty()) return 0.5;
  double total = prompt.mentions_background ? kBackgroundWeight : 0.0;
  for (const GroupMention& mention : prompt.mentions) total += mentioned_weight(mention);
  double earned = best_assignment(prompt, scene);
  if (prompt.mentions_background && prompt.scene.background == scene.background) earned += kBackgroundWeight;
  const auto extra = static_cast<double>(scene.groups.size()) - static_cast<double>(prompt.scene.groups.size());
  return std::clamp(earned / total - kExtraGroupCost * std::max(0.0, extra), 0.0, 1.0);
}

}  // namespace imagerank::simulation
