#include "cli/command_fetch.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>

#include "core/fail.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

constexpr const char* kRefused = "refused_address";

fetch::milliseconds milliseconds_of(const char* option, double seconds) {
  if (!(seconds > 0.0 && seconds <= 86400.0))  // false for NaN too
    fail(ErrorCode::kInvalidArgument, "{}: expected seconds above 0, at most 3600, found {}", option, seconds);
  return fetch::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000.0)));
}

fetch::FetchSettings settings_of(const FetchOptions& options) {
  fetch::FetchSettings settings = options.settings;
  settings.network.connect_timeout = milliseconds_of("--connect-timeout", options.connect_timeout_s);
  settings.network.first_byte_timeout = milliseconds_of("--first-byte-timeout", options.first_byte_timeout_s);
  settings.network.stall_timeout = milliseconds_of("--timeout", options.timeout_s);
  settings.network.backoff = fetch::milliseconds(options.backoff_ms);
  settings.network.respect_noai = !options.ignore_noai;
  if (options.verify != "bytes" && options.verify != "decode")
    fail(ErrorCode::kInvalidArgument, "--verify: expected bytes or decode, found '{}'", options.verify);
  settings.decode = options.verify == "decode";
  settings.retry_failed = settings.retry_failed || !settings.retry_reasons.empty();
  settings.validate();
  return settings;
}

nlohmann::ordered_json as_json(const std::map<std::string, std::int64_t>& counts) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : counts) object[reason] = count;
  return object;
}

nlohmann::ordered_json as_json(const std::map<std::string, fetch::FetchExample>& examples) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [reason, example] : examples) {
    object[reason] = {{"image_uid", example.image_uid}, {"url", example.url}, {"detail", example.detail}};
  }
  return object;
}

nlohmann::ordered_json as_json(const fetch::ShardCounts& shards) {
  nlohmann::ordered_json trouble = nlohmann::ordered_json::array();
  for (const ItemFailure& failure : shards.trouble) trouble.push_back(failure.detail);
  return {{"files", shards.files},
          {"images", shards.images},
          {"unmatched", shards.unmatched},
          {"unused", shards.unused},
          {"broken", as_json(shards.broken)},
          {"broken_archives", trouble},
          {"examples", as_json(shards.examples)}};
}

nlohmann::ordered_json as_json(const fetch::FetchCounts& counts) {
  return {{"total", counts.total},
          {"ok", counts.ok},
          {"skipped", counts.skipped},
          {"unchanged", counts.unchanged},
          {"failed", as_json(counts.failed)},
          {"bytes", counts.bytes},
          {"seconds", counts.seconds},
          {"examples", as_json(counts.examples)},
          {"not_retried", counts.not_retried},
          {"refresh_failed", counts.refresh_failed},
          {"same_url", counts.same_url},
          {"same_content", counts.same_content},
          {"left", counts.left},
          {"shards", as_json(counts.shards)}};
}

/// As many sockets as the system allows: shells start programs with 1,024 files, for the sake of those that use
/// select().
void raise_file_limit() noexcept {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);  // without it fewer transfers wait at once
}

std::string counted(std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); }

void print_shards(std::ostream& out, const fetch::FetchCounts& counts) {
  const fetch::ShardCounts& shards = counts.shards;
  out << fmt::format("shards    {} read: {} images, {} match no row, {} not needed\n", counted(shards.files),
                     counted(shards.images), counted(shards.unmatched), counted(shards.unused));
  for (const auto& [reason, count] : shards.broken) {
    const fetch::FetchExample& example = shards.examples.at(reason);
    out << fmt::format("broken    {} {}: {} ({})\n", counted(count), reason, example.url, example.detail);
  }
  if (shards.unmatched != 0) {
    const fetch::FetchExample& example = shards.examples.at("unmatched");
    out << fmt::format("no row    {}: such as {} in {}\n", counted(shards.unmatched), example.detail, example.url);
  }
  if (counts.left != 0) {
    out << fmt::format("left      {} not in the shards; without --from-shards their servers are asked\n",
                       counted(counts.left));
  }
}

void print(std::ostream& out, const fetch::FetchCounts& counts, bool from_shards) {
  const double megabytes = static_cast<double>(counts.bytes) / 1e6;
  out << fmt::format("images    {}: {} ok, {} there before, {} failed\n", counted(counts.total), counted(counts.ok),
                     counted(counts.skipped + counts.unchanged), counted(counts.failures()));
  if (from_shards) {
    print_shards(out, counts);
  } else {
    out << fmt::format("fetched   {:.1f} MB in {:.1f} s\n", megabytes, counts.seconds);
    if (counts.shards.files != 0) {
      out << fmt::format("shards    {} written in images/shards\n", counted(counts.shards.files));
    }
  }
  if (counts.unchanged != 0) out << fmt::format("unchanged {}: the server says so\n", counted(counts.unchanged));
  if (counts.refresh_failed != 0) {
    out << fmt::format("kept      {}: the server did not say whether they changed\n", counted(counts.refresh_failed));
  }
  if (counts.same_url != 0)
    out << fmt::format("same url  {} rows share another row's URL and file\n", counted(counts.same_url));
  if (counts.same_content != 0) {
    out << fmt::format("same      {} files hold the bytes of another; `imagerank duplicates` lists them\n",
                       counted(counts.same_content));
  }
  for (const auto& [reason, count] : counts.failed) {
    const fetch::FetchExample& example = counts.examples.at(reason);
    out << fmt::format("failed    {} {}: {} ({})\n", counted(count), reason,
                       example.url.empty() ? example.image_uid : example.url, example.detail);
  }
}

}  // namespace

