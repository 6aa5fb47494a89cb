#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "fetch/fetch.h"
#include "fetch/plan.h"
#include "workspace/database.h"

namespace imagerank::fetch {

/// The images of WebDataset shards, matched to the rows that lack a file. An image is a row's
///
/// 1. if its .json says so: `image_uid`, `uid`, or `image_uids` where the sample's images are <key>.0.jpg, <key>.1.jpg;
/// 2. or its file name without extension (or the sample's `key`) is the row's uid, unless both have URLs that differ;
/// 3. or its .json has the row's `url`.
///
/// The first rule that holds wins, then the first image. A sample is what stands together and is named alike up to the
/// first dot: https://github.com/webdataset/webdataset. Rows and images stay on disk where they are many.
class ShardSource {
 public:
  /// @throws Error kNotFound, kInvalidArgument for what is no "*.tar".
  ShardSource(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context);
  /// Reads the shards and the rows. Broken archives and members are counted, and named in counts.shards.
  void match(FetchCounts& counts);
  /// Files to look at, after match().
  [[nodiscard]] std::int64_t files();
  void for_each_file(const std::function<void(LocalFile&&)>& visit);
  /// Counts the rows for which no file was found, when the tables have those for which one was.
  void count_rest(FetchCounts& counts);

 private:
  class Reader;
  void load_rows(FetchCounts& counts);

  const workspace::Workspace& workspace_;
  const FetchSettings& settings_;
  const RunContext& context_;
  std::vector<std::filesystem::path> shards_;
  workspace::Database database_;
};

}  // namespace imagerank::fetch
