#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct LabelOptions {
  std::filesystem::path data;
  std::string labels = "three";
  std::string split = "random";
  double test = 0.2;
  double validation = 0.1;
  std::uint64_t seed = 0;
  std::filesystem::path csv;
};

/// Returns the exit code; never exits. @throws Error.
int run_label(const LabelOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_label(CLI::App& command);

}  // namespace imagerank::cli
