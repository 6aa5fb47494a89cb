#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "reward/finetune.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct FinetuneCommandOptions {
  std::filesystem::path data;
  std::string model;
  std::filesystem::path tokenizer;  ///< empty: the model's own folder
  std::filesystem::path out;
  std::string device = "cpu";  ///< "cpu" | "cuda"
  bool overwrite = false;
  reward::FinetuneOptions training;
};

/// Returns the exit code; never exits. @throws Error.
int run_finetune(const FinetuneCommandOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_finetune(CLI::App& command);

}  // namespace imagerank::cli
