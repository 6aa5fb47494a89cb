#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct ScoreOptions {
  std::string reward;  ///< a folder; or, with `data`, a name under rewards/
  std::filesystem::path data;
  reward::EncoderPlace encoder;
  std::filesystem::path table;             ///< a CSV file with columns image, prompt
  std::filesystem::path image_embeddings;  ///< or .npy [N, D]
  std::filesystem::path text_embeddings;   ///< .npy [N, D], [1, D] or [D]
  std::filesystem::path out;               ///< .npy: float32 [N]; else CSV
  bool strict = false;
};

/// Returns the exit code: 1 if every row failed, or any with `strict`; never exits. @throws Error.
int run_score(const ScoreOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_score(CLI::App& command);

}  // namespace imagerank::cli
