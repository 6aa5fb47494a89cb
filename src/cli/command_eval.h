#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct EvalOptions {
  std::filesystem::path data;
  std::string reward;  ///< a name under rewards/, or a folder
  std::string split = "test";
  std::uint64_t bootstrap = 1000;  ///< draws behind each interval; 0 for none
  std::uint64_t probes = 0;        ///< images to change and score again; 0 for none
  reward::EncoderPlace encoder;    ///< of probes and published scorers
};

/// Returns the exit code; never exits. @throws Error.
int run_eval(const EvalOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_eval(CLI::App& command);

}  // namespace imagerank::cli
