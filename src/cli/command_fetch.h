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

struct FetchOptions {
  std::filesystem::path data;
  int concurrency = 32;
  int per_host = 16;
  int retries = 3;
  bool retry_failed = false;
  bool allow_local = false;
  bool verify = false;  ///< recompute the checksum of what is already there
  bool strict = false;
  std::int64_t timeout_s = 30;
  std::int64_t backoff_ms = 500;
  std::size_t max_bytes = std::size_t{64} << 20;
  std::string proxy;
};

/// Returns the exit code: 1 if no image is there in the end, or with `strict` if any is missing. Never exits.
/// @throws Error.
int run_fetch(const FetchOptions& options, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_fetch(CLI::App& command);

}  // namespace imagerank::cli
