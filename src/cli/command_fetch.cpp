#include "cli/command_fetch.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <ostream>
#include <unordered_map>

#include "cli/fetch_ledger.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "images/fetch.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

constexpr const char* kRefused = "refused_address";

struct Example {
  std::string image_uid;
  std::string url;
  std::string detail;
};

struct Counts {
  std::uint64_t total = 0;
  std::uint64_t ok = 0;       ///< fetched, or found on disk, by this run
  std::uint64_t skipped = 0;  ///< there before
  std::uint64_t bytes = 0;    ///< fetched by this run
  std::uint64_t not_retried = 0;
  std::map<std::string, std::uint64_t> failed;
  std::map<std::string, Example> examples;  ///< of each reason, the first
  double seconds = 0.0;

  [[nodiscard]] std::uint64_t failures() const {
    std::uint64_t sum = 0;
    for (const auto& [reason, count] : failed) sum += count;
    return sum;
  }
};

images::FetchOptions fetch_settings(const FetchOptions& options) {
  images::FetchOptions settings;
  settings.concurrency = options.concurrency;
  settings.per_host = options.per_host;
  settings.retries = options.retries;
  settings.connect_timeout_ms =
      std::clamp<std::int64_t>(options.timeout_s, 1, 3600) * 1000;  // validate() judges it below
  settings.stall_timeout_s = options.timeout_s;
  settings.backoff_ms = options.backoff_ms;
  settings.max_image_bytes = options.max_bytes;
  settings.allow_local = options.allow_local;
  settings.proxy = options.proxy;
  settings.validate();
  return settings;
}

void apply(const LedgerEntry& entry, workspace::Image& row) {
  row.status = entry.status;
  if (entry.status != "ok") return;  // what is known of an earlier file stays
  row.path = entry.path;
  row.sha256 = entry.sha256;
  row.width = entry.width;
  row.height = entry.height;
}

std::vector<workspace::Image> load_rows(const workspace::Workspace& workspace) {
  std::vector<workspace::Image> rows = workspace.load_images();
  if (rows.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected at least one image, found 0 rows; `imagerank import` adds them",
         workspace.table_path("images").string());
  }
  return rows;
}

/// One run over one workspace.
class FetchRun {
 public:
  FetchRun(const FetchOptions& options, Terminal& terminal)
      : options_(options),
        settings_(fetch_settings(options)),
        terminal_(terminal),
        workspace_(workspace::Workspace::open(options.data)),
        rows_(load_rows(workspace_)),
        ledger_(workspace_.root() / "images") {
    counts_.total = rows_.size();
  }

