#include "cli/scored_items.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <numeric>
#include <system_error>

#include "cli/evaluation_inputs.h"
#include "core/fail.h"
#include "workspace/workspace.h"

namespace imagerank::cli {

void add_encoder_options(CLI::App& command, reward::EncoderPlace& place) {
  command.add_option("--model", place.model, "The encoder, if it is not where the reward says");
  command.add_option("--tokenizer", place.tokenizer, "Folder of the encoder's tokenizer, likewise");
  add_hps_antialias(command, place);
}

void add_hps_antialias(CLI::App& command, reward::EncoderPlace& place) {
  const std::map<std::string, bool> words = {{"legacy", false}, {"on", true}};
  command
      .add_option_function<bool>(
          "--hps-antialias", [&place](const bool& on) { place.hps_antialias = on; },
          "hpsv2, hpsv2.1: resize as published (legacy), or with antialiasing as newer torchvision does (on)")
      ->transform(CLI::CheckedTransformer(words))
      ->type_name("legacy|on");
}

ScorerOptions scorer_options(const reward::EncoderPlace& place, int threads) {
  ScorerOptions options;
  options.model = place.model;
  options.tokenizer = place.tokenizer;
  options.hps_antialias = place.hps_antialias;
  options.threads = threads;
  return options;
}

std::filesystem::path reward_folder(const std::string& reward, const std::filesystem::path& data) {
  if (data.empty()) return reward;
  return find_reward_folder(workspace::Workspace::open(data), reward);
}

void check_reward_name(const std::string& name) {
  const bool plain = !name.empty() && name.front() != '.' && name.find_first_of("/\\") == std::string::npos;
  if (!plain) fail(ErrorCode::kInvalidArgument, "--name: expected a plain folder name, found '{}'", name);
}

std::filesystem::path resolve_image(const std::filesystem::path& image, const std::filesystem::path& folder) {
  std::error_code ignored;
  const std::filesystem::path beside = folder / image;
  return std::filesystem::exists(beside, ignored) || !std::filesystem::exists(image, ignored) ? beside : image;
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
  if (item.ok()) {
    nlohmann::ordered_json object = {{"image", image}, {"score", item.score}, {"rank", rank}};
    if (item.truncated) object["truncated"] = true;
    return object;
  }
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
