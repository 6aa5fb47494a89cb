#include "fetch/tables.h"

#include <optional>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::fetch {
namespace {

/// outcome: the ledger's entries; the last of each image counts.
void load_outcomes(workspace::Database& database, const FetchLedger& ledger) {
  database.execute(
      "CREATE TABLE entry (place BIGINT, image_uid VARCHAR, of_url INTEGER, status VARCHAR, path VARCHAR, "
      "sha256 VARCHAR, width INTEGER, height INTEGER, etag VARCHAR, last_modified VARCHAR)");
  workspace::Database::Appender appender(database, "entry");
  std::int64_t place = 0;
  ledger.for_each([&](const LedgerEntry& entry) {
    appender.append(place++);
    appender.append(entry.image_uid);
    appender.append(std::int32_t{entry.of_url ? 1 : 0});
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
  database.execute(
      "CREATE VIEW outcome AS SELECT * FROM entry SEMI JOIN (SELECT image_uid, max(place) AS place FROM entry "
      "GROUP BY image_uid) USING (image_uid, place)");
  database.execute(
      "CREATE TABLE by_url AS SELECT i.url, i.path AS old_path, o.* FROM images i JOIN outcome o USING (image_uid) "
      "WHERE o.of_url = 1 AND i.url <> ''");
}

/// A failure leaves what is known of an earlier file. A row whose own file is there stays as it is unless the URL's
/// new file is there too.
constexpr const char* kImages = R"(
  SELECT i.image_uid, i.url,
         CASE WHEN coalesce(o.status, u.status) = 'ok' THEN coalesce(o.path, u.path) ELSE i.path END AS path,
         i.model, i.prompt,
         CASE WHEN coalesce(o.status, u.status) = 'ok' THEN coalesce(o.width, u.width) ELSE i.width END AS width,
         CASE WHEN coalesce(o.status, u.status) = 'ok' THEN coalesce(o.height, u.height) ELSE i.height END AS height,
         CASE WHEN coalesce(o.status, u.status) = 'ok' THEN coalesce(o.sha256, u.sha256) ELSE i.sha256 END AS sha256,
         coalesce(o.status, u.status, i.status) AS status
  FROM images i LEFT JOIN outcome o USING (image_uid)
  LEFT JOIN by_url u ON i.url = u.url AND (i.status <> 'ok' OR u.status = 'ok' OR i.path = u.old_path))";

constexpr const char* kValidators = R"(
  SELECT url, etag, last_modified FROM validators ANTI JOIN (SELECT url FROM by_url WHERE status = 'ok') USING (url)
  UNION ALL
  SELECT url, etag, last_modified FROM by_url WHERE status = 'ok' AND (etag <> '' OR last_modified <> ''))";

}  // namespace

void write_tables(const workspace::Workspace& workspace, FetchLedger& ledger) {
  if (!ledger.empty()) {
    workspace::Database database(0, workspace.root(), kTableMemory);
    database.execute("SET preserve_insertion_order = false");  // schema.h says why
    workspace.attach(database, "images");
    load_outcomes(database, ledger);
    workspace.attach_or_empty(database, "validators");
    AtomicFile images(workspace.table_path("images"));
    database.copy_parquet(kImages, images);
    std::optional<AtomicFile> validators;
    if (workspace.has_table("validators") ||
        database.query_integer(fmt::format("SELECT count(*) FROM ({})", kValidators)) > 0) {
      validators.emplace(workspace.table_path("validators"));
      database.copy_parquet(kValidators, *validators);
    }
    ledger.flush_images();
    if (validators) validators->commit();
    images.commit();
  }
  ledger.clear();
}

std::int64_t count_same_content(const workspace::Workspace& workspace) {
  workspace::Database database(0, workspace.root(), kTableMemory);
  workspace.attach(database, "images");
  return database.query_integer(
      "SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM (SELECT DISTINCT sha256, path FROM images "
      "WHERE status = 'ok' AND sha256 <> '') GROUP BY sha256)");
}

}  // namespace imagerank::fetch
