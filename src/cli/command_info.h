#pragma once

#include <filesystem>
#include <functional>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct InfoOptions {
  std::filesystem::path data;
};

/// Returns the exit code; never exits. @throws Error.
int run_info(const InfoOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_info(CLI::App& command);

}  // namespace imagerank::cli
