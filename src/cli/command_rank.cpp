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

}  // namespace

int run_rank(const RankOptions& options, Terminal& terminal) {
  if (options.images.empty()) fail(ErrorCode::kInvalidArgument, "IMAGE: expected at least one file, found none");
  const RunContext context = terminal.context();
  const Scorer scorer =
      Scorer::load(reward_folder(options.reward, options.data),
                   {.model = options.model, .tokenizer = options.tokenizer, .threads = terminal.options().threads});
  if (scorer.untrained()) terminal.warn("the encoder was never trained: these scores say nothing about the images");

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
  const nlohmann::ordered_json object = {{"prompt", options.prompt},  {"encoder", scorer.encoder()},
                                         {"images", items.size()},    {"scores", scores},
                                         {"failed", failures.size()}, {"failures", failures}};
  for (const auto& failure : failures) terminal.note(failure["detail"].get<std::string>());
  terminal.result(object, [&](std::ostream& out) { print(out, options, items, shown); });
  return exit_code_of(items, options.strict);
}

std::function<int(Terminal&)> add_rank(CLI::App& command) {
  const auto options = std::make_shared<RankOptions>();
  command
      .add_option("--reward", options->reward,
                  "A reward's folder, or a published head's file (.pth); with --data, also a name under its rewards/")
      ->required();
  command.add_option("--prompt", options->prompt, "What the images are judged for")->required();
  command.add_option("IMAGE", options->images, "JPEG, PNG, WebP or GIF files")->required();
  command.add_option("--top", options->top, "Show the K best only (0: all)")->capture_default_str();
  command.add_option("--data", options->data, "The workspace that --reward names a reward of");
  command.add_option("--model", options->model, "The encoder, if it is not where the reward recorded it");
  command.add_option("--tokenizer", options->tokenizer, "Folder of the encoder's tokenizer, likewise");
  command.add_flag("--strict", options->strict, "Exit 1 if any image failed");
  command.footer("Example:\n  imagerank rank --reward mine/rewards/mlp --prompt \"a red car\" *.png --top 3");
  return [options](Terminal& terminal) { return run_rank(*options, terminal); };
}

}  // namespace imagerank::cli
