#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evaluation/html.h"
#include "evaluation/report.h"

namespace imagerank::evaluation {

// Parts that the pages of `eval` and `compare` share.

/// "pair_accuracy" -> "pair accuracy".
[[nodiscard]] std::string spaced(std::string_view name);
/// At most `bytes`, cut at a character, with an ellipsis.
[[nodiscard]] std::string shortened(const std::string& text, std::size_t bytes);
/// "2, best": the label and what it stands for.
[[nodiscard]] std::string label_name(std::size_t label, std::size_t classes);
[[nodiscard]] std::string warnings_html(const std::vector<std::string>& warnings);
[[nodiscard]] std::string verdict_html(const Verdict& verdict);
/// Strict pair accuracy of each baseline that has one.
[[nodiscard]] std::vector<IntervalRow> baseline_rows(const std::array<Measurement, kBaselineCount>& baselines);
/// Counts, split, leak, conflicts, ties.
[[nodiscard]] std::string data_html(const DataFacts& data);
/// How each metric and baseline is defined, folded away.
[[nodiscard]] std::string definitions_html();

}  // namespace imagerank::evaluation