int run_fetch(const FetchOptions& options, Terminal& terminal) {
  const fetch::FetchSettings settings = settings_of(options);
  const auto workspace = workspace::Workspace::open(options.data);
  raise_file_limit();
  const fetch::FetchCounts counts = fetch::fetch_images(workspace, settings, terminal.context());
  const bool from_shards = !settings.from_shards.empty();
  terminal.result(as_json(counts), [&](std::ostream& out) { print(out, counts, from_shards); });
  constexpr std::size_t kMostLines = 10;
  const auto& trouble = counts.shards.trouble;
  for (std::size_t i = 0; i < std::min(kMostLines, trouble.size()); ++i) terminal.warn(trouble[i].detail);
  if (trouble.size() > kMostLines) terminal.warn(fmt::format("{} archives are broken in all", trouble.size()));
  const bool nothing = counts.ok + counts.skipped + counts.unchanged == 0;
  const auto refused = counts.failed.find(kRefused);
  if (refused != counts.failed.end() && !settings.network.allow_local) {
    terminal.warn(
        fmt::format("{} of {} images have file: URLs or addresses of a private network; --allow-local fetches them",
                    refused->second, counts.total));
  } else if (nothing && from_shards) {
    terminal.warn(fmt::format("no image was found: none of {} in the shards is one of the {} rows'",
                              counts.shards.images, counts.total));
  } else if (nothing) {
    terminal.warn(fmt::format("no image was fetched: {} of {} failed, first {}", counts.failures(), counts.total,
                              counts.failed.begin()->first));
  } else if (counts.failures() != 0) {
    terminal.note("`imagerank coverage` says what the missing images do to your data");
  }
  return nothing || (options.strict && counts.failures() + counts.left != 0) ? 1 : 0;
}

std::function<int(Terminal&)> add_fetch(CLI::App& command) {
  const auto options = std::make_shared<FetchOptions>();
  fetch::FetchSettings& settings = options->settings;
  fetch::NetworkSettings& network = settings.network;
  command.add_option("--data", options->data, "The workspace folder")->required();
  command.add_option("--concurrency", network.concurrency, "Transfers at once")->capture_default_str();
  command.add_option("--per-host", network.per_host, "Of these, to one host")->capture_default_str();
  command.add_option("--retries", network.retries, "Further tries where another may help")->capture_default_str();
  command.add_flag("--retry-failed", settings.retry_failed, "Also try what failed in an earlier run");
  command
      .add_option("--reason", settings.retry_reasons, "With --retry-failed: only such failures, as \"timeout,http_5*\"")
      ->delimiter(',');
  command.add_flag("--refresh", settings.refresh, "Ask whether the images that are there have changed");
  command.add_flag("--recheck", settings.recheck, "Recompute the checksum of the files that are there");
  command.add_option("--verify", options->verify, "bytes: header, trailer, size; decode: also every pixel")
      ->capture_default_str();
  command.add_option("--resize", settings.resize, "Pixels of the shorter side; 0 keeps the original")
      ->capture_default_str();
  command.add_option("--shards", settings.shards, "Store tar shards of so many images (WebDataset); 0: each a file")
      ->capture_default_str();
  command.add_option("--from-shards", settings.from_shards,
                     "Take the images from these tar shards (WebDataset), or patterns, where they lie; no network");
  command.add_flag("--allow-local", network.allow_local,
                   "Allow file: URLs and private, loopback, link-local addresses");
  command.add_flag("--ignore-noai", options->ignore_noai, "Also images whose server says X-Robots-Tag: noai");
  command.add_option("--connect-timeout", options->connect_timeout_s, "Seconds for name, address and TLS")
      ->capture_default_str();
  command.add_option("--first-byte-timeout", options->first_byte_timeout_s, "Seconds until the answer begins")
      ->capture_default_str();
  command.add_option("--timeout", options->timeout_s, "Seconds without a byte, later")->capture_default_str();
  command.add_option("--backoff-ms", options->backoff_ms, "Before the first retry; doubles")->capture_default_str();
  command.add_option("--max-bytes", network.max_image_bytes, "Largest image file")->capture_default_str();
  command.add_option("--proxy", network.proxy, "http://host:port; the environment's proxies are not used");
  command.add_option("--ca-file", network.ca_file, "PEM certificates to trust instead of the system's");
  command.add_flag("--strict", options->strict, "Exit 1 if any image is missing in the end");
  command.footer(
      "Examples:\n  imagerank fetch --data mine --concurrency 64\n"
      "  imagerank fetch --data mine --from-shards 'shards/*.tar'");
  return [options](Terminal& terminal) { return run_fetch(*options, terminal); };
}

}  // namespace imagerank::cli
