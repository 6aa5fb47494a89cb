#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/terminal.h"

namespace imagerank::cli {

struct VoteOptions {
  std::filesystem::path data;  ///< a made-up world with rankings
  std::string server;          ///< "http://127.0.0.1:8080", which collects votes on images of that world
  std::uint64_t votes = 0;
  std::uint64_t seed = 0;
};

/// The world's people choose over HTTP, one after the other, until there are so many votes or all is seen.
/// JSON: votes, ties, people. @throws Error.
int run_simulated_voters(const VoteOptions& options, Terminal& terminal);

}  // namespace imagerank::cli
