#include "preferences/incoming.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/schema.h"

namespace imagerank::preferences {
namespace {

using workspace::table_schema;

/// Why a ranking is of no use, NULL if it is.
constexpr const char* kRankingReason = R"(
    CASE WHEN coalesce(ranking_id, '') = '' THEN 'no_ranking_id'
         WHEN image_uids IS NULL OR len(image_uids) < 2 THEN 'fewer_than_two_images'
         WHEN NOT are_safe_uids(image_uids) THEN 'unsafe_uid'
         WHEN best_image_uid = '' THEN 'no_choice_recorded'
         WHEN best_image_uid IS NOT NULL AND NOT list_contains(image_uids, best_image_uid) THEN 'best_image_not_in_ranking'
         WHEN ranks IS NOT NULL AND len(ranks) <> len(image_uids) THEN 'ranks_do_not_match'
         WHEN weight IS NULL OR NOT isfinite(weight) OR weight <= 0 THEN 'bad_weight'
    END)";

constexpr const char* kImageReason =
    "CASE WHEN coalesce(image_uid, '') = '' THEN 'no_image_uid' WHEN NOT is_safe_uid(image_uid) THEN 'unsafe_uid' END";

constexpr const char* kRatingReason = R"(
    CASE WHEN coalesce(image_uid, '') = '' THEN 'no_image_uid'
         WHEN NOT is_safe_uid(image_uid) THEN 'unsafe_uid'
         WHEN score IS NULL OR NOT isfinite(score) THEN 'bad_score'
    END)";

/// The columns of a table, of its types, text columns without NULL but for `nullable`.
std::string without_null(const workspace::TableSchema& schema, std::string_view nullable = "") {
  std::string text;
  for (const workspace::ColumnSchema& column : schema.columns) {
    const bool plain = column.type != "VARCHAR" || column.name == nullable;
    text += fmt::format(fmt::runtime(plain ? "{}{}::{} AS {}" : "{}coalesce({}, '')::{} AS {}"),
                        text.empty() ? "" : ", ", column.name, column.type, column.name);
  }
  return text;
}

/// A query's rows as they are staged, each with a reason.
std::string judged(const workspace::TableSchema& schema, const std::string& reason, const std::string& select,
                   std::string_view nullable = "") {
  return fmt::format("SELECT {}, {} AS reason FROM ({}) AS t({})", without_null(schema, nullable), reason, select,
                     column_names(schema));
}

std::string judged_rankings(const std::string& select) {
  return judged(table_schema("rankings"), kRankingReason, select, "best_image_uid");
}

void stage(workspace::Database& database, const std::string& table, const std::string& judged) {
  database.execute(fmt::format("INSERT INTO {} {}", table, judged));
}

}  // namespace

Incoming::Incoming(const workspace::Workspace& workspace, const RunContext& context)
    : workspace_(workspace),
      context_(context),
      database_(context.threads, workspace.root()),
      is_first_(!workspace.has_table("rankings")) {
  for (const auto& [table, name] :
       {std::pair{"incoming_ranking", "rankings"}, {"incoming_image", "images"}, {"incoming_rating", "ratings"}}) {
    database_.execute(
        fmt::format("CREATE TABLE {} ({}, reason VARCHAR)", table, column_definitions(table_schema(name))));
  }
}

void Incoming::add_rankings(const std::string& select, bool rereadable) {
  if (!rereadable) return stage(database_, "incoming_ranking", judged_rankings(select));
  rereadable_.push_back(select);
  database_.execute("SET preserve_insertion_order = false");
  if (is_first_) {
    if (ranking_file_ == nullptr) ranking_file_ = std::make_unique<RankingFile>(workspace_, context_);
    ranking_file_->add(database_, judged_rankings(select));
  } else {
    stage(database_, "incoming_ranking", judged_rankings(select));
  }
  database_.execute("SET preserve_insertion_order = true");
}

void Incoming::add_images(const std::string& select) {
  stage(database_, "incoming_image", judged(table_schema("images"), kImageReason, select));
}

