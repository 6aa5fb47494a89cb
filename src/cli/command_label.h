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

struct LabelOptions {
  std::filesystem::path data;
  std::string labels = "three";
  std::string split = "random";
  double test = 0.2;
  double validation = 0.1;
  std::uint64_t seed = 0;
  std::string conflicts = "keep-max";
  std::string weights = "ranking";
  bool no_tie_pairs = false;
  std::int64_t min_votes = 1;
  std::string ratings;
  bool trim_prompts = false;
  bool drop_empty_prompts = false;
  std::int64_t min_prompt_chars = 0;
  std::int64_t max_prompt_chars = 0;
  std::filesystem::path without_words;
  std::filesystem::path csv;
};

/// Returns the exit code; never exits. @throws Error.
int run_label(const LabelOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_label(CLI::App& command);

}  // namespace imagerank::cli
