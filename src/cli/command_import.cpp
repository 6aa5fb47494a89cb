#include "cli/command_import.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

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
  for (const auto& [reason, count] : counts.skipped)
    out << fmt::format("skipped   {} rows: {}\n", number(count), reason);
  out << fmt::format("next      imagerank label --data {}\n", data.string());
}

}  // namespace

int run_import(const ImportOptions& options, Terminal& terminal) {
  const preferences::Format& format = preferences::format_of(options.format);
  const auto workspace = workspace::Workspace::create(options.data);
  const auto counts = preferences::import_files(workspace, format, options.files, {}, terminal.context());
  if (!counts.ignored_columns.empty()) {
    terminal.note(fmt::format("columns not kept: {}", fmt::join(counts.ignored_columns, ", ")));
  }
  nlohmann::ordered_json skipped = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : counts.skipped) skipped[reason] = count;
  const nlohmann::ordered_json object = {
      {"rankings", counts.rankings},
      {"images", counts.images},
      {"ties", counts.ties},
      {"skipped", skipped},
      {"added", {{"rankings", counts.added_rankings}, {"images", counts.added_images}}},
      {"ignored_columns", counts.ignored_columns}};
  terminal.result(object, [&](std::ostream& out) { print(out, counts, options.data); });
  return 0;
}

std::function<int(Terminal&)> add_import(CLI::App& command) {
  const auto options = std::make_shared<ImportOptions>();
  command.add_option("FORMAT", options->format, "pickapic-v0")->required();
  command.add_option("FILE", options->files, "Parquet files: rankings, images, in any order")->required();
  command.add_option("--data", options->data, "The workspace folder, made if missing")->required();
  command.footer("Example:\n  imagerank import pickapic-v0 rankings.parquet images.parquet --data mine");
  return [options](Terminal& terminal) { return run_import(*options, terminal); };
}

}  // namespace imagerank::cli
