#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/terminal.h"
#include "fetch/fetch.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct FetchOptions {
  std::filesystem::path data;
  fetch::FetchSettings settings;
  double connect_timeout_s = 10.0;
  double first_byte_timeout_s = 15.0;
  double timeout_s = 30.0;
  std::int64_t backoff_ms = 500;
  std::string verify = "bytes";  ///< "bytes" or "decode"
  bool ignore_noai = false;
  bool strict = false;
};

/// Returns the exit code: 1 if no image is there in the end, or with `strict` if any is missing. Never exits.
/// @throws Error.
int run_fetch(const FetchOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_fetch(CLI::App& command);

}  // namespace imagerank::cli
