#include "cli/command_label.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <sstream>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
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
          {"filtered", counts.filtered},
          {"merged_prompts", counts.merged_prompts},
          {"dropped_conflicts", counts.dropped_conflicts},
          {"few_votes", counts.few_votes},
          {"straddling", {{"rankings", counts.straddling_rankings}, {"points", counts.straddling_points}}},
          {"leak",
           {{"prompt_overlap", counts.prompt_overlap},
            {"image_overlap", counts.image_overlap},
            {"user_overlap", counts.user_overlap}}}};
}

std::string count_text(std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); }

void print(std::ostream& out, const labels::LabelCounts& counts, bool binary) {
  for (const auto& [reason, count] : counts.filtered) {
    out << fmt::format("{:<13}{} rankings: {}\n", "left out", count_text(count), reason);
  }
  if (counts.merged_prompts != 0) {
    out << fmt::format("{:<13}{} prompts that differ from another in outer white space only\n", "merged",
                       count_text(counts.merged_prompts));
  }
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
  if (counts.dropped_conflicts + counts.few_votes != 0) {
    line("left out", fmt::format("{} points of several labels, {} of too few votes",
                                 count_text(counts.dropped_conflicts), count_text(counts.few_votes)));
  }
  line("pairs", fmt::format("{} strict, {} tied", count_text(counts.strict_pairs), count_text(counts.tied_pairs)));
  line("points", fmt::format("{} train, {} validation, {} test", count_text(counts.splits[0]),
                             count_text(counts.splits[1]), count_text(counts.splits[2])));
  if (counts.straddling_rankings + counts.straddling_points != 0) {
    line("straddling", fmt::format("{} rankings and {} points left out of the less held-out split",
                                   count_text(counts.straddling_rankings), count_text(counts.straddling_points)));
  }
  line(
      "leak",
      fmt::format("{:.1f} % of the test points have a prompt that is also in train, {:.1f} % an image; {:.1f} % of the "
                  "test rankings a user",
                  100.0 * counts.prompt_overlap, 100.0 * counts.image_overlap, 100.0 * counts.user_overlap));
}

/// One word a line; empty lines do not count.
std::vector<std::string> read_words(const std::filesystem::path& path) {
  std::istringstream lines(load_file(path));
  std::vector<std::string> words;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) words.push_back(std::move(line));
  }
  if (words.empty()) fail(ErrorCode::kCorruptData, "{}: expected one word a line, found none", path.string());
  return words;
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
  settings.conflicts = labels::conflict_rule_of(options.conflicts);
  settings.weights = labels::weight_rule_of(options.weights);
  settings.tie_pairs = !options.no_tie_pairs;
  settings.min_votes = options.min_votes;
  settings.ratings = options.ratings;
  settings.prompts.trim = options.trim_prompts;
  settings.prompts.drop_empty = options.drop_empty_prompts;
  settings.prompts.min_characters = options.min_prompt_chars;
  settings.prompts.max_characters = options.max_prompt_chars;
  if (!options.without_words.empty()) settings.prompts.words = read_words(options.without_words);
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
  command
      .add_option("--conflicts", options->conflicts,
                  "Several labels of one image and prompt: keep-max | majority | drop")
      ->capture_default_str();
  command.add_option("--min-votes", options->min_votes, "Rankings that an image and prompt must stand in")
      ->capture_default_str();
  command.add_option("--weights", options->weights, "Weight of a pair: ranking | prompt (shared by a prompt's pairs)")
      ->capture_default_str();
  command.add_flag("--no-tie-pairs", options->no_tie_pairs, "Leave pairs of a tie out of pairs.parquet");
  command.add_option("--ratings", options->ratings, "Rank images by their mean score of this aspect, too");
  command.add_flag("--trim-prompts", options->trim_prompts, "Take white space off both ends of prompts");
  command.add_flag("--drop-empty-prompts", options->drop_empty_prompts, "Leave out rankings without a prompt");
  command.add_option("--min-prompt-chars", options->min_prompt_chars, "Leave out shorter prompts")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--max-prompt-chars", options->max_prompt_chars, "Leave out longer prompts")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--without-words", options->without_words,
                     "Leave out prompts that hold a word of this file, one a line");
  command.add_option("--csv", options->csv, "Also write image_uid,prompt,label here");
  command.footer("Example:\n  imagerank label --data mine --split prompt --seed 1");
  return [options](Terminal& terminal) { return run_label(*options, terminal); };
}

}  // namespace imagerank::cli
