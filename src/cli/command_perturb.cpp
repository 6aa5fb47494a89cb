#include "cli/command_perturb.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <ostream>

#include "perturbations/perturb.h"

namespace imagerank::cli {
namespace {

std::string count_text(std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); }

nlohmann::ordered_json as_json(const std::map<std::string, std::int64_t>& counts) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

void print(std::ostream& out, const perturbations::PerturbCounts& counts, const std::string& mode) {
  const auto line = [&](const char* name, const std::string& text) { out << fmt::format("{:<11}{}\n", name, text); };
  line("prompts", count_text(counts.prompts));
  line("perturbed", fmt::format("{} rows of mode {}; {} of the other mode kept", count_text(counts.perturbed), mode,
                                count_text(counts.kept)));
  for (const auto& [kind, count] : counts.by_kind) line("", fmt::format("{:<12}{}", kind, count_text(count)));
  for (const auto& [reason, count] : counts.skipped)
    line("skipped", fmt::format("{} prompts: {}", count_text(count), reason));
}

}  // namespace

int run_perturb(const PerturbOptions& options, Terminal& terminal) {
  perturbations::PerturbSettings settings;
  settings.mode = perturbations::perturb_mode_of(options.mode);
  settings.per_prompt = options.per_prompt;
  settings.seed = options.seed;
  settings.distance = perturbations::distance_range_of(options.distance);
  const auto workspace = workspace::Workspace::open(options.data);
  const auto counts = perturbations::perturb_prompts(workspace, settings, terminal.context());
  if (counts.perturbed == 0) terminal.warn("no wrong prompt was made; see `skipped`");
  const nlohmann::ordered_json object = {{"prompts", counts.prompts},
                                         {"perturbed", counts.perturbed},
                                         {"by_kind", as_json(counts.by_kind)},
                                         {"skipped", as_json(counts.skipped)},
                                         {"kept", counts.kept}};
  terminal.result(object, [&](std::ostream& out) { print(out, counts, options.mode); });
  return 0;
}

std::function<int(Terminal&)> add_perturb(CLI::App& command) {
  const auto options = std::make_shared<PerturbOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--mode", options->mode, "swap (another prompt) | attribute (one word or phrase changed)")
      ->required();
  command.add_option("--per-prompt", options->per_prompt, "Wrong prompts for each right one")->capture_default_str();
  command
      .add_option("--distance", options->distance,
                  "swap: how unlike, MIN..MAX of 0 (the same words) to 1 (no word shared)")
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Another seed, other choices")->capture_default_str();
  command.footer("Example:\n  imagerank perturb --data mine --mode attribute --per-prompt 4");
  return [options](Terminal& terminal) { return run_perturb(*options, terminal); };
}

}  // namespace imagerank::cli
