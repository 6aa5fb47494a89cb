#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/item_failure.h"
#include "core/progress.h"
#include "hub/repository.h"
#include "hub/settings.h"

namespace imagerank::hub {

struct PullRequest {
  Repository repository;
  std::vector<std::string> patterns;  ///< as is_wanted(); empty: every file
  /// Which of the files that the patterns name, where one depends on which others there are; empty: all of them. An
  /// empty answer transfers nothing.
  std::function<std::vector<std::string>(const std::vector<std::string>& paths)> choose;
  bool dry_run = false;  ///< only look: nothing is transferred or written
};

struct PulledFile {
  std::string path;             ///< in the repository
  std::filesystem::path local;  ///< where it is, or would be, in the cache
  std::uint64_t size = 0;       ///< bytes
  bool cached = false;          ///< it was there before
};

struct PullResult {
  std::string commit;
  std::vector<PulledFile> files;  ///< by path; those that failed are not among them
  std::uint64_t bytes = 0;        ///< of `files`
  std::uint64_t cached = 0;       ///< how many of `files` needed no transfer
  std::uint64_t transferred = 0;  ///< bytes that came over the network
  std::vector<ItemFailure> failed;
};

/// Brings the files of a repository that the patterns name into the cache, several at once. What is there in full size
/// is not asked for again; what an earlier run left half is carried on. Offline, what the cache holds is all there is.
/// Once all files are there, refs/<revision> is written. Progress is in bytes of this run.
/// @throws Error kInvalidArgument; kNotFound (no such repository, revision or file; offline: not in the cache);
/// kRefused (gated; unsafe names); kUnavailable (network); kCorruptData; kResourceLimit (disk); kIo; kCancelled.
[[nodiscard]] PullResult pull(const HubSettings& settings, const PullRequest& request, const RunContext& context);

}  // namespace imagerank::hub
