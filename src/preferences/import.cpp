#include "preferences/import.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/schema.h"

namespace imagerank::preferences {
namespace {

using workspace::Database;
using workspace::sql_literal;

constexpr std::string_view kDataset = "pickapic-v0";

struct SourceFile {
  std::string from;  ///< read_parquet('...')
  std::vector<std::string> columns;

  [[nodiscard]] bool has(std::string_view column) const {
    return std::find(columns.begin(), columns.end(), column) != columns.end();
  }
  /// The column as text, or '' if the file has none.
  [[nodiscard]] std::string text(std::string_view column) const {
    return has(column) ? fmt::format("coalesce(CAST(\"{}\" AS VARCHAR), '')", column) : "''";
  }
  [[nodiscard]] std::string integer(std::string_view column) const {
    return has(column) ? fmt::format("coalesce(TRY_CAST(\"{}\" AS INTEGER), 0)", column) : "0";
  }
};

SourceFile open_source(Database& database, const std::filesystem::path& path) {
  if (!std::filesystem::exists(path))
    fail(ErrorCode::kNotFound, "{}: expected a Parquet file, found nothing", path.string());
  SourceFile source{fmt::format("read_parquet({})", sql_literal(path.string())), {}};
  try {
    for (auto& [name, type] : database.describe(source.from)) source.columns.push_back(name);
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: expected a Parquet file, found: {}", path.string(), error.what());
  }
  return source;
}

void stage_rankings(Database& database, const SourceFile& source) {
  database.execute(fmt::format(R"(
    INSERT INTO incoming_ranking
    SELECT CAST(ranking_id AS VARCHAR), '{0}', '', {1}, {2}, {3},
           list_filter([CAST(image_1_uid AS VARCHAR), CAST(image_2_uid AS VARCHAR),
                        CAST(image_3_uid AS VARCHAR), CAST(image_4_uid AS VARCHAR)], x -> x IS NOT NULL AND x <> ''),
           CAST(best_image_uid AS VARCHAR), NULL, 1.0
    FROM {4})",
                               kDataset, source.text("created_at"), source.text("user_id"), source.text("prompt"),
                               source.from));
}

void stage_images(Database& database, const SourceFile& source) {
  const std::string model = source.has("generator") ? "generator" : source.has("model") ? "model" : "model_id";
  database.execute(fmt::format(R"(
    INSERT INTO incoming_image
    SELECT {0}, {1}, {2}, {3}, {4}, {5}, {6}, '', '' FROM {7})",
                               source.text("image_uid"), source.text("url"), source.text("path"), source.text(model),
                               source.text("prompt"), source.integer("width"), source.integer("height"), source.from));
}

constexpr std::array<std::string_view, 6> kRankingColumns = {"ranking_id",  "image_1_uid", "image_2_uid",
                                                             "image_3_uid", "image_4_uid", "best_image_uid"};
constexpr std::array<std::string_view, 3> kRankingExtras = {"created_at", "user_id", "prompt"};
constexpr std::array<std::string_view, 9> kImageColumns = {"image_uid", "url",    "path",  "generator", "model",
                                                           "model_id",  "prompt", "width", "height"};

template <typename... Lists>
void note_ignored(const SourceFile& source, ImportCounts& counts, const Lists&... kept) {
  for (const std::string& column : source.columns) {
    const bool known = ((std::find(kept.begin(), kept.end(), column) != kept.end()) || ...);
    const bool noted =
        std::find(counts.ignored_columns.begin(), counts.ignored_columns.end(), column) != counts.ignored_columns.end();
    if (!known && !noted) counts.ignored_columns.push_back(column);
  }
}

void stage_file(Database& database, const std::filesystem::path& path, ImportCounts& counts) {
  const SourceFile source = open_source(database, path);
  try {
    if (source.has("best_image_uid") || source.has("image_1_uid")) {
      for (const std::string_view column : kRankingColumns) {
        if (!source.has(column)) {
          fail(ErrorCode::kCorruptData, "{}: rankings: expected a column '{}', found {}", path.string(), column,
               fmt::join(source.columns, ", "));
        }
      }
      if (!source.has("prompt")) {
        fail(ErrorCode::kCorruptData, "{}: rankings: expected a column 'prompt', found {}", path.string(),
             fmt::join(source.columns, ", "));
      }
      note_ignored(source, counts, kRankingColumns, kRankingExtras);
      stage_rankings(database, source);
    } else if (source.has("image_uid") && (source.has("url") || source.has("path"))) {
      note_ignored(source, counts, kImageColumns);
      stage_images(database, source);
    } else {
      fail(ErrorCode::kCorruptData,
           "{}: expected rankings (ranking_id, image_1_uid .. image_4_uid, best_image_uid, prompt) or images "
           "(image_uid, url or path), found columns {}",
           path.string(), fmt::join(source.columns, ", "));
    }
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(path.string()) != std::string::npos) throw;
    throw Error(error.code(), path.string() + ": " + message);
  }
}

