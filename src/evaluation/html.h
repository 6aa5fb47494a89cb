#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evaluation/bootstrap.h"
#include "evaluation/metrics.h"

namespace imagerank::evaluation {

/// Safe in text and in quoted attributes. Control characters that HTML forbids, and bytes that are no UTF-8, become
/// U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);
/// "50 %" never at the end of one line and the start of the next.
[[nodiscard]] std::string unbroken(std::string html);
/// RFC 4648, with padding.
[[nodiscard]] std::string base64(std::string_view bytes);

/// "85.2 %" for shares, "0.331" for the others; an em dash for null.
[[nodiscard]] std::string metric_text(Metric metric, const std::optional<double>& value);
/// "81.0 to 89.1", "" without an interval.
[[nodiscard]] std::string interval_text(Metric metric, const Estimate& estimate);
/// 12345 -> "12,345".
[[nodiscard]] std::string count_text(std::uint64_t value);

/// One row of a chart of intervals. `kind` decides its colour: "head", "baseline", "oracle" or "bad".
struct IntervalRow {
  std::string label;
  std::string note;
  std::string kind;
  Estimate estimate;
};
struct IntervalChartOptions {
  std::string title;
  std::string caption;
  std::string unit = "share";        ///< of the estimates: "share" as percent, "points" as percent with a sign, or
                                     ///< "number" with a sign
  std::string axis;                  ///< under the axis; may be empty
  std::optional<double> rule = 0.5;  ///< a vertical rule: chance
  bool whole_range = true;           ///< the axis goes from 0 to 1, else just around the rows
};

/// One line of a chart: points by x.
struct LinePoint {
  double x = 0.0;
  Estimate y;
};
struct Line {
  std::string label;
  std::vector<LinePoint> points;
};
struct LineChartOptions {
  std::string title;
  std::string x_label;
  std::string unit = "number";  ///< of y: "number" or "share"
  bool log_x = false;
  std::optional<double> mark_x;  ///< a vertical rule, with `mark_label`
  std::string mark_label;
  std::optional<double> rule_y;  ///< a horizontal rule: chance
};

/// A page that grows from top to bottom, in one file: styles, pictures and what draws its charts are inside. Charts are
/// described as data and drawn by Observable Plot (web/report) where they stand; below each are its numbers, for
/// readers without scripts.
class Page {
 public:
  void add(std::string_view html) { body_ += html; }
  /// Dots with 95 % intervals, one row each; nothing where no row has a value.
  void add_intervals(std::span<const IntervalRow> rows, const IntervalChartOptions& options);
  /// Nothing where no line has a point.
  void add_lines(std::span<const Line> lines, const LineChartOptions& options);
  /// Stated probability against the share that was right; nothing without bins.
  void add_reliability(std::span<const ReliabilityBin> bins);
  /// Only the script that is built into the program may run, whatever a prompt may hold; nothing is fetched.
  /// @param title  escaped here.
  [[nodiscard]] std::string html(std::string_view title) const;

 private:
  void add_figure(const std::string& title, const std::string& caption, nlohmann::ordered_json chart,
                  const std::string& numbers);

  std::string body_;
  nlohmann::ordered_json charts_ = nlohmann::ordered_json::object();  // by id
};

}  // namespace imagerank::evaluation
