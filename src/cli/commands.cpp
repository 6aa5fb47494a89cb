#include "cli/commands.h"

#include <array>

#include "cli/command_import.h"
#include "cli/command_label.h"

namespace imagerank::cli {

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"import", "public preference data into a workspace", add_import},
      Command{"label", "labelled points and pairs from rankings, split, with conflicts and leak counted", add_label},
  };
  return kCommands;
}

}  // namespace imagerank::cli
