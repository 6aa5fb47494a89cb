#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/item_failure.h"
#include "core/progress.h"
#include "hub/pull.h"

namespace imagerank::cli {

/// Megabytes rather than bytes: the rate and the time left are the terminal's.
[[nodiscard]] RunContext in_megabytes(RunContext context);
/// "1.5 GB".
[[nodiscard]] std::string amount(std::uint64_t bytes);
/// A line a file: its bytes, whether it is there, its name.
[[nodiscard]] std::string file_lines(const std::string& repository, const std::vector<hub::PulledFile>& files);
/// Adds `failed` {reason: count} and `examples` {reason: {file, detail}}.
void add_failures(nlohmann::ordered_json& object, const std::vector<ItemFailure>& failures);

}  // namespace imagerank::cli
