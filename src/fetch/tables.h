#pragma once

#include <cstdint>

#include "fetch/ledger.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::fetch {

/// What DuckDB may hold at a time: lists of any length are joined within it, spilling beside the tables.
inline constexpr std::int64_t kTableMemory = std::int64_t{128} << 20;

/// Writes what the ledger holds into images.parquet and validators.parquet, then empties it.
/// @throws Error kCorruptData, kResourceLimit, kIo.
void write_tables(const workspace::Workspace& workspace, FetchLedger& ledger);

/// Rows with status ok that hold the same bytes as another row's file.
[[nodiscard]] std::int64_t count_same_content(const workspace::Workspace& workspace);

}  // namespace imagerank::fetch
