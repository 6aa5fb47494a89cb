#pragma once

#include <duckdb.h>

namespace imagerank::workspace {

/// Adds to a connection's SQL stable_hash(VARCHAR, UBIGINT) -> UBIGINT, is_safe_uid(VARCHAR) -> BOOLEAN and
/// are_safe_uids(VARCHAR[]) -> BOOLEAN (every one is). NULL text counts as empty.
/// @throws Error kUnavailable.
void register_sql_functions(duckdb_connection connection);

}  // namespace imagerank::workspace
