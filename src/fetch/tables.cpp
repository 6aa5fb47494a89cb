#include "fetch/tables.h"

#include <bit>
#include <filesystem>
#include <optional>
#include <string>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/keys.h"

namespace imagerank::fetch {
namespace {

/// In how many parts, a power of 2, so many rows are grouped: DuckDB's joins spill where memory ends, but not all of
/// what its groups hold.
std::uint64_t parts_of(std::int64_t rows) {
  constexpr std::int64_t kRowsOfAPart = 400'000;
  return std::bit_ceil(static_cast<std::uint64_t>(rows / kRowsOfAPart + 1));
}

/// Opens images within the memory that its length needs.
void attach_images(const workspace::Workspace& workspace, workspace::Database& database) {
  workspace.attach(database, "images");
  const std::int64_t needed = database.query_integer("SELECT count(*) FROM images") * kTableMemoryOfARow;
  if (needed > kTableMemory) database.execute(fmt::format("SET memory_limit = '{}B'", needed));
}

/// entry: the ledger. verdict: which entry each image row has, by a hash of its uid; the last of an image counts.
/// Everything is grouped and joined by numbers, which spill to disk where texts would have to stay in memory.
void load_entries(workspace::Database& database, const FetchLedger& ledger) {
  database.execute(
      "CREATE TABLE entry (place BIGINT, image_uid VARCHAR, url VARCHAR, status VARCHAR, path VARCHAR, sha256 VARCHAR, "
      "width INTEGER, height INTEGER, etag VARCHAR, last_modified VARCHAR)");
  workspace::Database::Appender appender(database, "entry");
  std::int64_t place = 0;
  ledger.for_each([&](const LedgerEntry& entry) {
    appender.append(place++);
    appender.append(entry.image_uid);
    appender.append(entry.url);
    appender.append(entry.status);
    appender.append(entry.path);
    appender.append(entry.sha256);
    appender.append(entry.width);
    appender.append(entry.height);
    appender.append(entry.etag);
    appender.append(entry.last_modified);
    appender.end_row();
  });
  appender.close();
  const std::uint64_t parts = parts_of(place);
  // The last entry of each image.
  database.execute("CREATE TABLE own (image UHUGEINT, place BIGINT)");
  for (std::uint64_t part = 0; part < parts; ++part) {
    database.execute(fmt::format(R"(
      INSERT INTO own SELECT image, max(place) FROM (SELECT md5_number(image_uid) AS image, place FROM entry)
      WHERE (image & {}::UHUGEINT) = {}::UHUGEINT GROUP BY image)",
                                 parts - 1, part));
  }
  // Rows of one URL: what was fetched for one of them holds for all, but a failure not for those with a file of their
  // own.
  database.execute(
      "CREATE TABLE last AS SELECT md5_number(url) AS link, place FROM entry SEMI JOIN own USING (place) WHERE url <> "
      "''");
  database.execute("CREATE TABLE of_url (link UHUGEINT, place BIGINT)");
  for (std::uint64_t part = 0; part < parts; ++part) {
    database.execute(fmt::format(R"(
      INSERT INTO of_url SELECT link, max(place) FROM last
      WHERE (link & {}::UHUGEINT) = {}::UHUGEINT GROUP BY link)",
                                 parts - 1, part));
  }
  database.execute("DROP TABLE last");
  database.execute(R"(
    CREATE TABLE verdict AS
    SELECT image, place FROM own
    UNION ALL
    SELECT image, place
    FROM (SELECT md5_number(image_uid) AS image, md5_number(url) AS link, status, md5_number(path) AS file
          FROM images WHERE url <> '') i
    JOIN of_url USING (link) ANTI JOIN own USING (image)
    WHERE i.status <> 'ok' OR place IN (SELECT place FROM entry WHERE status = 'ok')
          OR file IN (SELECT md5_number(path) FROM images WHERE md5_number(image_uid) IN (SELECT image FROM own)))");
}

