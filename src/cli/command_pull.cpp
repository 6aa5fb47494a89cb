#include "cli/command_pull.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <ostream>

#include "cli/transfer_output.h"
#include "core/fail.h"
#include "hub/pull.h"
#include "preferences/import.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// What the files of a format are called in datasets that have it.
std::vector<std::string> patterns_of(std::string_view format) {
  if (format == "hpdv2" || format == "hpdv3") return {"*train.json", "*test.json"};
  if (format == "imagereward") return {"*test.json"};
  if (format == "imagerewarddb") return {"*metadata-*.parquet"};
  if (format == "richhf") return {"*.tfrecord*"};
  if (format == "urls") return {"*.txt"};
  if (format == "csv") return {"*.csv"};
  if (format == "jsonl") return {"*.jsonl", "*.json"};
  return {"*.parquet"};
}

/// A dataset whose layout is known. `companion` is a second dataset that the first is of little use without.
struct KnownDataset {
  const char* id;
  const char* format;
  const char* companion;
};

constexpr std::array kKnownDatasets = {
    KnownDataset{"yuvalkirstain/PickaPic-rankings", "pickapic-v0", "yuvalkirstain/PickaPic-images"},
    KnownDataset{"yuvalkirstain/PickaPic-images", "pickapic-v0", ""},
    KnownDataset{"yuvalkirstain/pickapic_v1", "pickapic", ""},
    KnownDataset{"yuvalkirstain/pickapic_v1_no_images", "pickapic", ""},
    KnownDataset{"yuvalkirstain/pickapic_v2", "pickapic", ""},
    KnownDataset{"yuvalkirstain/pickapic_v2_no_images", "pickapic", ""},
    KnownDataset{"pickapic-anonymous/pickapic_v1", "pickapic", ""},
    KnownDataset{"liuhuohuo2/pick-a-pic-v2", "pickapic", ""},
    KnownDataset{"ymhao/HPDv2", "hpdv2", ""},
    KnownDataset{"MizzenAI/HPDv3", "hpdv3", ""},
    KnownDataset{"THUDM/ImageRewardDB", "imagerewarddb", ""},
    KnownDataset{"zai-org/ImageRewardDB", "imagerewarddb", ""},
};

const KnownDataset* find_known(const std::string& id) {
  const auto* const found = std::ranges::find_if(kKnownDatasets, [&](const auto& known) { return id == known.id; });
  return found == kKnownDatasets.end() ? nullptr : found;
}

/// One dataset of the run, and what came of it.
struct Part {
  hub::PullRequest request;
  hub::PullResult result;
};

struct Totals {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t cached = 0;
  std::uint64_t transferred = 0;
  std::vector<ItemFailure> failed;
};

Totals totals_of(const std::vector<Part>& parts) {
  Totals totals;
  for (const Part& part : parts) {
    totals.files += part.result.files.size();
    totals.bytes += part.result.bytes;
    totals.cached += part.result.cached;
    totals.transferred += part.result.transferred;
    totals.failed.insert(totals.failed.end(), part.result.failed.begin(), part.result.failed.end());
  }
  return totals;
}

const preferences::Format& format_of(const PullOptions& options) {
  if (!options.format.empty()) return preferences::format_of(options.format);
  if (const KnownDataset* const known = find_known(options.dataset)) return preferences::format_of(known->format);
  std::vector<std::string> ids;
  for (const KnownDataset& dataset : kKnownDatasets) ids.emplace_back(dataset.id);
  std::vector<std::string> names;
  for (const preferences::Format& format : preferences::formats()) names.emplace_back(format.name);
  fail(ErrorCode::kInvalidArgument,
       "DATASET: the layout of '{}' is not known (known: {}); give --format ({}), or --no-import for the files alone",
       options.dataset, fmt::join(ids, ", "), fmt::join(names, ", "));
}

