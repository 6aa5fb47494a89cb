#pragma once

#include <string_view>

#include "cli/commands.h"

namespace imagerank::cli {

/// What declares a command that needs libtorch, or nullptr in a program without it: loading libtorch takes half a
/// second, which the data commands do without. model_commands.cpp goes into the one program, no_model_commands.cpp
/// into the other.
[[nodiscard]] AddCommand* model_command(std::string_view name) noexcept;

}  // namespace imagerank::cli
