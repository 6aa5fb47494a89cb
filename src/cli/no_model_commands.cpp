#include "cli/model_commands.h"

namespace imagerank::cli {

AddCommand* model_command(std::string_view /*name*/) noexcept { return nullptr; }
ExportModel* model_export() noexcept { return nullptr; }
ScoreForExport* export_scores() noexcept { return nullptr; }

}  // namespace imagerank::cli
