#include "cli/command_rank.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "cli/scored_items.h"
#include "core/fail.h"
#include "imagerank/scorer.h"

namespace imagerank::cli {
namespace {

void print(std::ostream& out, const RankOptions& options, const std::vector<ScoredImage>& items,
           const std::vector<std::size_t>& shown) {
  out << fmt::format("{:>4} {:>12}  image\n", "rank", "score");
  std::size_t rank = 0;
  for (const std::size_t i : shown) {
    const std::string image = options.images[i].string();
    if (items[i].ok()) {
      out << fmt::format("{:>4} {:>12.5f}  {}\n", ++rank, items[i].score, image);
    } else {
      out << fmt::format("{:>4} {:>12}  {}\n", "-", items[i].reason, image);
    }
  }
}

void check(const RankOptions& options) {
  const auto only = [](bool given, const char* option, const char* expected) {
    if (given) fail(ErrorCode::kInvalidArgument, "{}: expected {}", option, expected);
  };
  const BestOfOptions& best_of = options.best_of;
  if (!best_of.place.empty()) {
    only(!options.images.empty(), "IMAGE", "none beside --best-of");
    only(!options.prompt.empty(), "--prompt", "none beside --best-of, whose prompts stand in a file");
    return;
  }
  if (options.images.empty()) fail(ErrorCode::kInvalidArgument, "IMAGE: expected at least one file, found none");
  only(!best_of.sheets.empty(), "--sheet", "it with --best-of");
  only(!best_of.copy_to.empty(), "--copy", "it with --best-of");
  only(!best_of.link_to.empty(), "--link", "it with --best-of");
  only(!best_of.prompts.empty(), "--prompts", "it with --best-of");
}

}  // namespace

int run_rank(const RankOptions& options, Terminal& terminal) {
  check(options);
  const RunContext context = terminal.context();
  const Scorer scorer = Scorer::load(reward_folder(options.reward, options.data),
                                     scorer_options(options.encoder, terminal.options().threads));
  if (scorer.untrained()) terminal.warn("the encoder was never trained: these scores say nothing about the images");
  if (!options.best_of.place.empty()) {
    BestOfOptions best_of = options.best_of;
    best_of.keep = std::max<std::size_t>(options.top, 1);
    best_of.strict = options.strict;
    return run_best_of(best_of, scorer, terminal);
  }

  constexpr std::size_t kBlock = 256;
  std::vector<ScoredImage> items;
  for (std::size_t first = 0; first < options.images.size(); first += kBlock) {
    context.check_stop();
    const std::size_t count = std::min(kBlock, options.images.size() - first);
    const auto block = scorer.score(options.prompt, std::span(options.images).subspan(first, count));
    items.insert(items.end(), block.begin(), block.end());
    context.report({"rank", items.size(), options.images.size(), ""});
  }

  const std::vector<std::size_t> order = best_first(items);
  std::vector<std::string> names;
  for (const auto& image : options.images) names.push_back(image.string());
  nlohmann::ordered_json scores = nlohmann::ordered_json::array();
  std::vector<std::size_t> shown;
  std::size_t rank = 0;
  for (const std::size_t i : order) {
    // --top cuts the ranking; what could not be ranked is always shown.
    if (items[i].ok() && options.top != 0 && rank == options.top) continue;
    shown.push_back(i);
    scores.push_back(item_json(names[i], items[i], items[i].ok() ? ++rank : 0));
  }
  const nlohmann::ordered_json failures = failures_json(names, items);
  const bool truncated = std::ranges::any_of(items, &ScoredImage::truncated);
  if (truncated) terminal.note("the prompt is longer than the encoder's context, and was cut");
  const nlohmann::ordered_json object = {
      {"prompt", options.prompt}, {"truncated", truncated},    {"encoder", scorer.encoder()}, {"images", items.size()},
      {"scores", scores},         {"failed", failures.size()}, {"failures", failures}};
  for (const auto& failure : failures) terminal.note(failure["detail"].get<std::string>());
  terminal.result(object, [&](std::ostream& out) { print(out, options, items, shown); });
  return exit_code_of(items, options.strict);
}

std::function<int(Terminal&)> add_rank(CLI::App& command) {
  const auto options = std::make_shared<RankOptions>();
  command
      .add_option("--reward", options->reward,
                  "A reward's folder, a published scorer (pickscore, hpsv2.1, ...) or head's file (.pth); with --data, "
                  "also a name under its rewards/")
      ->required();
  CLI::Option* const prompt = command.add_option("--prompt", options->prompt, "What the images are judged for");
  command.add_option("IMAGE", options->images, "JPEG, PNG, WebP or GIF files");
  command.add_option("--top", options->top, "The K best only (0: all; with --best-of: 1 a prompt)")
      ->capture_default_str();
  BestOfOptions& best_of = options->best_of;
  command
      .add_option("--best-of", best_of.place,
                  "Instead: a folder with one folder of candidates a prompt, or a CSV file with columns image, prompt")
      ->excludes(prompt);
  command.add_option("--prompts", best_of.prompts,
                     "Its prompts: .jsonl (prompt, folder), .csv or .txt (default: prompts.* in it)");
  command.add_option("--sheet", best_of.sheets, "A contact sheet of the chosen images: FILE.png or FILE.html");
  command.add_option("--copy", best_of.copy_to, "A new folder that the chosen files are copied to");
  command.add_option("--link", best_of.link_to, "A new folder of links to them");
  command.add_option("--data", options->data, "The workspace that --reward names a reward of");
  add_encoder_options(command, options->encoder);
  command.add_flag("--strict", options->strict, "Exit 1 if any image failed");
  command.footer(
      "Examples:\n  imagerank rank --reward mine/rewards/mlp --prompt \"a red car\" *.png --top 3\n"
      "  imagerank rank --reward pickscore --best-of candidates --sheet best.html --copy best");
  return [options, prompt](Terminal& terminal) {
    if (options->best_of.place.empty() && prompt->count() == 0) {
      fail(ErrorCode::kInvalidArgument, "--prompt: expected what the images are judged for, found none");
    }
    return run_rank(*options, terminal);
  };
}

}  // namespace imagerank::cli
