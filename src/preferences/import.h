#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "preferences/incoming.h"
#include "workspace/workspace.h"

namespace imagerank::preferences {

struct ImportOptions {
  std::string dataset;                         ///< what rankings are filed under; empty: the format's own name
  std::filesystem::path images;                ///< the folder that paths in the files start at; empty: each file's own
  std::map<std::string, std::string> columns;  ///< generic formats: target -> column of the files
};

/// A public format: its name, a line of help, and how one file's rows become staged rows.
struct Format {
  std::string_view name;
  std::string_view help;
  /// Stages one file. @throws Error.
  void (*read)(Incoming& incoming, const std::filesystem::path& file, const ImportOptions& options);
  /// Whether ImportOptions::columns means something to it.
  [[nodiscard]] bool takes_columns() const noexcept { return name == "csv" || name == "jsonl" || name == "parquet"; }
};

/// In the order in which the help lists them.
[[nodiscard]] std::span<const Format> formats() noexcept;
/// @throws Error kInvalidArgument listing the names.
[[nodiscard]] const Format& format_of(std::string_view name);

/// Imports files of one format. Rows are keyed by dataset and ranking id, or by uid; what is there already stays, so
/// that a second import changes nothing. The tables appear together, or none.
/// @param files  names, or patterns with * ? [ ] or **, taken in the order given, each once.
/// @throws Error kNotFound, kCorruptData (naming the file, what was expected and what was found), kInvalidArgument.
ImportCounts import_files(const workspace::Workspace& workspace, const Format& format,
                          const std::vector<std::filesystem::path>& files, const ImportOptions& options,
                          const RunContext& context);

/// Imports rankings that are no file's, without `ranks`. Keyed, merged and checked as those of files.
/// @param skipped  what the caller left out, by reason: counted with the rest.
ImportCounts import_rankings(const workspace::Workspace& workspace, std::span<const workspace::Ranking> rankings,
                             const std::map<std::string, std::int64_t>& skipped, const RunContext& context);

}  // namespace imagerank::preferences
