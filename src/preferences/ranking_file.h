#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "core/progress.h"
#include "core/threads.h"
#include "workspace/database.h"
#include "workspace/parquet_writer.h"
#include "workspace/text_parts.h"
#include "workspace/workspace.h"

namespace imagerank::preferences {

/// The rankings of a workspace that has none, on their way straight from a query into their file: good as long as no
/// key comes twice, which is known at the end. Their images are noted on the way.
class RankingFile {
 public:
  struct Counts {
    std::int64_t rankings = 0, ties = 0;
    std::map<std::string, std::int64_t> reasons;  ///< rows left out
  };

  /// Both must outlive the object.
  RankingFile(const workspace::Workspace& workspace, const RunContext& context);
  ~RankingFile();

  /// @param select  the table's columns, and why a row is of no use, NULL if it is.
  void add(workspace::Database& database, const std::string& select);
  /// After all rows: writes what is left. @return false if two keys have one hash, and may be the same.
  bool finish();

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  /// finish()ed, not committed.
  [[nodiscard]] AtomicFile& file() noexcept { return file_; }
  /// Writes a row for each image, as those have of which nothing is known. @return how many.
  std::int64_t write_images(AtomicFile& images);

 private:
  struct Share;
  void take(std::span<const workspace::ColumnRows> columns, std::size_t count);

  const RunContext& context_;
  AtomicFile file_;
  workspace::ParquetWriter writer_;
  workspace::TextParts images_;
  PerThread<Share> shares_;
  Counts counts_;
};

}  // namespace imagerank::preferences
