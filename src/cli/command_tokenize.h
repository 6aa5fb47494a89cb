#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct TokenizeOptions {
  std::string model;                          ///< a folder, or builtin/sample
  std::string text_cleaning = "huggingface";  ///< or "openai"
};

/// Reads JSONL {"text"} from `in` and writes JSONL {"ids"} to `out`, a line for a line.
/// Returns the exit code; never exits. @throws Error, naming the line.
int run_tokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it on standard input and output.
std::function<int(Terminal&)> add_tokenize(CLI::App& command);

}  // namespace imagerank::cli