void Incoming::add_ratings(const std::string& select) {
  stage(database_, "incoming_rating", judged(table_schema("ratings"), kRatingReason, select));
}

void Incoming::skip(const std::string& reason, std::int64_t rows) {
  if (rows != 0) counts_.skipped[reason] += rows;
}

void Incoming::ignore_column(const std::string& name) {
  auto& names = counts_.ignored_columns;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

void Incoming::note(const std::string& line) { counts_.notes.push_back(line); }

void Incoming::count_reasons(const std::string& table) {
  const auto rows = database_.query(
      fmt::format("SELECT reason, count(*) AS n FROM {} WHERE reason IS NOT NULL GROUP BY reason", table));
  for (std::size_t i = 0; i < rows.row_count; ++i) skip(rows.columns[0].text[i], rows.columns[1].integer[i]);
}

/// Where no two hashes of keys are equal, no two keys are.
bool Incoming::has_repeated_keys() {
  return database_.query_integer(
             "SELECT count(*) - count(DISTINCT hash(dataset, ranking_id)) FROM incoming_ranking WHERE reason IS "
             "NULL") != 0;
}

void Incoming::stage_in_order() {
  if (rereadable_.empty()) return;
  database_.execute("TRUNCATE incoming_ranking");
  for (const std::string& select : std::exchange(rereadable_, {})) add_rankings(select);
}

/// @return false if what the file holds must be staged after all.
bool Incoming::keep_ranking_file() {
  if (ranking_file_ == nullptr) return false;
  if (!ranking_file_->finish()) {
    ranking_file_.reset();
    return false;
  }
  for (const auto& [reason, rows] : ranking_file_->counts().reasons) skip(reason, rows);
  database_.execute(fmt::format("CREATE VIEW unique_ranking AS SELECT * FROM read_parquet({})",
                                workspace::sql_literal(ranking_file_->file().temporary_path().string())));
  return true;
}

void Incoming::keep_first_rankings() {
  const bool in_file = ranking_file_ != nullptr;
  if (keep_ranking_file()) return;
  const bool repeated = in_file || has_repeated_keys();
  if (repeated) stage_in_order();
  count_reasons("incoming_ranking");
  const std::string good = fmt::format("SELECT {}, rowid AS place FROM incoming_ranking WHERE reason IS NULL",
                                       column_names(table_schema("rankings")));
  if (!repeated) {
    database_.execute("CREATE VIEW unique_ranking AS SELECT * EXCLUDE (place) FROM (" + good + ")");
    return;
  }
  database_.execute("CREATE TABLE repeated_ranking AS SELECT dataset, ranking_id FROM (" + good +
                    ") GROUP BY ALL HAVING count(*) > 1");
  // The same row in two files (or twice in one) is no loss; the same id with other content is, and is said. A row of a
  // larger split that stands in a smaller one too ("test_unique") is the same row.
  skip("ranking_id_used_twice",
       database_.query_integer(
           "SELECT (SELECT count(*) FROM (SELECT DISTINCT * EXCLUDE (place, official_split) FROM (" + good +
           ") SEMI JOIN repeated_ranking USING (dataset, ranking_id))) - (SELECT count(*) "
           "FROM repeated_ranking)"));
  database_.execute("CREATE TABLE unique_ranking AS SELECT * EXCLUDE (place) FROM (" + good +
                    ") ANTI JOIN repeated_ranking USING (dataset, ranking_id)");
  database_.execute("INSERT INTO unique_ranking SELECT * EXCLUDE (place) FROM (" + good + R"()
    SEMI JOIN repeated_ranking USING (dataset, ranking_id)
    QUALIFY row_number() OVER (PARTITION BY dataset, ranking_id
                               ORDER BY CASE WHEN official_split LIKE '%\_unique' ESCAPE '\' THEN 0 ELSE 1 END, place) = 1)");
}

void Incoming::keep_best_images() {
  count_reasons("incoming_image");
  const std::string good = fmt::format(
      "SELECT {}, CASE WHEN status = 'ok' THEN 2 WHEN url <> '' OR path <> '' THEN 1 ELSE 0 END AS level "
      "FROM incoming_image WHERE reason IS NULL",
      column_names(table_schema("images")));
  skip("image_uid_used_twice",
       database_.query_integer("SELECT count(*) - count(DISTINCT image_uid) FROM (SELECT DISTINCT image_uid, url, path "
                               "FROM (" +
                               good + ") WHERE level = 1)"));
  database_.execute("CREATE TABLE unique_image AS SELECT * FROM (" + good +
                    ") QUALIFY row_number() OVER (PARTITION BY image_uid ORDER BY level DESC, url, path) = 1");
}

void Incoming::merge_rankings() {
  if (!workspace_.has_table("rankings")) {
    changed_ = true;
    database_.execute("CREATE VIEW all_rankings AS SELECT * FROM unique_ranking");
    in_ranking_file_ = ranking_file_ != nullptr;
    if (in_ranking_file_) {
      counts_.rankings = ranking_file_->counts().rankings;
      counts_.ties = ranking_file_->counts().ties;
    } else {
      counts_.rankings = database_.query_integer("SELECT count(*) FROM all_rankings");
      counts_.ties = database_.query_integer("SELECT count(*) FROM all_rankings WHERE best_image_uid IS NULL");
    }
    counts_.added_rankings = counts_.rankings;
    return;
  }
  workspace_.attach_or_empty(database_, "rankings");
  skip("ranking_id_used_twice",
       database_.query_integer("SELECT count(*) FROM unique_ranking u JOIN rankings r USING (dataset, ranking_id) "
                               "WHERE u.best_image_uid IS DISTINCT FROM r.best_image_uid "
                               "OR u.image_uids <> r.image_uids"));
  database_.execute(R"(
    CREATE TABLE all_rankings AS
    SELECT * FROM rankings UNION ALL
    SELECT * FROM unique_ranking ANTI JOIN rankings USING (dataset, ranking_id))");
  counts_.rankings = database_.query_integer("SELECT count(*) FROM all_rankings");
  counts_.ties = database_.query_integer("SELECT count(*) FROM all_rankings WHERE best_image_uid IS NULL");
  counts_.added_rankings = counts_.rankings - database_.query_integer("SELECT count(*) FROM rankings");
}

void Incoming::merge_images() {
  workspace_.attach_or_empty(database_, "images");
  // A row that says less gives way: one that rankings alone made to a url or path, and these to a file.
  database_.execute(fmt::format(R"(
    CREATE TABLE known_images AS
    WITH i AS (SELECT *, CASE WHEN status = 'ok' THEN 2 WHEN url <> '' OR path <> '' THEN 1 ELSE 0 END AS level FROM images)
    SELECT {} FROM i WHERE NOT EXISTS (FROM unique_image u WHERE u.image_uid = i.image_uid AND u.level > i.level)
    UNION ALL
    SELECT {} FROM unique_image u WHERE NOT EXISTS (FROM i WHERE i.image_uid = u.image_uid AND i.level >= u.level))",
                                column_names(table_schema("images")), column_names(table_schema("images"))));
  const bool any_known = database_.query_integer("SELECT count(*) FROM known_images") > 0;
  only_bare_images_ = !any_known;
  changed_ = changed_ || counts_.added_rankings != 0 || !workspace_.has_table("images");
  // What is written in any case is found while it is written, and counted then.
  database_.execute(fmt::format(R"(
    CREATE {} bare_image AS
    SELECT DISTINCT uid AS image_uid FROM (SELECT unnest(image_uids) AS uid FROM all_rankings) {})",
                                changed_ ? "VIEW" : "TABLE",
                                any_known ? "WHERE uid NOT IN (SELECT image_uid FROM known_images)" : ""));
  database_.execute(fmt::format(R"(
    CREATE VIEW all_images AS {}
    SELECT image_uid, '' AS url, '' AS path, '' AS model, '' AS prompt, 0 AS width, 0 AS height, '' AS sha256,
           '' AS status
    FROM bare_image)",
                                any_known ? "SELECT * FROM known_images UNION ALL" : ""));
  if (changed_) return;
  count_images("all_images");
  changed_ =
      counts_.added_images != 0 ||
      database_.query_integer("SELECT count(*) FROM (SELECT * FROM known_images EXCEPT SELECT * FROM images)") != 0;
}

