#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/item_failure.h"
#include "core/progress.h"
#include "duplicates/groups.h"
#include "workspace/workspace.h"

namespace imagerank::duplicates {

/// What became of the images of a workspace.
struct HashCounts {
  std::int64_t hashed = 0;       ///< with a hash
  std::int64_t featureless = 0;  ///< too plain for one
  std::map<std::string, std::int64_t> failed;
  std::map<std::string, ItemFailure> examples;  ///< of each reason, the first
  std::int64_t cached = 0;                      ///< of hashed and featureless, those known from an earlier run
  std::int64_t decoded = 0;                     ///< files that this run tried to decode
  double images_per_s = 0.0;                    ///< of these; 0 if there were none

  [[nodiscard]] std::int64_t failures() const;
};

/// Hashes the images of table `image` (r, image_uid, path, sha256) of `database`, r from 0 without gaps, on
/// context.thread_count() threads. What fingerprints.parquet knows of a file with the same SHA-256 is taken from there;
/// the table is written anew every so often and at the end, so that a stop or crash keeps what the last write had. What
/// does not decode is counted, and tried again by the next run.
/// @param checkpoint_interval_s  no more often, nor for more than a twentieth of the time.
/// @throws Error kCorruptData (a broken fingerprints.parquet), kCancelled, kIo, kResourceLimit.
HashCounts hash_images(const workspace::Workspace& workspace, workspace::Database& database,
                       double checkpoint_interval_s, const RunContext& context, ImageHashes& hashes);

}  // namespace imagerank::duplicates
