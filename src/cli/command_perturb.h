#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct PerturbOptions {
  std::filesystem::path data;
  std::string mode;
  std::size_t per_prompt = 1;
  std::string distance = "0.5..1";
  std::uint64_t seed = 0;
};

/// Returns the exit code; never exits. @throws Error.
int run_perturb(const PerturbOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_perturb(CLI::App& command);

}  // namespace imagerank::cli
