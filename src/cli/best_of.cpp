#include "cli/best_of.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <system_error>
#include <utility>

#include "cli/scored_items.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "exports/rows.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;

std::vector<JudgedGroup> judge(const std::vector<CandidateGroup>& groups, const Scorer& scorer, Terminal& terminal) {
  std::vector<ImagePrompt> all;
  for (const CandidateGroup& group : groups) {
    for (const fs::path& image : group.images) all.push_back({image, group.prompt});
  }
  constexpr std::size_t kBlock = 512;
  const RunContext context = terminal.context();
  std::vector<ScoredImage> items;
  for (std::size_t first = 0; first < all.size(); first += kBlock) {
    context.check_stop();
    const auto block = scorer.score(std::span(all).subspan(first, std::min(kBlock, all.size() - first)));
    items.insert(items.end(), block.begin(), block.end());
    context.report({"score", items.size(), all.size(), ""});
  }
  std::vector<JudgedGroup> judged;
  auto at = items.begin();
  for (const CandidateGroup& group : groups) {
    const auto end = at + static_cast<std::ptrdiff_t>(group.images.size());
    JudgedGroup next{group, {at, end}, {}};
    next.order = best_first(next.items);
    judged.push_back(std::move(next));
    at = end;
  }
  return judged;
}

/// "0007-1.png": the prompt's key, and the place among its candidates where several are kept.
std::string file_name(const JudgedGroup& judged, std::size_t place, std::size_t keep) {
  const std::string ending = judged.group.images[judged.order[place]].extension().string();
  return keep == 1 ? judged.group.key + ending : fmt::format("{}-{}{}", judged.group.key, place + 1, ending);
}

/// The chosen files and metadata.jsonl, the folder whole or not at all. @return how many.
std::size_t place_files(const std::vector<JudgedGroup>& groups, const BestOfOptions& options) {
  const bool link = options.copy_to.empty();
  exports::AtomicFolder folder(link ? options.link_to : options.copy_to, /*overwrite=*/false);
  std::string metadata;
  std::size_t count = 0;
  for (const JudgedGroup& judged : groups) {
    for (std::size_t place = 0; place < judged.chosen(options.keep); ++place) {
      const std::size_t index = judged.order[place];
      const fs::path source = fs::absolute(judged.group.images[index]).lexically_normal();
      const std::string name = file_name(judged, place, options.keep);
      std::error_code error;
      if (link) {
        fs::create_symlink(source, folder.path() / name, error);
      } else {
        fs::copy_file(source, folder.path() / name, error);
      }
      if (error)
        fail(ErrorCode::kIo, "{}: cannot {} to {}: {}", source.string(), link ? "link" : "copy", name, error.message());
      // As diffusers' and datasets' ImageFolder reads it.
      metadata += nlohmann::ordered_json({{"file_name", name},
                                          {"text", judged.group.prompt},
                                          {"score", judged.items[index].score},
                                          {"source", source.string()}})
                      .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                  "\n";
      ++count;
    }
  }
  write_file_atomically(folder.path() / "metadata.jsonl", metadata);
  folder.commit();
  return count;
}

nlohmann::ordered_json group_json(const JudgedGroup& judged, std::size_t keep) {
  nlohmann::ordered_json scores = nlohmann::ordered_json::array();
  for (std::size_t place = 0; place < judged.order.size(); ++place) {
    const std::size_t index = judged.order[place];
    const ScoredImage& item = judged.items[index];
    nlohmann::ordered_json row = item_json(judged.group.images[index].string(), item, item.ok() ? place + 1 : 0);
    row["chosen"] = place < judged.chosen(keep);
    scores.push_back(std::move(row));
  }
  return {{"key", judged.group.key}, {"prompt", judged.group.prompt}, {"scores", scores}};
}

void print(std::ostream& out, const std::vector<JudgedGroup>& groups, const BestOfOptions& options) {
  for (const JudgedGroup& judged : groups) {
    out << fmt::format("{}: {}\n", judged.group.key, judged.group.prompt);
    for (std::size_t place = 0; place < judged.chosen(options.keep); ++place) {
      const std::size_t index = judged.order[place];
      out << fmt::format("{:>4} {:>12.5f}  {}\n", place + 1, judged.items[index].score,
                         judged.group.images[index].string());
    }
  }
}

void check(const BestOfOptions& options) {
  if (!options.copy_to.empty() && !options.link_to.empty()) {
    fail(ErrorCode::kInvalidArgument, "--copy: expected it or --link, found both");
  }
  for (const fs::path& sheet : options.sheets) {
    if (sheet.extension() != ".png" && sheet.extension() != ".html") {
      fail(ErrorCode::kInvalidArgument, "--sheet: expected a file that ends in .png or .html, found '{}'",
           sheet.string());
    }
  }
}

}  // namespace

std::size_t JudgedGroup::chosen(std::size_t keep) const {
  const auto scored = static_cast<std::size_t>(std::ranges::count_if(items, &ScoredImage::ok));
  return std::min(keep, scored);
}

int run_best_of(const BestOfOptions& options, const Scorer& scorer, Terminal& terminal) {
  check(options);
  std::size_t empty = 0;
  const std::vector<JudgedGroup> groups =
      judge(load_candidates(options.place, options.prompts, empty), scorer, terminal);
  std::vector<std::string> names;
  std::vector<ScoredImage> items;
  std::size_t truncated = 0, unscored = 0;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const JudgedGroup& judged : groups) {
    for (const fs::path& image : judged.group.images) names.push_back(image.string());
    items.insert(items.end(), judged.items.begin(), judged.items.end());
    truncated += std::ranges::any_of(judged.items, &ScoredImage::truncated) ? 1 : 0;
    unscored += judged.chosen(1) == 0 ? 1 : 0;
    list.push_back(group_json(judged, options.keep));
  }
  const int code = exit_code_of(items, options.strict);
  const nlohmann::ordered_json failures = failures_json(names, items);
  for (const auto& failure : failures) terminal.note(failure["detail"].get<std::string>());
  nlohmann::ordered_json object = {
      {"prompts", groups.size()}, {"images", items.size()}, {"encoder", scorer.encoder()}, {"failed", failures.size()},
      {"empty", empty},           {"unscored", unscored},   {"truncated", truncated},      {"files", 0},
      {"groups", list},           {"failures", failures}};
  object["sheets"] = nlohmann::ordered_json::array();
  if (code == 0) {
    if (!options.copy_to.empty() || !options.link_to.empty()) object["files"] = place_files(groups, options);
    for (const fs::path& sheet : options.sheets) {
      const std::size_t left_out = write_contact_sheet(sheet, groups, options.keep);
      if (left_out != 0) terminal.note(fmt::format("{}: no room for {} prompts", sheet.string(), left_out));
      object["sheets"].push_back({{"path", sheet.string()}, {"left_out", left_out}});
    }
  }
  const auto say = [&](std::size_t count, const char* what) {
    if (count != 0) terminal.note(fmt::format("{} prompts {}", with_thousands(count), what));
  };
  say(empty, "have no image");
  say(unscored, "have no image that could be scored");
  say(truncated, "are longer than the encoder's context, and were cut");
  terminal.result(object, [&](std::ostream& out) { print(out, groups, options); });
  if (code != 0) terminal.warn(fmt::format("{} of {} images could not be scored", failures.size(), items.size()));
  return code;
}

}  // namespace imagerank::cli
