#pragma once

#include "votes/connection.h"

namespace imagerank::votes {

/// The schema that this program reads and writes.
inline constexpr int kSchemaVersion = 2;

/// Brings a database to a version, from none or an older one, in one transaction: tables
///   sessions     session_id, user_hash, choices, strategy, guideline_hash, started_at
///   shown_sets   set_id, session_id, prompt, images (JSON list of uids, left to right), strategy, shown_at
///   votes        set_id, session_id, choice (NULL: no preference), skipped, taken_ms, voted_at
///   undone_votes as votes, and undone_at
///   settings     name, value;   schema_version  version, applied_at
/// Times are milliseconds since 1970. @throws Error kRefused for a newer schema.
void migrate(Connection& connection, int version = kSchemaVersion);
/// @throws Error kRefused for a newer schema, kCorruptData for a database that holds no votes.
void check_schema(Connection& connection);

}  // namespace imagerank::votes
