#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/tar.h"
#include "fetch/ledger.h"
#include "workspace/workspace.h"

namespace imagerank::fetch {

/// Stores images as WebDataset shards, images/shards/00000.tar and so on, one open at a time: <key>.json (key,
/// image_uid, url, sha256, width, height, status) and <key>.<ext> of each image. The key is the uid, or its SHA-256
/// where the uid has a dot (at which WebDataset ends a key) or more than 90 bytes. A shard is named .00000.tar.partial
/// until it is whole. Not thread-safe.
class ShardWriter {
 public:
  /// @param images  a shard, above 0.
  ShardWriter(const workspace::Workspace& workspace, std::int64_t images);
  /// What add() gave before must be in the ledger by now. @param image  its path is not read. @param extension  ".jpg".
  /// @return the image's path for images.parquet, good once the shard has its name. @throws Error kResourceLimit, kIo.
  std::string add(const LedgerEntry& image, std::string_view extension, std::string_view bytes);
  /// Ends the open shard, if there is one, and gives it its name.
  void finish();
  /// Shards begun.
  [[nodiscard]] std::int64_t shards() const noexcept { return shards_; }

 private:
  void open();

  const workspace::Workspace& workspace_;
  const std::int64_t images_per_shard_;
  std::optional<TarWriter> tar_;
  std::filesystem::path shard_;  ///< of the open one the final name, relative to the workspace
  std::int64_t images_ = 0;      ///< in the open shard
  std::int64_t shards_ = 0;
};

/// Ends the shard that a run left open when it was killed, after the last image that the ledger has, and gives it its
/// name; one without such images goes. @throws Error kResourceLimit, kIo.
void recover_shards(const workspace::Workspace& workspace, const FetchLedger& ledger);

}  // namespace imagerank::fetch
