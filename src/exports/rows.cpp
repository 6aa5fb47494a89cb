#include "exports/rows.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/schema.h"

namespace imagerank::exports {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// A name beside `path` that nothing else has, of the kind that remove_stale_temporaries() knows.
std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter = 0;
  return folder_of(path) / fmt::format(".{}.tmp-{}-{}", path.filename().string(), ::getpid(), counter++);
}

bool is_occupied(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return false;
  return !std::filesystem::is_directory(path, error) || !std::filesystem::is_empty(path, error);
}

/// The column that --split reads; "" if the table has none.
std::string_view split_column(const workspace::TableSchema& schema) {
  for (const workspace::ColumnSchema& column : schema.columns) {
    if (column.name == "split" || column.name == "official_split") return column.name;
  }
  return "";
}

}  // namespace

Rows::Rows(const workspace::Workspace& workspace, const ExportSettings& settings, const RunContext& context)
    : workspace_(workspace), context_(context), database_(context.threads, workspace.root()) {
  const workspace::TableSchema& schema = workspace::table_schema(settings.table);
  const std::string_view split = split_column(schema);
  if (!settings.split.empty() && split.empty())
    fail(ErrorCode::kInvalidArgument, "--split: expected a table with splits, found '{}'", settings.table);
  workspace.attach(database_, settings.table);
  const std::string where =
      settings.split.empty() ? "" : fmt::format(" WHERE {} = {}", split, workspace::sql_literal(settings.split));
  database_.execute(
      fmt::format("CREATE VIEW source AS SELECT * FROM {}{} ORDER BY {}", settings.table, where, schema.key));
}

void Rows::find_images() {
  workspace_.attach(database_, "images");
  database_.execute(
      "CREATE TABLE present (image_uid VARCHAR, path VARCHAR, url VARCHAR, width INTEGER, height INTEGER)");
  // A second database reads while this one is written: a query that streams must not meet another on its connection.
  workspace::Database reader(1);
  workspace_.attach(reader, "images");
  workspace::Database::Appender appender(database_, "present");
  std::uint64_t done = 0;
  reader.for_each_chunk("SELECT image_uid, path, url, width, height FROM images", [&](const workspace::Table& rows) {
    context_.check_stop();
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      workspace::Image image;
      image.path = rows.columns[1].text[i];
      const auto path = image.path.empty() ? std::filesystem::path() : workspace_.resolve(image);
      appender.append(rows.columns[0].text[i]);
      if (!path.empty() && has_file(path)) {
        appender.append(std::filesystem::absolute(path).lexically_normal().string());
      } else {
        appender.append_null();
      }
      appender.append(rows.columns[2].text[i]);
      appender.append(static_cast<std::int32_t>(rows.columns[3].integer[i]));
      appender.append(static_cast<std::int32_t>(rows.columns[4].integer[i]));
      appender.end_row();
    }
    done += rows.row_count;
    context_.report({"look for images", done, 0, ""});
  });
  appender.close();
}

void add_scores(workspace::Database& database, std::span<const ScoredPrompt> scores) {
  database.execute("CREATE TABLE scored (image_uid VARCHAR, prompt VARCHAR, score DOUBLE)");
  workspace::Database::Appender appender(database, "scored");
  for (const ScoredPrompt& row : scores) {
    appender.append(row.image_uid);
    appender.append(row.prompt);
    appender.append(row.score);
    appender.end_row();
  }
  appender.close();
}

// Most texts need no escape: these go as they are, ten times as fast as through a JSON value.
void append_json_text(std::string& line, const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (plain) {
    line += '"';
    line += text;
    line += '"';
  } else {
    line += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
}

void require_rows(const ExportCounts& counts, const ExportSettings& settings) {
  if (counts.rows > 0) return;
  std::string reasons;
  for (const auto& [reason, count] : counts.skipped) reasons += fmt::format(", {}: {}", reason, count);
  fail(ErrorCode::kNotFound, "{}{}: expected rows to export, found none{}", settings.table,
       settings.split.empty() ? "" : fmt::format(" of split '{}'", settings.split), reasons);
}

AtomicFolder::AtomicFolder(std::filesystem::path final_path, bool overwrite) : final_(std::move(final_path)) {
  if (!final_.has_filename()) final_ = final_.parent_path();  // "out/"
  if (!overwrite && is_occupied(final_)) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a new or an empty folder, found files; --overwrite replaces it",
         final_.string());
  }
  std::error_code error;
  std::filesystem::create_directories(folder_of(final_), error);
  remove_stale_temporaries(folder_of(final_));
  temporary_ = temporary_beside(final_);
  std::filesystem::create_directory(temporary_, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create: {}", temporary_.string(), error.message());
}

AtomicFolder::~AtomicFolder() {
  std::error_code error;
  if (!committed_) std::filesystem::remove_all(temporary_, error);
}

void AtomicFolder::commit() {
  std::error_code error;
  const std::filesystem::path old = temporary_beside(final_);
  const bool replaces = is_occupied(final_);
  if (replaces) std::filesystem::rename(final_, old, error);
  if (!error) std::filesystem::rename(temporary_, final_, error);
  if (error) {
    const std::string reason = error.message();
    if (replaces) std::filesystem::rename(old, final_, error);
    fail(ErrorCode::kIo, "{}: cannot put into place: {}", final_.string(), reason);
  }
  committed_ = true;
  if (replaces) std::filesystem::remove_all(old, error);
}

}  // namespace imagerank::exports
