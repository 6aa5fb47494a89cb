#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "core/progress.h"
#include "exports/export.h"
#include "workspace/workspace.h"

namespace imagerank::exports {

/// A database with one table of the workspace as view `source`, filtered by split, in the order of the table's key.
class Rows {
 public:
  /// @throws Error kNotFound, kInvalidArgument (unknown table, a split of a table without splits), kCorruptData.
  Rows(const workspace::Workspace& workspace, const ExportSettings& settings, const RunContext& context);
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  [[nodiscard]] workspace::Database& database() noexcept { return database_; }
  /// Makes table `present` (image_uid, path, url VARCHAR; width, height INTEGER) of the images of the workspace: path
  /// is absolute, NULL where there is no such file or it is empty.
  void find_images();

 private:
  const workspace::Workspace& workspace_;
  const RunContext& context_;
  workspace::Database database_;
};

/// Makes table `scored` (image_uid, prompt VARCHAR; score DOUBLE).
void add_scores(workspace::Database& database, std::span<const ScoredPrompt> scores);
/// Appends a JSON text.
void append_json_text(std::string& line, const std::string& text);

/// Fails with kNotFound if there is nothing to write. @param counts  says why in `skipped`.
void require_rows(const ExportCounts& counts, const ExportSettings& settings);

/// A folder that appears under its final name whole or not at all: filled beside it as ".<name>.tmp-<pid>-<n>" and
/// renamed by commit(). Without commit() the destructor removes it.
class AtomicFolder {
 public:
  /// @throws Error kInvalidArgument if the folder is there, not empty, and not to be overwritten; kIo.
  AtomicFolder(std::filesystem::path final_path, bool overwrite);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return temporary_; }
  void commit();

 private:
  std::filesystem::path final_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

}  // namespace imagerank::exports
