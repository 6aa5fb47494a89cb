#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/bootstrap.h"
#include "evaluation/metrics.h"

namespace imagerank::evaluation {

/// Safe in text and in quoted attributes. Control characters that HTML forbids, and bytes that are no UTF-8, become
/// U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);
/// RFC 4648, with padding.
[[nodiscard]] std::string base64(std::string_view bytes);

/// A whole page around `body`; `title` is escaped here.
[[nodiscard]] std::string html_page(std::string_view title, std::string_view body);

/// "85.2 %" for shares, "0.331" for the others; an em dash for null.
[[nodiscard]] std::string metric_text(Metric metric, const std::optional<double>& value);
/// "81.0 to 89.1", "" without an interval.
[[nodiscard]] std::string interval_text(Metric metric, const Estimate& estimate);
/// 12345 -> "12,345".
[[nodiscard]] std::string count_text(std::uint64_t value);

/// One row of an interval plot. `kind` is its CSS class: "head", "baseline" or "oracle".
struct IntervalRow {
  std::string label;
  std::string note;
  std::string kind;
  Estimate estimate;  ///< shares, 0..1
};
/// Dots with whiskers on one axis from 0 to 100 %, chance marked; as wide as its place, legible on a phone.
[[nodiscard]] std::string interval_plot(std::span<const IntervalRow> rows, std::string_view caption);

/// One line of a chart: points (x, y), x ascending.
struct Line {
  std::string label;
  std::string kind;  ///< CSS class: "a", "b" or "c"
  std::vector<std::pair<double, double>> points;
};
struct LineChartOptions {
  std::string title;
  std::string x_label;
  bool log_x = false;
  bool percent_y = false;
  std::optional<double> mark_x;  ///< a vertical rule, with `mark_label`
  std::string mark_label;
  std::optional<double> rule_y;  ///< a horizontal rule: chance
};
/// "" if no line has a point.
[[nodiscard]] std::string line_chart(std::span<const Line> lines, const LineChartOptions& options);
/// Confidence against accuracy, with the diagonal; dots as large as their bins. "" without bins.
[[nodiscard]] std::string reliability_chart(std::span<const ReliabilityBin> bins);

}  // namespace imagerank::evaluation
