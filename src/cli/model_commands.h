#pragma once

#include <string_view>

#include "cli/command_export.h"
#include "cli/commands.h"

namespace imagerank::cli {

/// What declares a command that needs libtorch, or nullptr in a program without it: loading libtorch takes half a
/// second, which the data commands do without. model_commands.cpp goes into the one program, no_model_commands.cpp
/// into the other.
[[nodiscard]] AddCommand* model_command(std::string_view name) noexcept;

/// What runs `export --to onnx`, or nullptr in a program without libtorch.
using ExportModel = int(const ExportOptions& options, Terminal& terminal);
[[nodiscard]] ExportModel* model_export() noexcept;

}  // namespace imagerank::cli
