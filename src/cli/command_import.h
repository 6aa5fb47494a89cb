#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct ImportOptions {
  std::string format;
  std::vector<std::filesystem::path> files;
  std::filesystem::path data;
  std::string columns;           ///< "target=column,...", for the generic formats
  std::string dataset;           ///< "": the format's own name
  std::filesystem::path images;  ///< where relative paths start; "": at each file
};

/// Returns the exit code; never exits. @throws Error.
int run_import(const ImportOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_import(CLI::App& command);

}  // namespace imagerank::cli
