#pragma once

#include <string>

#include "exports/export.h"

namespace imagerank::exports {

/// README.md of a folder of weights, with the evidence of a report.json where there is one.
/// @throws Error kCorruptData for a report that is none.
[[nodiscard]] std::string weights_card(const WeightSettings& settings, double threshold, const ExportCounts& counts);

}  // namespace imagerank::exports
