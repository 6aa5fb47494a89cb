#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct RankOptions {
  std::string reward;  ///< a folder; or, with `data`, a name under rewards/
  std::filesystem::path data;
  std::string model;      ///< empty: where the reward recorded it
  std::string tokenizer;  ///< likewise
  std::string prompt;
  std::vector<std::filesystem::path> images;
  std::size_t top = 0;  ///< 0: all
  bool strict = false;
};

/// Returns the exit code: 1 if every image failed, or any with `strict`; never exits. @throws Error.
int run_rank(const RankOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_rank(CLI::App& command);

}  // namespace imagerank::cli
