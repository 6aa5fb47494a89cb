#pragma once

#include <duckdb.h>

#include <cstdint>
#include <string_view>

namespace imagerank::workspace {

/// 64 well-mixed bits of a text and a seed, the same on every machine and with every version of DuckDB (whose own
/// hash() promises neither): eight bytes at a time through the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
[[nodiscard]] std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) noexcept;

/// Adds stable_hash(VARCHAR, UBIGINT) -> UBIGINT to a connection's SQL. NULL text counts as empty.
/// @throws Error kUnavailable.
void register_sql_functions(duckdb_connection connection);

}  // namespace imagerank::workspace
