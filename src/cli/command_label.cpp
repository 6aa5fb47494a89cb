#include "cli/command_label.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "labels/label.h"

namespace imagerank::cli {
namespace {

nlohmann::ordered_json as_json(const labels::LabelCounts& counts, bool binary) {
  nlohmann::ordered_json by_label = {{"0", counts.labels[0]}, {"1", counts.labels[1]}};
  if (!binary) by_label["2"] = counts.labels[2];
  const auto by_split = [](const std::array<std::int64_t, 3>& split) {
    return nlohmann::ordered_json{{"train", split[0]}, {"validation", split[1]}, {"test", split[2]}};
  };
  return {{"rows", counts.rows},
          {"distinct", counts.distinct},
          {"kept", counts.kept},
          {"labels", by_label},
          {"conflicts", counts.conflicts},
          {"winners", counts.winners},
          {"winners_that_lost", counts.winners_that_lost},
          {"strict_pairs", counts.strict_pairs},
          {"tied_pairs", counts.tied_pairs},
          {"splits", by_split(counts.splits)},
          {"pair_splits", by_split(counts.pair_splits)},
          {"straddling", {{"rankings", counts.straddling_rankings}, {"points", counts.straddling_points}}},
          {"leak", {{"prompt_overlap", counts.prompt_overlap}, {"image_overlap", counts.image_overlap}}}};
}

std::string count_text(std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); }

void print(std::ostream& out, const labels::LabelCounts& counts, bool binary) {
  const double winners = counts.winners == 0 ? 1.0 : static_cast<double>(counts.winners);
  const auto line = [&](const char* name, const std::string& text) { out << fmt::format("{:<13}{}\n", name, text); };
  line("rows", fmt::format("{}, {} distinct, {} kept", count_text(counts.rows), count_text(counts.distinct),
                           count_text(counts.kept)));
  std::string labels = fmt::format("0: {}, 1: {}", count_text(counts.labels[0]), count_text(counts.labels[1]));
  if (!binary) labels += fmt::format(", 2: {}", count_text(counts.labels[2]));
  line("labels", labels);
  line("conflicts",
       fmt::format("{} (image, prompt) with several labels; {:.1f} % of the winners also lost a ranking",
                   count_text(counts.conflicts), 100.0 * static_cast<double>(counts.winners_that_lost) / winners));
  line("pairs", fmt::format("{} strict, {} tied", count_text(counts.strict_pairs), count_text(counts.tied_pairs)));
  line("points", fmt::format("{} train, {} validation, {} test", count_text(counts.splits[0]),
                             count_text(counts.splits[1]), count_text(counts.splits[2])));
  if (counts.straddling_rankings + counts.straddling_points != 0) {
    line("straddling", fmt::format("{} rankings and {} points left out of the less held-out split",
                                   count_text(counts.straddling_rankings), count_text(counts.straddling_points)));
  }
  line("leak", fmt::format("{:.1f} % of the test points have a prompt that is also in train, {:.1f} % an image",
                           100.0 * counts.prompt_overlap, 100.0 * counts.image_overlap));
}

}  // namespace

int run_label(const LabelOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  labels::LabelSettings settings;
  settings.variant = labels::label_variant_of(options.labels);
  settings.split = labels::split_rule_of(options.split);
  settings.test = options.test;
  settings.validation = options.validation;
  settings.seed = options.seed;
  settings.csv = options.csv;
  const labels::LabelCounts counts = labels::make_labels(workspace, settings, terminal.context());
  if (settings.test > 0.0 && counts.splits[2] == 0)
    terminal.warn("the test split is empty: this rule makes too few, too large groups");
  const bool binary = settings.variant != labels::LabelVariant::kThree;
  terminal.result(as_json(counts, binary), [&](std::ostream& out) { print(out, counts, binary); });
  return 0;
}

std::function<int(Terminal&)> add_label(CLI::App& command) {
  const auto options = std::make_shared<LabelOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--labels", options->labels, "three | drop-ties | merge-ties")->capture_default_str();
  command.add_option("--split", options->split, "random | prompt | user | image | time | component | official")
      ->capture_default_str();
  command.add_option("--test", options->test, "Share of everything that is held out for test")->capture_default_str();
  command.add_option("--validation", options->validation, "Share of everything for validation")->capture_default_str();
  command.add_option("--seed", options->seed, "Seed of the split")->capture_default_str();
  command.add_option("--csv", options->csv, "Also write image_uid,prompt,label here");
  command.footer("Example:\n  imagerank label --data mine --split prompt --seed 1");
  return [options](Terminal& terminal) { return run_label(*options, terminal); };
}

}  // namespace imagerank::cli
