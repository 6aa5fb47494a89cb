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
/// The name as a link to its definition at the end of the page. @param text  as HTML; "": the name.
[[nodiscard]] std::string defined(std::string_view name, std::string_view text = "");
/// A cell of a table: the value, its interval in small print; `note` is HTML behind the value.
[[nodiscard]] std::string metric_cell(Metric metric, const Estimate& estimate, std::string_view css = "",
                                      std::string_view note = "");
[[nodiscard]] std::string warnings_html(const std::vector<std::string>& warnings);
[[nodiscard]] std::string verdict_html(const Verdict& verdict);
/// Strict pair accuracy of each baseline that has one.
[[nodiscard]] std::vector<IntervalRow> baseline_rows(const std::array<Measurement, kBaselineCount>& baselines);
/// Counts, split, leak, conflicts, ties.
[[nodiscard]] std::string data_html(const DataFacts& data);
/// How each metric, baseline and other number is defined.
[[nodiscard]] std::string definitions_html();

/// Random prompts with their images, then the galleries.
[[nodiscard]] std::string pictures_html(const EvaluationReport& report);

}  // namespace imagerank::evaluation