  Counts run() {
    const auto start = std::chrono::steady_clock::now();
    take_over_earlier_run();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i % 1024 == 0) terminal_.context().check_stop();
      plan(i);
    }
    try {
      fetch();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled) save();
      throw;
    }
    save();
    counts_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(counts_);
  }

 private:
  /// A run that was killed: its ledger into the table, its half-written files away.
  void take_over_earlier_run() {
    if (!ledger_.interrupted()) return;
    std::unordered_map<std::string_view, std::size_t> by_uid;
    for (std::size_t i = 0; i < rows_.size(); ++i) by_uid.emplace(rows_[i].image_uid, i);
    for (const LedgerEntry& entry : ledger_.earlier()) {
      const auto found = by_uid.find(entry.image_uid);
      if (found == by_uid.end()) continue;  // the table was made anew
      apply(entry, rows_[found->second]);
      changed_ = true;
    }
    std::error_code error;
    for (const auto& folder : std::filesystem::directory_iterator(workspace_.root() / "images", error)) {
      if (folder.is_directory(error)) remove_stale_temporaries(folder.path());
    }
    save();
  }

  /// Skips, checks on disk, or queues one row.
  void plan(std::size_t index) {
    const workspace::Image& row = rows_[index];
    if (row.status == "ok" && is_intact(row)) {
      ++counts_.skipped;
      return;
    }
    const bool failed_before = !row.status.empty() && row.status != "ok";
    if (failed_before && !row.url.empty() && !options_.retry_failed &&
        !(row.status == kRefused && options_.allow_local)) {
      ++counts_.not_retried;
      count_failure(row, row.status, "failed in an earlier run; --retry-failed tries again");
      return;
    }
    if (!row.path.empty() && row.status != "ok" && has_file(row)) return check_on_disk(index);
    if (row.url.empty()) {
      return row.path.empty() ? end_without_file(index, "no_url", "expected a url or a path, found neither")
                              : end_without_file(index, "missing", workspace_.resolve(row).string());
    }
    try {
      static_cast<void>(workspace::Workspace::image_path(row.image_uid, ""));
    } catch (const Error& error) {
      return end_without_file(index, "unsafe_uid", error.what());
    }
    queued_.push_back(index);
    urls_.push_back(row.url);
  }

  [[nodiscard]] bool has_file(const workspace::Image& row) const {
    std::error_code error;
    const auto path = workspace_.resolve(row);
    return std::filesystem::is_regular_file(path, error) && std::filesystem::file_size(path, error) > 0;
  }

  [[nodiscard]] bool is_intact(const workspace::Image& row) const {
    if (row.path.empty() || !has_file(row)) return false;
    return !options_.verify || row.sha256.empty() || sha256_hex(load_file(workspace_.resolve(row))) == row.sha256;
  }

  void check_on_disk(std::size_t index) {
    images::FetchedImage image;
    image.index = index;
    try {
      image.bytes = load_file(workspace_.resolve(rows_[index]), settings_.max_image_bytes);
      images::inspect_image(image);
    } catch (const Error& error) {
      image.reason = error.code() == ErrorCode::kResourceLimit ? "too_large" : "missing";
      image.detail = error.what();
    }
    if (!image.ok()) return end_without_file(index, image.reason, image.detail);
    record(index, {rows_[index].image_uid, "ok", rows_[index].path, image.sha256, image.width, image.height});
    ++counts_.ok;
  }

  void fetch() {
    if (urls_.empty()) return;
    const auto fetcher = images::make_curl_fetcher(settings_);
    images::fetch_images(
        urls_, settings_, *fetcher, [this](images::FetchedImage&& image) { store(std::move(image)); },
        terminal_.context());
  }

  void store(images::FetchedImage&& image) {
    const std::size_t index = queued_[image.index];
    const workspace::Image& row = rows_[index];
    if (!image.ok()) return end_without_file(index, image.reason, image.detail);
    const auto path = workspace::Workspace::image_path(row.image_uid, std::string(file_extension(image.format)));
    write_file_atomically(workspace_.root() / path, image.bytes, false);  // save() flushes them all at once
    record(index, {row.image_uid, "ok", path.string(), image.sha256, image.width, image.height});
    ++counts_.ok;
    counts_.bytes += image.bytes.size();
  }

  void end_without_file(std::size_t index, const std::string& reason, const std::string& detail) {
    count_failure(rows_[index], reason, detail);
    if (rows_[index].status != reason) record(index, {rows_[index].image_uid, reason, "", "", 0, 0});
  }

  void record(std::size_t index, const LedgerEntry& entry) {
    ledger_.append(entry);
    apply(entry, rows_[index]);
    changed_ = true;
  }

  void count_failure(const workspace::Image& row, const std::string& reason, const std::string& detail) {
    ++counts_.failed[reason];
    counts_.examples.try_emplace(reason, Example{row.image_uid, row.url, detail});
  }

  void save() {
    if (changed_) {
      ledger_.flush_images();
      workspace_.write_images(rows_);
      changed_ = false;
    }
    ledger_.clear();
  }

  const FetchOptions& options_;
  images::FetchOptions settings_;
  Terminal& terminal_;
  workspace::Workspace workspace_;
  std::vector<workspace::Image> rows_;
  FetchLedger ledger_;
  std::vector<std::size_t> queued_;  ///< rows, parallel to urls_
  std::vector<std::string> urls_;
  Counts counts_;
  bool changed_ = false;
};

