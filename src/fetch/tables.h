#pragma once

#include <cstdint>

#include "fetch/ledger.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::fetch {

/// What DuckDB may hold at a time; what is more spills beside the tables. Not all of it can: lists of more than 1.5
/// million rows need more, so much a row.
inline constexpr std::int64_t kTableMemory = std::int64_t{128} << 20, kTableMemoryOfARow = 90;

/// Writes what the ledger holds into images.parquet and validators.parquet, then empties it.
/// @throws Error kCorruptData, kResourceLimit, kIo.
void write_tables(const workspace::Workspace& workspace, FetchLedger& ledger);

/// Rows with status ok that hold the same bytes as another row's file.
[[nodiscard]] std::int64_t count_same_content(const workspace::Workspace& workspace);

}  // namespace imagerank::fetch