std::vector<Part> plan(const PullOptions& options) {
  std::vector<Part> parts(1);
  parts[0].request.repository = {hub::RepositoryKind::kDataset, options.dataset, options.revision};
  parts[0].request.patterns = options.files;
  const KnownDataset* const known = find_known(options.dataset);
  const bool for_import = !options.no_import || known != nullptr || !options.format.empty();
  if (for_import && options.files.empty()) parts[0].request.patterns = patterns_of(format_of(options).name);
  if (known != nullptr && known->companion[0] != '\0') {
    Part companion;
    companion.request.repository = {hub::RepositoryKind::kDataset, known->companion, "main"};
    companion.request.patterns = patterns_of(format_of(options).name);
    parts.push_back(std::move(companion));
  }
  for (Part& part : parts) {
    part.request.repository.validate();
    part.request.dry_run = options.dry_run;
  }
  return parts;
}

nlohmann::ordered_json as_json(const PullOptions& options, const std::vector<Part>& parts, const Totals& totals) {
  nlohmann::ordered_json sources = nlohmann::ordered_json::array();
  for (const Part& part : parts) {
    nlohmann::ordered_json paths = nlohmann::ordered_json::array();
    for (const hub::PulledFile& file : part.result.files) {
      paths.push_back(
          {{"path", file.path}, {"local", file.local.string()}, {"bytes", file.size}, {"cached", file.cached}});
    }
    sources.push_back(
        {{"dataset", part.request.repository.id}, {"revision", part.result.commit}, {"files", std::move(paths)}});
  }
  nlohmann::ordered_json object = {{"dataset", options.dataset}, {"revision", parts.front().result.commit},
                                   {"files", totals.files},      {"bytes", totals.bytes},
                                   {"cached", totals.cached},    {"transferred", totals.transferred}};
  add_failures(object, totals.failed);
  object["dry_run"] = options.dry_run;
  object["sources"] = std::move(sources);
  return object;
}

void print(std::ostream& out, const PullOptions& options, const std::vector<Part>& parts, const Totals& totals,
           const preferences::ImportCounts* counts) {
  const auto number = [](std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); };
  for (const Part& part : parts) {
    if (options.dry_run) out << file_lines(part.request.repository.id, part.result.files);
  }
  for (const Part& part : parts)
    out << fmt::format("dataset   {} at {}\n", part.request.repository.id, part.result.commit);
  out << fmt::format("files     {}, {}; {} of them there before\n", with_thousands(totals.files), amount(totals.bytes),
                     with_thousands(totals.cached));
  if (options.no_import && !options.dry_run && !parts.front().result.files.empty()) {
    const hub::PulledFile& first = parts.front().result.files.front();
    const std::string local = first.local.string();
    out << fmt::format("folder    {}\n", local.substr(0, local.size() - first.path.size()));
  }
  if (counts == nullptr) return;
  out << fmt::format("rankings  {} ({} new), {} ties\n", number(counts->rankings), number(counts->added_rankings),
                     number(counts->ties));
  out << fmt::format("images    {} ({} new)\n", number(counts->images), number(counts->added_images));
  if (counts->ratings != 0)
    out << fmt::format("ratings   {} ({} new)\n", number(counts->ratings), number(counts->added_ratings));
  for (const auto& [reason, count] : counts->skipped)
    out << fmt::format("skipped   {} rows: {}\n", number(count), reason);
  out << fmt::format("next      imagerank label --data {}\n", options.data.string());
}

/// Rows of a table that may not be there.
std::int64_t count_rows(const std::filesystem::path& data, const std::string& table) {
  std::error_code error;
  if (data.empty() || !std::filesystem::is_directory(data, error)) return 0;
  const auto workspace = workspace::Workspace::open(data);
  if (!workspace.has_table(table)) return 0;
  workspace::Database database(1);
  return database.query_integer(fmt::format("SELECT count(*) FROM read_parquet({})",
                                            workspace::sql_literal(workspace.table_path(table).string())));
}

}  // namespace