/// A failure leaves what is known of an earlier file.
constexpr const char* kImages = R"(
  SELECT i.image_uid, i.url, CASE WHEN e.status = 'ok' THEN e.path ELSE i.path END AS path, model, prompt,
         CASE WHEN e.status = 'ok' THEN e.width ELSE i.width END AS width,
         CASE WHEN e.status = 'ok' THEN e.height ELSE i.height END AS height,
         CASE WHEN e.status = 'ok' THEN e.sha256 ELSE i.sha256 END AS sha256, coalesce(e.status, i.status) AS status
  FROM images i LEFT JOIN verdict v ON v.image = md5_number(i.image_uid) LEFT JOIN entry e ON e.place = v.place)";

/// Files that rows name until now and no longer: the type of an image may change, and where it is kept.
constexpr const char* kReplaced = R"(
  CREATE TABLE replaced AS
  SELECT i.image_uid, i.path
  FROM images i JOIN verdict v ON v.image = md5_number(i.image_uid) JOIN entry e ON e.place = v.place
  WHERE e.status = 'ok' AND i.path <> '' AND i.path <> e.path)";

constexpr const char* kKept = R"(
  DELETE FROM replaced WHERE md5_number(path) IN (SELECT md5_number(path) FROM ({})))";

constexpr const char* kValidators = R"(
  WITH fresh AS (SELECT url, etag, last_modified FROM entry SEMI JOIN of_url USING (place) WHERE status = 'ok')
  SELECT url, etag, last_modified FROM validators
  WHERE md5_number(url) NOT IN (SELECT md5_number(url) FROM fresh)
  UNION ALL
  SELECT url, etag, last_modified FROM fresh WHERE etag <> '' OR last_modified <> '')";

/// Only those that `fetch` named: others are not its own.
void remove_replaced(const workspace::Workspace& workspace, workspace::Database& database) {
  database.for_each_chunk("SELECT image_uid, path FROM replaced", [&](const workspace::Table& rows) {
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      const std::string& uid = rows.columns[0].text[i];
      const std::filesystem::path path = rows.columns[1].text[i];
      if (!workspace::is_safe_uid(uid) || path != workspace::Workspace::image_path(uid, path.extension())) continue;
      std::error_code error;  // a file that stays costs its room only
      std::filesystem::remove(workspace.root() / path, error);
    }
  });
}

}  // namespace

void write_tables(const workspace::Workspace& workspace, FetchLedger& ledger) {
  if (!ledger.empty()) {
    workspace::Database database(1, workspace.root(), kTableMemory);
    database.execute("SET preserve_insertion_order = false");  // schema.h says why
    attach_images(workspace, database);
    load_entries(database, ledger);
    workspace.attach_or_empty(database, "validators");
    AtomicFile images(workspace.table_path("images"));
    database.copy_parquet(kImages, images);
    std::optional<AtomicFile> validators;
    if (workspace.has_table("validators") ||
        database.query_integer(fmt::format("SELECT count(*) FROM ({})", kValidators)) > 0) {
      validators.emplace(workspace.table_path("validators"));
      database.copy_parquet(kValidators, *validators);
    }
    database.execute(kReplaced);
    if (database.query_integer("SELECT count(*) FROM replaced") > 0) database.execute(fmt::format(kKept, kImages));
    ledger.flush_images();
    if (validators) validators->commit();
    images.commit();
    remove_replaced(workspace, database);
  }
  ledger.clear();
}

std::int64_t count_same_content(const workspace::Workspace& workspace) {
  workspace::Database database(1, workspace.root(), kTableMemory);
  attach_images(workspace, database);
  database.execute(
      "CREATE TABLE content AS SELECT md5_number(sha256) AS content, md5_number(path) AS file FROM images "
      "WHERE status = 'ok' AND sha256 <> ''");
  const std::uint64_t parts = parts_of(database.query_integer("SELECT count(*) FROM content"));
  std::int64_t same = 0;
  for (std::uint64_t part = 0; part < parts; ++part) {
    same += database.query_integer(fmt::format(R"(
      SELECT sum(n - 1) FROM (
        SELECT count(*) AS n FROM (SELECT DISTINCT content, file FROM content
                                   WHERE (content & {}::UHUGEINT) = {}::UHUGEINT) GROUP BY content))",
                                               parts - 1, part));
  }
  return same;
}

}  // namespace imagerank::fetch
