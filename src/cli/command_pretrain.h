#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct PretrainOptions {
  std::filesystem::path data;
  std::filesystem::path out;
  std::filesystem::path eval_data;  ///< empty: no retrieval is measured
  std::int64_t steps = 0;           ///< 0: from epochs
  double epochs = 10.0;
  std::int64_t batch = 256;
  double learning_rate = 1e-3;
  double weight_decay = 0.05;
  double ngram_weight = 1.0;
  std::uint64_t seed = 0;
  double max_minutes = 0.0;  ///< 0: no limit
  bool bfloat16 = false;
  bool overwrite = false;
  std::int64_t image_size = 64;
  std::int64_t patch = 8;
  std::int64_t width = 128;
  std::int64_t layers = 5;
  std::int64_t text_width = 128;
  std::int64_t text_layers = 3;
  std::int64_t dim = 128;
  std::int64_t context = 77;
  std::int32_t vocabulary = 1500;
};

/// Returns the exit code; never exits. @throws Error.
int run_pretrain(const PretrainOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_pretrain(CLI::App& command);

}  // namespace imagerank::cli
