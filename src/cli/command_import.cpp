#include "cli/command_import.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cli/import_votes.h"
#include "core/fail.h"
#include "preferences/import.h"

namespace imagerank::cli {
namespace {

void print(std::ostream& out, const preferences::ImportCounts& counts, const std::filesystem::path& data) {
  const auto number = [](std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); };
  const double share =
      counts.rankings == 0 ? 0.0 : 100.0 * static_cast<double>(counts.ties) / static_cast<double>(counts.rankings);
  out << fmt::format("rankings  {} ({} new), {} ties ({:.1f} %)\n", number(counts.rankings),
                     number(counts.added_rankings), number(counts.ties), share);
  out << fmt::format("images    {} ({} new)\n", number(counts.images), number(counts.added_images));
  if (counts.ratings != 0)
    out << fmt::format("ratings   {} ({} new)\n", number(counts.ratings), number(counts.added_ratings));
  for (const auto& [reason, count] : counts.skipped)
    out << fmt::format("skipped   {} rows: {}\n", number(count), reason);
  if (counts.rankings == 0 && counts.images != 0) {
    out << fmt::format("next      imagerank fetch --data {}\n", data.string());
  } else {
    out << fmt::format("next      imagerank label --data {}\n", data.string());
  }
}

/// "prompt=caption,best=winner" as a map. Names with a comma or an equals sign cannot be written so.
std::map<std::string, std::string> parse_columns(const std::string& text) {
  std::map<std::string, std::string> columns;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string entry = text.substr(at, end - at);
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == entry.size())
      fail(ErrorCode::kInvalidArgument, "--columns: expected target=column, found '{}'", entry);
    if (!columns.emplace(entry.substr(0, equals), entry.substr(equals + 1)).second)
      fail(ErrorCode::kInvalidArgument, "--columns: expected each target once, found '{}' twice",
           entry.substr(0, equals));
    at = end + 1;
  }
  return columns;
}

std::string format_list() {
  std::string text = "Formats:\n";
  for (const preferences::Format& format : preferences::formats())
    text += fmt::format("  {:<14} {}\n", format.name, format.help);
  return text +
         fmt::format("  {:<14} {}\n", "votes", "votes of people, by the database's URL: sqlite://, postgresql://");
}

preferences::ImportCounts import_any(const ImportOptions& options, Terminal& terminal) {
  const preferences::ImportOptions settings{options.dataset, options.images, parse_columns(options.columns)};
  if (options.format == "votes") return import_votes(options.files, options.data, settings, terminal);
  const preferences::Format& format = preferences::format_of(options.format);
  const auto workspace = workspace::Workspace::create(options.data);
  return preferences::import_files(workspace, format, options.files, settings, terminal.context());
}

}  // namespace

int run_import(const ImportOptions& options, Terminal& terminal) {
  const preferences::ImportCounts counts = import_any(options, terminal);
  if (!counts.ignored_columns.empty()) {
    terminal.note(fmt::format("columns not kept: {}", fmt::join(counts.ignored_columns, ", ")));
  }
  for (const std::string& line : counts.notes) terminal.warn(line);
  nlohmann::ordered_json skipped = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : counts.skipped) skipped[reason] = count;
  const nlohmann::ordered_json object = {
      {"rankings", counts.rankings},
      {"images", counts.images},
      {"ties", counts.ties},
      {"ratings", counts.ratings},
      {"skipped", skipped},
      {"added",
       {{"rankings", counts.added_rankings}, {"images", counts.added_images}, {"ratings", counts.added_ratings}}},
      {"ignored_columns", counts.ignored_columns},
      {"notes", counts.notes}};
  terminal.result(object, [&](std::ostream& out) { print(out, counts, options.data); });
  return 0;
}

std::function<int(Terminal&)> add_import(CLI::App& command) {
  const auto options = std::make_shared<ImportOptions>();
  command.add_option("FORMAT", options->format, "What the files are; see below")->required();
  command
      .add_option("FILE", options->files,
                  "Files or patterns ('part-*.parquet', 'a/**/*.json'), in any order; of votes, databases' URLs")
      ->required();
  command.add_option("--data", options->data, "The workspace folder, made if missing")->required();
  command.add_option(
      "--columns", options->columns,
      "For csv, jsonl and parquet: target=column,... such as prompt=caption,chosen=img_w,rejected=img_l");
  command.add_option("--dataset", options->dataset, "What rankings are filed under (default: the format's name)");
  command.add_option("--images", options->images, "The folder that image paths start at (default: each file's own)");
  command.footer(format_list() +
                 "\nExamples:\n"
                 "  imagerank import pickapic-v0 rankings.parquet images.parquet --data mine\n"
                 "  imagerank import pickapic 'data/train-*.parquet' --data mine\n"
                 "  imagerank import csv votes.csv --columns prompt=caption,chosen=winner,rejected=loser --data mine\n"
                 "  imagerank import votes sqlite://votes.db --data mine");
  return [options](Terminal& terminal) { return run_import(*options, terminal); };
}

}  // namespace imagerank::cli
