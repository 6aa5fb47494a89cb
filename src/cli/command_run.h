#pragma once

#include <filesystem>
#include <functional>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct RunOptions {
  std::filesystem::path config;
  bool force = false;
};

/// Returns the exit code of the first stage that fails, or 0; never exits. @throws Error.
int run_run(const RunOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_run(CLI::App& command);

}  // namespace imagerank::cli
