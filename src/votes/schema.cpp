#include "votes/schema.h"

#include <array>
#include <span>
#include <string_view>

#include "core/fail.h"
#include "votes/tokens.h"

namespace imagerank::votes {
namespace {

/// Statements that make version i + 1 out of version i. What was released is never changed: add another.
constexpr std::array kToVersion1 = {
    std::string_view("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)"),
    std::string_view("CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_hash TEXT NOT NULL, "
                     "choices INTEGER NOT NULL, strategy TEXT NOT NULL, guideline_hash TEXT NOT NULL, "
                     "started_at BIGINT NOT NULL)"),
    std::string_view("CREATE TABLE shown_sets (set_id TEXT PRIMARY KEY, "
                     "session_id TEXT NOT NULL REFERENCES sessions (session_id), prompt TEXT NOT NULL, "
                     "images TEXT NOT NULL, strategy TEXT NOT NULL, shown_at BIGINT NOT NULL)"),
    std::string_view("CREATE INDEX shown_sets_of_session ON shown_sets (session_id, shown_at)"),
    std::string_view("CREATE TABLE votes (set_id TEXT PRIMARY KEY REFERENCES shown_sets (set_id), "
                     "session_id TEXT NOT NULL, choice TEXT, skipped INTEGER NOT NULL, taken_ms BIGINT NOT NULL, "
                     "voted_at BIGINT NOT NULL)"),
};
constexpr std::array kToVersion2 = {
    std::string_view("CREATE INDEX votes_of_session ON votes (session_id, voted_at)"),
    std::string_view("CREATE TABLE undone_votes (set_id TEXT NOT NULL, session_id TEXT NOT NULL, choice TEXT, "
                     "skipped INTEGER NOT NULL, taken_ms BIGINT NOT NULL, voted_at BIGINT NOT NULL, "
                     "undone_at BIGINT NOT NULL)"),
};

void apply(soci::session& sql, std::span<const std::string_view> statements, int version) {
  for (const std::string_view statement : statements) sql << std::string(statement);
  const auto now = static_cast<long long>(now_ms());
  sql << "INSERT INTO schema_version (version, applied_at) VALUES (:v, :t)", soci::use(version), soci::use(now);
}

int version_of(soci::session& sql) {
  int version = 0;
  sql << "SELECT COALESCE(MAX(version), 0) FROM schema_version", soci::into(version);
  return version;
}

void check_not_newer(const Connection& connection, int version) {
  if (version <= kSchemaVersion) return;
  fail(ErrorCode::kRefused, "{}: expected a schema of version {} or older, found {}, which a newer imagerank made",
       connection.shown(), kSchemaVersion, version);
}

}  // namespace

void migrate(Connection& connection, int version) {
  connection.transact([&](soci::session& sql) {
    // Two servers that start at once: one migrates, the other finds it done.
    if (!connection.is_sqlite()) sql << "SELECT pg_advisory_xact_lock(7102643301)";
    sql << "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at BIGINT NOT NULL)";
    const int found = version_of(sql);
    check_not_newer(connection, found);
    if (found < 1 && version >= 1) {
      apply(sql, kToVersion1, 1);
      const std::string salt = random_hex(16);
      sql << "INSERT INTO settings (name, value) VALUES ('user_salt', :s)", soci::use(salt);
    }
    if (found < 2 && version >= 2) apply(sql, kToVersion2, 2);
  });
}

void check_schema(Connection& connection) {
  int found = 0;
  connection.transact([&](soci::session& sql) {
    int tables = 0;
    if (connection.is_sqlite()) {
      sql << "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('schema_version', 'votes')",
          soci::into(tables);
    } else {
      sql << "SELECT COUNT(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) "
             "AND tablename IN ('schema_version', 'votes')",
          soci::into(tables);
    }
    if (tables != 2) {
      fail(ErrorCode::kCorruptData, "{}: expected a votes database, found none of its tables", connection.shown());
    }
    found = version_of(sql);
  });
  check_not_newer(connection, found);
}

}  // namespace imagerank::votes
