#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "reward/trainer.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct TrainCommandOptions {
  std::filesystem::path data;
  std::string model;  ///< empty: the encoder whose vectors are the only ones there
  std::string precision = "fp32";
  std::filesystem::path tokenizer;
  std::string name;
  reward::TrainOptions training;
  std::string class_weights;           ///< "", "balanced" or numbers apart by commas
  std::string weight_by = "row";       ///< "row" or "prompt"
  std::string prompt_score = "score";  ///< "score" or "logit"
  std::string sweep;                   ///< "lr=1e-3:3e-4,hidden=256:512"
};

/// Returns the exit code; never exits. @throws Error.
int run_train(const TrainCommandOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_train(CLI::App& command);

}  // namespace imagerank::cli