int run_pull(const PullOptions& options, hub::HubSettings settings, Terminal& terminal) {
  const bool imports = !options.no_import && !options.dry_run;
  if (imports && options.data.empty())
    fail(ErrorCode::kInvalidArgument,
         "--data: expected a folder, found none (only --no-import and --dry-run need none)");
  if (!options.no_import) static_cast<void>(format_of(options));  // before anything is transferred
  settings.concurrency = options.concurrency;
  settings.retries = options.retries;
  std::vector<Part> parts = plan(options);
  for (Part& part : parts) part.result = hub::pull(settings, part.request, in_megabytes(terminal.context()));
  const Totals totals = totals_of(parts);
  for (const ItemFailure& failure : totals.failed)
    terminal.warn(fmt::format("{}: {}: {}", failure.item, failure.reason, failure.detail));

  nlohmann::ordered_json object = as_json(options, parts, totals);
  preferences::ImportCounts counts;
  const bool whole = totals.failed.empty();
  if (imports && whole) {
    std::vector<std::filesystem::path> files;
    for (const Part& part : parts) {
      for (const hub::PulledFile& file : part.result.files) files.push_back(file.local);
    }
    const auto workspace = workspace::Workspace::create(options.data);
    const preferences::ImportOptions import_options{"", options.images, {}};
    counts = preferences::import_files(workspace, format_of(options), files, import_options, terminal.context());
    if (!counts.ignored_columns.empty())
      terminal.note(fmt::format("columns not kept: {}", fmt::join(counts.ignored_columns, ", ")));
    for (const std::string& text : counts.notes) terminal.warn(text);
    nlohmann::ordered_json skipped = nlohmann::ordered_json::object();
    for (const auto& [reason, count] : counts.skipped) skipped[reason] = count;
    object["rankings"] = counts.rankings;
    object["images"] = counts.images;
    object["ties"] = counts.ties;
    object["ratings"] = counts.ratings;
    object["skipped"] = skipped;
  } else {
    object["rankings"] = count_rows(options.data, "rankings");
    object["images"] = count_rows(options.data, "images");
  }
  terminal.result(object,
                  [&](std::ostream& out) { print(out, options, parts, totals, imports && whole ? &counts : nullptr); });
  if (!whole && imports) terminal.warn("nothing was imported: not all files came; run the same command again");
  return whole ? 0 : 1;
}

int run_pull(const PullOptions& options, Terminal& terminal) {
  return run_pull(options, hub::settings_from_environment(), terminal);
}

std::function<int(Terminal&)> add_pull(CLI::App& command) {
  const auto options = std::make_shared<PullOptions>();
  command.add_option("DATASET", options->dataset, "Its id on the hub, such as yuvalkirstain/PickaPic-rankings")
      ->required();
  command.add_option("--data", options->data, "The workspace folder, made if missing");
  command.add_option("--format", options->format, "How to import it, as `import` names formats (default: as known)");
  command.add_option("--files", options->files, "Only files that these patterns name (default: what the format needs)");
  command.add_option("--images", options->images,
                     "The folder that image paths in the files start at, such as an unpacked archive's");
  command.add_option("--revision", options->revision, "A branch, a tag or a commit")->capture_default_str();
  command.add_option("--concurrency", options->concurrency, "Files at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--retries", options->retries, "Further tries in a row that bring nothing")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command.add_flag("--dry-run", options->dry_run, "List the files and their bytes; transfer nothing");
  command.add_flag("--no-import", options->no_import, "Stop once the files are in the cache");
  command.footer(
      "Environment: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, https_proxy.\n"
      "Example:\n  imagerank pull yuvalkirstain/PickaPic-rankings --data mine");
  return [options](Terminal& terminal) { return run_pull(*options, terminal); };
}

}  // namespace imagerank::cli
