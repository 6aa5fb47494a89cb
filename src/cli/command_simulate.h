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

struct SimulateOptions {
  std::filesystem::path data;
  std::uint64_t rankings = 3000;
  std::uint64_t captions = 0;  ///< if not 0, this many pictures with exact captions instead of rankings
  std::uint64_t seed = 0;
  double noise = 1.0;
  std::string hold_out = "none";
  std::int32_t image_size = 128;
  std::string vote_at;      ///< instead of making a world: a server that its people vote at
  std::uint64_t votes = 0;  ///< how many
};

/// Returns the exit code; never exits. @throws Error.
int run_simulate(const SimulateOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_simulate(CLI::App& command);

}  // namespace imagerank::cli
