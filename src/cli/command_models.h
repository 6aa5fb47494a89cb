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

struct ModelsOptions {
  std::string action;               ///< "list" | "pull" | "info" | "random"
  std::string model;                ///< pull, info: a name; info: or a folder
  std::string revision;             ///< pull: a branch, a tag or a commit; "": the name's own, or "main"
  int concurrency = 4;              ///< pull: files at once
  int retries = 5;                  ///< pull: further tries in a row that bring nothing
  bool dry_run = false;             ///< pull: transfer nothing
  std::string architecture;         ///< random: "b32" | "b16" | "l14" | "h14" | "tiny"
  std::filesystem::path out;        ///< random
  std::uint64_t seed = 0;           ///< random
  std::filesystem::path tokenizer;  ///< random: a folder whose tokenizer is copied
  std::string activation;           ///< random: "quick_gelu" | "gelu", "" for the architecture's own
};

/// Returns the exit code; never exits. @throws Error.
int run_models(const ModelsOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_models(CLI::App& command);

}  // namespace imagerank::cli
