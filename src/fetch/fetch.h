#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/item_failure.h"
#include "core/progress.h"
#include "fetch/transport.h"
#include "workspace/workspace.h"

namespace imagerank::fetch {

/// What to fetch, and how far to trust it.
struct FetchSettings {
  NetworkSettings network;
  bool retry_failed = false;               ///< also what failed in an earlier run
  std::vector<std::string> retry_reasons;  ///< of these, only such reasons; "http_5*" stands for all that start so
  bool refresh = false;                    ///< ask whether what is there has changed (conditional requests)
  bool recheck = false;                    ///< recompute the checksum of the files that are there
  bool decode = false;                     ///< decode every image that is fetched, not only look at its two ends
  std::int32_t resize = 0;                 ///< pixels of the shorter side of what is kept, 0: the original, as it came
  std::int64_t shards = 0;                 ///< images a tar shard of images/shards; 0: each a file of its own
  /// Tar shards or patterns to take images from, where they lie, instead of the network; not with shards, resize,
  /// refresh and retry_failed.
  std::vector<std::filesystem::path> from_shards;

  /// @throws Error kInvalidArgument.
  void validate() const;
};

struct FetchExample {
  std::string image_uid;
  std::string url;
  std::string detail;
};

/// Shards that were written or read. Of those read: images = taken + unmatched + unused + the sum of broken, but that
/// an image which several rows share counts once.
struct ShardCounts {
  std::int64_t files = 0;
  std::int64_t images = 0;                       ///< members that are images, or are named so
  std::int64_t unmatched = 0;                    ///< that no row asks for
  std::int64_t unused = 0;                       ///< whose row had a file, or found another image before
  std::map<std::string, std::int64_t> broken;    ///< that cannot be used, by reason; their rows stay as they are
  std::map<std::string, FetchExample> examples;  ///< of each reason and of "unmatched", the first; the path as url
  std::vector<ItemFailure> trouble;              ///< archives that are broken: what stands before that was read
};

/// Rows of images.parquet by what became of them: total = ok + skipped + unchanged + left + the sum of failed.
struct FetchCounts {
  std::int64_t total = 0;
  std::int64_t ok = 0;              ///< fetched, or found on disk, by this run
  std::int64_t skipped = 0;         ///< there before
  std::int64_t unchanged = 0;       ///< there before, and the server says so
  std::int64_t left = 0;            ///< not in the shards that were read, and not tried
  std::int64_t bytes = 0;           ///< fetched by this run
  std::int64_t not_retried = 0;     ///< of failed: in an earlier run
  std::int64_t same_url = 0;        ///< rows that share another row's URL, and so its file
  std::int64_t same_content = 0;    ///< files there that hold the same bytes as another row's of another URL
  std::int64_t refresh_failed = 0;  ///< of skipped: asked whether they changed, without an answer; the file stays
  std::map<std::string, std::int64_t> failed;
  std::map<std::string, FetchExample> examples;  ///< of each reason, the first
  ShardCounts shards;
  double seconds = 0.0;

  [[nodiscard]] std::int64_t failures() const;
};

/// Fetches the images of a workspace: images/<ab>/<uid>.<ext>, and path, size, sha256 and status in images.parquet.
/// Rows that share a URL share a file. With settings.shards they go into images/shards/<number>.tar instead; with
/// settings.from_shards rows are matched to the members of WebDataset shards, whose bytes stay where they are, by uid
/// or URL, and no server is asked. Bodies are checked and written on context.thread_count() threads beside the one that
/// talks to the network. Stopped or killed it loses at most the transfers under way. Memory: bounded, whatever the
/// number of rows.
/// @throws Error kNotFound (no rows), kInvalidArgument, kCancelled, kUnavailable (another fetch at work here),
/// kResourceLimit (disk full), kIo.
[[nodiscard]] FetchCounts fetch_images(const workspace::Workspace& workspace, const FetchSettings& settings,
                                       const RunContext& context);

}  // namespace imagerank::fetch
