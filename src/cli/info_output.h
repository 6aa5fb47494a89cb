#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json.hpp>

#include "statistics/statistics.h"

namespace imagerank::cli {

/// What `info --json` prints.
[[nodiscard]] nlohmann::ordered_json info_json(const statistics::Statistics& statistics);
/// The same for people, at most 80 columns; parts whose tables are missing are left out and named at the end.
void print_info(std::ostream& out, const statistics::Statistics& statistics, const std::filesystem::path& data);

}  // namespace imagerank::cli