void Incoming::count_images(const std::string& from) {
  counts_.images = database_.query_integer("SELECT count(*) FROM " + from);
  counts_.added_images = counts_.images - database_.query_integer("SELECT count(*) FROM images");
}

bool Incoming::merge_ratings() {
  count_reasons("incoming_rating");
  const std::int64_t before = workspace_.has_table("ratings") ? 1 : 0;
  if (before == 0 && database_.query_integer("SELECT count(*) FROM incoming_rating WHERE reason IS NULL") == 0)
    return false;
  workspace_.attach_or_empty(database_, "ratings");
  const std::string good = fmt::format("SELECT {}, rowid AS place FROM incoming_rating WHERE reason IS NULL",
                                       column_names(table_schema("ratings")));
  skip("rating_twice",
       database_.query_integer("SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(DISTINCT score) AS n FROM (" + good +
                               ") GROUP BY image_uid, prompt, user_id, aspect)"));
  database_.execute("CREATE TABLE unique_rating AS SELECT * EXCLUDE (place) FROM (" + good + R"()
    QUALIFY row_number() OVER (PARTITION BY image_uid, prompt, user_id, aspect ORDER BY place) = 1)");
  database_.execute(R"(
    CREATE TABLE all_ratings AS
    SELECT * FROM ratings r WHERE NOT (r.prompt = '' AND EXISTS (
      FROM unique_rating u WHERE u.image_uid = r.image_uid AND u.user_id = r.user_id AND u.aspect = r.aspect
                             AND u.prompt <> ''))
    UNION ALL
    SELECT * FROM unique_rating u WHERE NOT EXISTS (
      FROM ratings r WHERE r.image_uid = u.image_uid AND r.user_id = u.user_id AND r.aspect = u.aspect
                       AND (r.prompt = u.prompt OR u.prompt = '')))");
  counts_.ratings = database_.query_integer("SELECT count(*) FROM all_ratings");
  counts_.added_ratings = counts_.ratings - database_.query_integer("SELECT count(*) FROM ratings");
  changed_ = changed_ || database_.query_integer(
                             "SELECT count(*) FROM (SELECT * FROM all_ratings EXCEPT SELECT * FROM ratings)") != 0;
  return true;
}

