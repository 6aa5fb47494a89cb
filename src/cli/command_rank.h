#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/best_of.h"
#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct RankOptions {
  std::string reward;  ///< a folder; or, with `data`, a name under rewards/
  std::filesystem::path data;
  reward::EncoderPlace encoder;
  std::string prompt;
  std::vector<std::filesystem::path> images;
  std::size_t top = 0;    ///< 0: all; with best_of: one a prompt
  BestOfOptions best_of;  ///< instead of prompt and images, if it names a place
  bool strict = false;
};

/// Returns the exit code: 1 if every image failed, or any with `strict`; never exits. @throws Error.
int run_rank(const RankOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_rank(CLI::App& command);

}  // namespace imagerank::cli