/// Moves rows that no command could use out of the incoming tables, counting why.
void skip(Database& database, ImportCounts& counts, const std::string& table, const std::string& reason,
          const std::string& condition) {
  const std::int64_t count = database.query_integer(fmt::format("SELECT count(*) FROM {} WHERE {}", table, condition));
  if (count == 0) return;
  counts.skipped[reason] += count;
  database.execute(fmt::format("DELETE FROM {} WHERE {}", table, condition));
}

void clean_rankings(Database& database, ImportCounts& counts) {
  skip(database, counts, "incoming_ranking", "no_ranking_id", "coalesce(ranking_id, '') = ''");
  skip(database, counts, "incoming_ranking", "fewer_than_two_images", "len(image_uids) < 2");
  skip(database, counts, "incoming_ranking", "no_choice_recorded", "coalesce(best_image_uid, '') = ''");
  skip(database, counts, "incoming_ranking", "best_image_not_in_ranking",
       "best_image_uid <> 'none' AND NOT list_contains(image_uids, best_image_uid)");
  database.execute("UPDATE incoming_ranking SET best_image_uid = NULL WHERE best_image_uid = 'none'");
  // The same row in two files (or twice in one) is no loss; the same id with other content is, and is said.
  const std::string same = "SELECT DISTINCT * FROM incoming_ranking";
  const std::int64_t clashes =
      database.query_integer("SELECT count(*) - count(DISTINCT ranking_id) FROM (" + same + ")");
  if (clashes != 0) counts.skipped["ranking_id_used_twice"] += clashes;
  database.execute("CREATE TABLE unique_ranking AS SELECT * FROM (" + same +
                   ") QUALIFY row_number() OVER (PARTITION BY ranking_id ORDER BY created_at, image_uids) = 1");
}

void clean_images(Database& database, ImportCounts& counts) {
  skip(database, counts, "incoming_image", "no_image_uid", "image_uid = ''");
  const std::int64_t clashes = database.query_integer(
      "SELECT count(*) - count(DISTINCT image_uid) FROM (SELECT DISTINCT image_uid, url, path FROM incoming_image)");
  if (clashes != 0) counts.skipped["image_uid_used_twice"] += clashes;
  database.execute(
      "CREATE TABLE unique_image AS SELECT * FROM incoming_image "
      "QUALIFY row_number() OVER (PARTITION BY image_uid ORDER BY url, path) = 1");
}

}  // namespace

ImportCounts import_pickapic_v0(const workspace::Workspace& workspace, const std::vector<std::filesystem::path>& files,
                                const RunContext& context) {
  if (files.empty()) fail(ErrorCode::kInvalidArgument, "expected at least one file");
  Database database(context.threads, workspace.root());
  const auto& ranking_schema = workspace::table_schema("rankings");
  const auto& image_schema = workspace::table_schema("images");
  database.execute(fmt::format("CREATE TABLE incoming_ranking ({})", workspace::column_definitions(ranking_schema)));
  database.execute(fmt::format("CREATE TABLE incoming_image ({})", workspace::column_definitions(image_schema)));
  ImportCounts counts;
  for (const std::filesystem::path& file : files) {
    context.check_stop();
    stage_file(database, file, counts);
  }
  clean_rankings(database, counts);
  clean_images(database, counts);

  workspace.attach_or_empty(database, "rankings");
  workspace.attach_or_empty(database, "images");
  const std::int64_t rankings_before = database.query_integer("SELECT count(*) FROM rankings");
  const std::int64_t images_before = database.query_integer("SELECT count(*) FROM images");
  database.execute(R"(
    CREATE TABLE all_rankings AS
    SELECT * FROM rankings UNION ALL
    SELECT * FROM unique_ranking ANTI JOIN rankings USING (dataset, ranking_id))");
  // A row that rankings alone made (no url, no path) gives way to what an images table says.
  database.execute(R"(
    CREATE TABLE known_images AS
    SELECT i.* FROM images i WHERE i.url <> '' OR i.path <> '' OR i.image_uid NOT IN (SELECT image_uid FROM unique_image)
    UNION ALL
    SELECT * FROM unique_image WHERE image_uid NOT IN (SELECT image_uid FROM images WHERE url <> '' OR path <> ''))");
  database.execute(R"(
    CREATE TABLE all_images AS
    SELECT * FROM known_images UNION ALL
    SELECT DISTINCT uid, '', '', '', '', 0, 0, '', '' FROM (SELECT unnest(image_uids) AS uid FROM all_rankings)
    WHERE uid NOT IN (SELECT image_uid FROM known_images))");
  counts.rankings = database.query_integer("SELECT count(*) FROM all_rankings");
  counts.images = database.query_integer("SELECT count(*) FROM all_images");
  counts.ties = database.query_integer("SELECT count(*) FROM all_rankings WHERE best_image_uid IS NULL");
  counts.added_rankings = counts.rankings - rankings_before;
  counts.added_images = counts.images - images_before;
  context.check_stop();

  AtomicFile rankings(workspace.table_path("rankings"));
  AtomicFile images(workspace.table_path("images"));
  database.copy_parquet("SELECT * FROM all_rankings ORDER BY dataset, created_at, ranking_id", rankings);
  database.copy_parquet("SELECT * FROM all_images ORDER BY image_uid", images);
  images.commit();
  rankings.commit();
  return counts;
}

}  // namespace imagerank::preferences
