#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/terminal.h"

namespace imagerank::cli {

/// 12345678 -> "12,345,678".
[[nodiscard]] inline std::string count_text(std::int64_t value) {
  return with_thousands(static_cast<std::uint64_t>(value));
}

/// 0 where there is nothing to take a share of.
[[nodiscard]] inline double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

/// 0 to 1; null where there is nothing to take a share of.
[[nodiscard]] inline nlohmann::ordered_json share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? nlohmann::ordered_json()
                    : nlohmann::ordered_json(static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace imagerank::cli
