#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct EncodeCommandOptions {
  std::filesystem::path data;
  std::string model;
  std::string reward;          ///< the encoders that this one stands on; `model` then says where
  reward::EncoderPlace place;  ///< its hps_antialias
  std::string precision = "fp32";
  std::string device = "cpu";
  std::size_t batch = 0;  ///< images a tower call; 0: what suits the encoder
  std::filesystem::path tokenizer;
  bool allow_untrained = false;
  bool strict = false;
};

/// Returns the exit code; never exits. @throws Error.
int run_encode(const EncodeCommandOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_encode(CLI::App& command);

}  // namespace imagerank::cli
