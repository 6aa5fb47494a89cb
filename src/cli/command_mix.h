#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct MixOptions {
  std::filesystem::path data;
  std::vector<std::string> rewards;  ///< "REWARD=WEIGHT", or "REWARD" for a weight of 1
  std::string name;
  reward::EncoderPlace encoder;
};

/// Returns the exit code; never exits. @throws Error.
int run_mix(const MixOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_mix(CLI::App& command);

}  // namespace imagerank::cli
