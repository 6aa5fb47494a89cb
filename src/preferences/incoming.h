#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/progress.h"
#include "preferences/ranking_file.h"
#include "workspace/workspace.h"

namespace imagerank::preferences {

struct ImportCounts {
  std::int64_t rankings = 0;  ///< in the workspace afterwards
  std::int64_t images = 0;    ///< in the workspace afterwards
  std::int64_t ratings = 0;   ///< in the workspace afterwards
  std::int64_t ties = 0;      ///< rankings without a best image, in the workspace afterwards
  std::int64_t added_rankings = 0;
  std::int64_t added_images = 0;
  std::int64_t added_ratings = 0;
  std::map<std::string, std::int64_t> skipped;  ///< rows of the files left out, by reason
  std::vector<std::string> ignored_columns;     ///< columns of the files that are not kept
  std::vector<std::string> notes;               ///< what a person should know, one line each
};

/// What an import has read and not yet written: rankings, images and ratings, staged in a database.
/// Readers of formats add rows by SQL; finish() leaves out what no command could use, counting it by reason, merges the
/// rest with what the workspace holds and writes the tables. Not thread-safe.
class Incoming {
 public:
  /// Nothing of the workspace is read or changed before finish(). Both must outlive the object.
  Incoming(const workspace::Workspace& workspace, const RunContext& context);

  /// Where readers may make tables of their own, under names that do not start with "incoming_".
  [[nodiscard]] workspace::Database& database() noexcept { return database_; }
  [[nodiscard]] const workspace::Workspace& workspace() const noexcept { return workspace_; }
  [[nodiscard]] const RunContext& context() const noexcept { return context_; }

  /// Stages a query's rows, at once. Its columns are those of the table in the workspace, in that order and of those
  /// types, whatever their names. Text may be NULL (taken as ''), but best_image_uid says: NULL a tie, '' nothing
  /// recorded. ranks NULL: none given. A ranking's dataset and ranking_id, an image's uid, a rating's image, prompt,
  /// user and aspect are the keys; of rows with the same key the first added is kept.
  /// @throws Error as Database does.
  /// @param rereadable  the query gives the same rows whenever it runs: they are staged in no order, which takes a
  /// third less, or, in a workspace without rankings, go straight into its file; and are staged once more in order if
  /// keys repeat. One import's queries are all rereadable, or none.
  void add_rankings(const std::string& select, bool rereadable = false);
  /// Of images with the same uid, one with status 'ok' is kept before one with a url or path before one with neither.
  void add_images(const std::string& select);
  /// A rating without a prompt gives way to one with a prompt.
  void add_ratings(const std::string& select);

  /// Rows that a reader left out itself.
  void skip(const std::string& reason, std::int64_t rows);
  /// A column of a file that is not kept; named once.
  void ignore_column(const std::string& name);
  void note(const std::string& line);

  /// Writes rankings, images and, if there are any, ratings: all or none.
  /// Images named only by rankings get a row without a URL.
  /// @throws Error as Database and AtomicFile do; the workspace is as before then.
  ImportCounts finish();

 private:
  void count_reasons(const std::string& table);
  [[nodiscard]] bool has_repeated_keys();
  void stage_in_order();
  bool keep_ranking_file();
  void keep_first_rankings();
  void keep_best_images();
  void merge_rankings();
  void merge_images();
  void count_images(const std::string& from);
  bool merge_ratings();

  const workspace::Workspace& workspace_;
  const RunContext& context_;
  workspace::Database database_;
  ImportCounts counts_;
  std::vector<std::string> rereadable_;  ///< queries whose rankings are staged in no order, or in ranking_file_
  /// Where rereadable queries' rankings are instead, in a workspace that has none.
  std::unique_ptr<RankingFile> ranking_file_;
  const bool is_first_;            ///< whether the workspace has no rankings at first
  bool in_ranking_file_ = false;   ///< whether all rankings are in ranking_file_
  bool only_bare_images_ = false;  ///< whether images are those of rankings, of which nothing else is known
  bool changed_ = false;           ///< whether the workspace's tables would be others than they are
};

}  // namespace imagerank::preferences
