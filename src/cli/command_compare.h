#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct CompareOptions {
  std::filesystem::path data;
  std::vector<std::string> rewards;  ///< names under rewards/, or folders
  std::string split = "test";
  std::uint64_t bootstrap = 1000;  ///< draws behind each interval; 0 for none
};

/// Returns the exit code; never exits. @throws Error.
int run_compare(const CompareOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_compare(CLI::App& command);

}  // namespace imagerank::cli
