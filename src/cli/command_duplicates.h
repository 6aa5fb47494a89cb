#pragma once

#include <filesystem>
#include <functional>

#include "cli/terminal.h"
#include "duplicates/duplicates.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct DuplicatesOptions {
  std::filesystem::path data;
  duplicates::DuplicateSettings settings;
};

/// Returns the exit code; never exits. @throws Error.
int run_duplicates(const DuplicatesOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_duplicates(CLI::App& command);

}  // namespace imagerank::cli
