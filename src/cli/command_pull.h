#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "hub/settings.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

struct PullOptions {
  std::string dataset;
  std::filesystem::path data;
  std::string format;              ///< "" : what the dataset is known to have
  std::vector<std::string> files;  ///< patterns; empty: what the format needs
  std::filesystem::path images;    ///< where paths in the files start; empty: each file's own folder
  std::string revision = "main";
  int concurrency = 4;
  int retries = 5;
  bool dry_run = false;
  bool no_import = false;
};

/// Returns the exit code; never exits. @throws Error.
int run_pull(const PullOptions& options, Terminal& terminal);
/// The same with a hub other than the environment's. `options` decides on concurrency and retries.
int run_pull(const PullOptions& options, hub::HubSettings settings, Terminal& terminal);
/// Declares the options on `command`; what it returns runs it.
std::function<int(Terminal&)> add_pull(CLI::App& command);

}  // namespace imagerank::cli
