#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "duplicates/fingerprints.h"
#include "workspace/workspace.h"

namespace imagerank::duplicates {

struct DuplicateSettings {
  bool perceptual = false;    ///< decode images and compare what they look like, too
  int distance = 6;           ///< bits in which the hashes of like pictures may differ, 0..16
  std::filesystem::path csv;  ///< empty: none
  double checkpoint_interval_s = 1.0;

  /// @throws Error kInvalidArgument, naming the option, its range and the value.
  void validate() const;
};

/// One group, for people.
struct LargeGroup {
  std::int64_t number = 0;  ///< as in the CSV file
  std::int64_t images = 0;
  std::vector<std::string> image_uids;  ///< the first few
};

struct GroupCounts {
  std::int64_t groups = 0;
  std::int64_t images = 0;    ///< in groups
  std::int64_t rankings = 0;  ///< that hold two images of one group, or one image twice
  /// Test images that share a group with another image, which stands in train; empty without labels.
  std::optional<std::int64_t> test_in_train;
  std::vector<LargeGroup> largest;  ///< largest first

  [[nodiscard]] std::int64_t extra() const noexcept { return images - groups; }
};

/// Images of near hashes, directly or through others; those of equal bytes are of one group whatever their hash. Groups
/// whose files are all the same are exact ones and not counted again, but in `rankings` and `test_in_train`.
struct PerceptualCounts {
  int distance = 0;
  HashCounts hashes;
  GroupCounts groups;
  double pairs_by_chance = 0.0;  ///< so near though unrelated, at least: see near_pairs_by_chance
};

struct Duplicates {
  std::int64_t images = 0;          ///< with status ok
  std::int64_t other_images = 0;    ///< rows of another status
  std::int64_t without_sha256 = 0;  ///< of `images`: not compared exactly
  GroupCounts exact;
  std::optional<PerceptualCounts> perceptual;
  std::optional<std::int64_t> test_images;  ///< images of test points and pairs; empty without labels
};

/// Groups of images with equal bytes (SHA-256) and, if asked, of images that look alike (images/perceptual_hash.h).
/// Writes fingerprints.parquet (if asked) and the CSV file, nothing else. Memory: DuckDB's 2 GB at most, spilling
/// beside the tables, and about 40 bytes an image.
/// @throws Error kInvalidArgument (settings), kNotFound (no images, none with status ok), kCorruptData, kCancelled,
/// kIo, kResourceLimit.
[[nodiscard]] Duplicates find_duplicates(const workspace::Workspace& workspace, const DuplicateSettings& settings,
                                         const RunContext& context);

}  // namespace imagerank::duplicates
