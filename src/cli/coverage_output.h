#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "statistics/coverage.h"

namespace imagerank::cli {

/// What a reader of the report must know first, in the order in which it should be mended.
[[nodiscard]] std::vector<std::string> coverage_warnings(const statistics::CoverageReport& report,
                                                         const std::filesystem::path& data);
/// What `coverage --json` prints.
[[nodiscard]] nlohmann::ordered_json coverage_json(const statistics::CoverageReport& report,
                                                   const std::vector<std::string>& warnings);
/// The same for people, at most 80 columns.
void print_coverage(std::ostream& out, const statistics::CoverageReport& report,
                    const std::vector<std::string>& warnings, const std::filesystem::path& data);

/// total, ok, not_tried, dead and shares of images, rankings, pairs, prompts and labels; `info` has them too.
[[nodiscard]] nlohmann::ordered_json overall_json(const statistics::OverallCoverage& overall);
void print_overall(std::ostream& out, const statistics::OverallCoverage& overall);

}  // namespace imagerank::cli
