#include "cli/scored_items.h"

#include <algorithm>
#include <numeric>

#include "cli/evaluation_inputs.h"
#include "workspace/workspace.h"

namespace imagerank::cli {

std::filesystem::path reward_folder(const std::string& reward, const std::filesystem::path& data) {
  if (data.empty()) return reward;
  return find_reward_folder(workspace::Workspace::open(data), reward);
}

std::vector<std::size_t> best_first(std::span<const ScoredImage> items) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (items[a].ok() != items[b].ok()) return items[a].ok();
    return items[a].ok() && items[a].score > items[b].score;
  });
  return order;
}

nlohmann::ordered_json item_json(const std::string& image, const ScoredImage& item, std::size_t rank) {
  if (item.ok()) return {{"image", image}, {"score", item.score}, {"rank", rank}};
  return {{"image", image}, {"score", nullptr}, {"rank", nullptr}, {"error", item.reason}};
}

nlohmann::ordered_json failures_json(std::span<const std::string> names, std::span<const ScoredImage> items) {
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].ok()) {
      failures.push_back({{"item", names[i]}, {"reason", items[i].reason}, {"detail", items[i].detail}});
    }
  }
  return failures;
}

int exit_code_of(std::span<const ScoredImage> items, bool strict) noexcept {
  const auto failed = std::ranges::count_if(items, [](const ScoredImage& item) { return !item.ok(); });
  const bool all = !items.empty() && static_cast<std::size_t>(failed) == items.size();
  return all || (strict && failed != 0) ? 1 : 0;
}

}  // namespace imagerank::cli
