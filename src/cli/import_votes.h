#pragma once

#include <filesystem>
#include <vector>

#include "cli/terminal.h"
#include "preferences/import.h"

namespace imagerank::cli {

/// `import votes`: the votes of databases as rankings, keyed by set, users as hashes. What was skipped is left out and
/// counted. @param urls  sqlite://FILE or postgresql://... @throws Error.
[[nodiscard]] preferences::ImportCounts import_votes(const std::vector<std::filesystem::path>& urls,
                                                     const std::filesystem::path& data,
                                                     const preferences::ImportOptions& options, Terminal& terminal);

}  // namespace imagerank::cli