nlohmann::ordered_json as_json(const Counts& counts) {
  nlohmann::ordered_json failed = nlohmann::ordered_json::object();
  nlohmann::ordered_json examples = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : counts.failed) failed[reason] = count;
  for (const auto& [reason, example] : counts.examples) {
    examples[reason] = {{"image_uid", example.image_uid}, {"url", example.url}, {"detail", example.detail}};
  }
  return {{"total", counts.total},     {"ok", counts.ok},
          {"skipped", counts.skipped}, {"failed", failed},
          {"bytes", counts.bytes},     {"seconds", counts.seconds},
          {"examples", examples},      {"not_retried", counts.not_retried}};
}

void print(std::ostream& out, const Counts& counts) {
  const double megabytes = static_cast<double>(counts.bytes) / 1e6;
  out << fmt::format("images    {}: {} ok, {} there before, {} failed\n", with_thousands(counts.total),
                     with_thousands(counts.ok), with_thousands(counts.skipped), with_thousands(counts.failures()));
  out << fmt::format("fetched   {:.1f} MB in {:.1f} s\n", megabytes, counts.seconds);
  for (const auto& [reason, count] : counts.failed) {
    const Example& example = counts.examples.at(reason);
    out << fmt::format("failed    {} {}: {} ({})\n", with_thousands(count), reason,
                       example.url.empty() ? example.image_uid : example.url, example.detail);
  }
}

}  // namespace

int run_fetch(const FetchOptions& options, Terminal& terminal) {
  const Counts counts = FetchRun(options, terminal).run();
  terminal.result(as_json(counts), [&](std::ostream& out) { print(out, counts); });
  const bool nothing = counts.ok + counts.skipped == 0;
  const auto refused = counts.failed.find(kRefused);
  if (refused != counts.failed.end() && !options.allow_local) {
    terminal.warn(
        fmt::format("{} of {} images have file: URLs or addresses of a private network; --allow-local fetches them",
                    refused->second, counts.total));
  } else if (nothing) {
    terminal.warn(fmt::format("no image was fetched: {} of {} failed, first {}", counts.failures(), counts.total,
                              counts.failed.begin()->first));
  }
  return nothing || (options.strict && counts.failures() != 0) ? 1 : 0;
}

std::function<int(Terminal&)> add_fetch(CLI::App& command) {
  const auto options = std::make_shared<FetchOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--concurrency", options->concurrency, "Transfers at once")->capture_default_str();
  command.add_option("--per-host", options->per_host, "Of these, to one host")->capture_default_str();
  command.add_option("--retries", options->retries, "Further tries where another may help")->capture_default_str();
  command.add_flag("--retry-failed", options->retry_failed, "Also try what failed in an earlier run");
  command.add_flag("--allow-local", options->allow_local,
                   "Allow file: URLs and private, loopback, link-local addresses");
  command.add_option("--timeout", options->timeout_s, "Seconds to connect, and without data")->capture_default_str();
  command.add_option("--backoff-ms", options->backoff_ms, "Before the first retry; doubles")->capture_default_str();
  command.add_option("--max-bytes", options->max_bytes, "Largest image file")->capture_default_str();
  command.add_option("--proxy", options->proxy, "http://host:port; the environment's proxies are not used");
  command.add_flag("--verify", options->verify, "Recompute the checksum of the files that are there");
  command.add_flag("--strict", options->strict, "Exit 1 if any image is missing in the end");
  command.footer("Example:\n  imagerank fetch --data mine --concurrency 64");
  return [options](Terminal& terminal) { return run_fetch(*options, terminal); };
}

}  // namespace imagerank::cli
