#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct CoverageOptions {
  std::filesystem::path data;
  std::filesystem::path csv;
  std::int64_t min_group = 30;
  std::int64_t top = 10;
};

/// Returns the exit code; never exits. @throws Error.
int run_coverage(const CoverageOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_coverage(CLI::App& command);

}  // namespace imagerank::cli
