#include "cli/command_mix.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <ostream>
#include <utility>

#include "cli/evaluation_results.h"
#include "cli/scored_items.h"
#include "core/fail.h"
#include "reward/mixture.h"
#include "reward/published_scorers.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank::cli {
namespace {

struct Part {
  std::string reward;
  double weight = 1.0;
};

Part parse_part(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos) return {text, 1.0};
  Part part{text.substr(0, equals), 0.0};
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + equals + 1, end, part.weight);
  if (error != std::errc() || at != end || !std::isfinite(part.weight) || part.weight == 0.0 || part.reward.empty()) {
    fail(ErrorCode::kInvalidArgument, "--reward: expected REWARD=WEIGHT with a finite weight other than 0, found '{}'",
         text);
  }
  return part;
}

/// How the mixture's folder calls a reward: a neighbour by its name, so that the workspace may move.
std::string place_of(const std::filesystem::path& folder, const workspace::Workspace& workspace) {
  if (std::filesystem::exists(folder)) {
    const auto whole = std::filesystem::canonical(folder);
    if (whole.parent_path() == std::filesystem::canonical(workspace.root()) / "rewards") {
      return (std::filesystem::path("..") / whole.filename()).string();
    }
    return whole.string();
  }
  return folder.string();  // a published scorer's name
}

struct Spread {
  double mean = 0.0;
  double deviation = 0.0;
};

Spread spread_of(std::span<const float> scores) {
  Spread spread;
  for (const float score : scores) spread.mean += score;
  spread.mean /= static_cast<double>(scores.size());
  for (const float score : scores) spread.deviation += (score - spread.mean) * (score - spread.mean);
  spread.deviation = std::sqrt(spread.deviation / static_cast<double>(scores.size()));
  return spread;
}

void print(std::ostream& out, const nlohmann::json& record, const std::filesystem::path& folder) {
  out << fmt::format("{:<28} {:>10} {:>14} {:>14}\n", "reward", "weight", "mean", "deviation");
  for (const auto& term : record["terms"]) {
    out << fmt::format("{:<28} {:>10.4g} {:>14.6g} {:>14.6g}\n", term["reward"].get<std::string>(),
                       term["weight"].get<double>(), term["mean"].get<double>(),
                       term["standard_deviation"].get<double>());
  }
  out << fmt::format("standardised over {} images and prompts of validation; saved as {}\n",
                     with_thousands(record["data"]["rows"].get<std::uint64_t>()), folder.string());
}

}  // namespace

int run_mix(const MixOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  check_reward_name(options.name);
  if (reward::find_scorer(options.name) != nullptr) {
    fail(ErrorCode::kInvalidArgument, "--name: expected a name of your own, found the published scorer's '{}'",
         options.name);
  }
  const auto folder = workspace.reward_dir(options.name);
  std::map<std::string, EvaluationInputs> inputs;  // by encoder
  std::vector<reward::MixtureTerm> terms;
  std::size_t rows = 0;
  nlohmann::json more;
  for (const std::string& text : options.rewards) {
    const Part part = parse_part(text);
    if (part.reward == options.name) {
      fail(ErrorCode::kInvalidArgument, "--reward: expected others than the mixture itself, found '{}'", part.reward);
    }
    const auto place = find_reward_folder(workspace, part.reward);
    // A trained reward knows its encoder.
    const bool trained = std::filesystem::exists(place / "reward.json");
    const auto encoder = trained ? reward::EncoderPlace{} : scoring::place_for(place, options.encoder);
    const auto reward = reward::Reward::load(place, encoder);
    reward::MixtureTerm term{place_of(place, workspace), encoder, part.weight, 0.0, 1.0, {}};
    for (const auto& need : reward.needs()) term.encoders.push_back(encoder_for(workspace, need, place));
    auto known = inputs.find(term.encoders.front());
    if (known == inputs.end()) {
      known =
          inputs.emplace(term.encoders.front(), load_evaluation_inputs(workspace, term.encoders.front(), "validation"))
              .first;
    }
    const HeadScores scores(reward, known->second, CachedVectors(workspace, reward, place, /*beside_inputs=*/true),
                            terminal.context());
    const Spread spread = spread_of(scores.values());
    if (!(spread.deviation > 0.0)) {
      fail(ErrorCode::kCorruptData, "reward {}: expected scores that differ, found {} for all of validation",
           part.reward, spread.mean);
    }
    term.mean = spread.mean;
    term.deviation = spread.deviation;
    if (terms.empty()) {
      more["encoder"] = term.encoders.front();
      more["model"] = reward.model();
    }
    const auto untrained = reward.record().find("encoder_untrained");
    if (untrained != reward.record().end() && untrained->is_boolean() && untrained->get<bool>()) {
      more["encoder_untrained"] = true;  // reports warn of it
    }
    terms.push_back(std::move(term));
    rows = scores.values().size();
  }
  more["data"] = {{"rows", rows}, {"split", "validation"}};
  const nlohmann::json record = reward::mixture_record(terms, more);
  reward::save_mixture(folder, record);
  nlohmann::ordered_json object = {{"name", options.name}, {"path", folder.string()}, {"rows", rows}};
  object["terms"] = record["terms"];
  terminal.result(object, [&](std::ostream& out) { print(out, record, folder); });
  return 0;
}

std::function<int(Terminal&)> add_mix(CLI::App& command) {
  const auto options = std::make_shared<MixOptions>();
  command.add_option("--data", options->data, "The workspace, over whose validation split scores are standardised")
      ->required();
  command
      .add_option("--reward", options->rewards,
                  "REWARD=WEIGHT: a name under rewards/, a folder, a head's file or a published scorer; several")
      ->required();
  command.add_option("--name", options->name, "Name of the mixture, a folder under rewards/")->required();
  add_encoder_options(command, options->encoder);
  command.footer("Example:\n  imagerank mix --data mine --reward mlp=0.7 --reward pickscore=0.3 --name both");
  return [options](Terminal& terminal) { return run_mix(*options, terminal); };
}

}  // namespace imagerank::cli
