#pragma once

#include <functional>
#include <span>

#include "cli/terminal.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

/// Declares a command's options; what it returns runs it.
using AddCommand = std::function<int(Terminal&)>(CLI::App& command);

/// One subcommand: its name, its line in `imagerank --help`, and what declares its options.
struct Command {
  const char* name;
  const char* summary;
  AddCommand* add;  ///< nullptr: only the program with libtorch has it
};

/// Every subcommand, in the order of the flow.
[[nodiscard]] std::span<const Command> commands();

/// Parses and runs a whole command line; never exits. @return 0 done, 1 data or run error, 2 usage, 130 stopped.
int run_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err, std::stop_token stop);

}  // namespace imagerank::cli
