#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command_export.h"
#include "cli/commands.h"
#include "exports/export.h"

namespace imagerank::cli {

/// What declares a command that needs libtorch, or nullptr in a program without it: loading libtorch takes half a
/// second, which the data commands do without. model_commands.cpp goes into the one program, no_model_commands.cpp
/// into the other.
[[nodiscard]] AddCommand* model_command(std::string_view name) noexcept;

/// What runs `export --to onnx`, or nullptr in a program without libtorch.
using ExportModel = int(const ExportOptions& options, Terminal& terminal);
[[nodiscard]] ExportModel* model_export() noexcept;

/// What a reward says of a table's images and prompts that have vectors, for `export --to weights` and `--to dpo
/// --reward`; nullptr in a program without libtorch.
using ScoreForExport = std::vector<exports::ScoredPrompt>(const ExportOptions& options, const std::string& table,
                                                          const workspace::Workspace& workspace,
                                                          const RunContext& context);
[[nodiscard]] ScoreForExport* export_scores() noexcept;
/// It, in a program that has it. @throws Error as find_reward_folder and encoder_for do.
ScoreForExport score_for_export;

}  // namespace imagerank::cli