ImportCounts Incoming::finish() {
  keep_first_rankings();
  context_.check_stop();
  keep_best_images();
  merge_rankings();
  merge_images();
  const bool has_ratings = merge_ratings();
  context_.check_stop();

  if (!changed_) return counts_;  // nothing new: the files stay as they are, to the byte

  // schema.h says why. Not before: of rows with the same key the first is kept.
  database_.execute("SET preserve_insertion_order = false");
  std::optional<AtomicFile> ratings;
  if (has_ratings) {
    ratings.emplace(workspace_.table_path("ratings"));
    database_.copy_parquet("SELECT * FROM all_ratings ORDER BY image_uid, prompt, user_id, aspect", *ratings);
  }
  std::optional<AtomicFile> rankings;
  if (!in_ranking_file_) {
    rankings.emplace(workspace_.table_path("rankings"));
    database_.copy_unordered("SELECT * FROM all_rankings", *rankings);
  }
  AtomicFile images(workspace_.table_path("images"));
  if (in_ranking_file_ && only_bare_images_) {
    counts_.images = counts_.added_images = ranking_file_->write_images(images);
  } else {
    database_.copy_unordered("SELECT * FROM all_images", images);
    count_images(fmt::format("read_parquet({})", workspace::sql_literal(images.temporary_path().string())));
  }
  if (ratings) ratings->commit();
  images.commit();
  (rankings ? *rankings : ranking_file_->file()).commit();
  return counts_;
}

}  // namespace imagerank::preferences
