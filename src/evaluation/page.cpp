#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "evaluation/html.h"
#include "evaluation/page_files.h"

namespace imagerank::evaluation {
namespace {

using Json = nlohmann::ordered_json;

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

/// JSON inside a script element: "<" would let a prompt close it.
std::string json_for_html(const Json& json) {
  std::string result;
  for (const char c : json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

/// As a Content-Security-Policy names a script by what it holds.
std::string policy_hash(std::string_view script) {
  const auto hex = sha256_hex(script);
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return "sha256-" + base64(bytes);
}

std::string number(const std::optional<double>& value, const std::string& unit) {
  if (!value) return "&#8212;";
  if (unit == "share") return fmt::format("{:.1f} %", 100.0 * *value);
  if (unit == "points") return fmt::format("{:+.1f}", 100.0 * *value);
  return fmt::format("{:.3f}", *value);
}

std::string table(std::string_view head, const std::string& rows) {
  return fmt::format(
      "<div class=\"scroll plain\" tabindex=\"0\"><table><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>",
      head, rows);
}

}  // namespace

void Page::add_figure(const std::string& title, const std::string& caption, Json chart, const std::string& numbers) {
  const auto id = fmt::format("chart-{}", charts_.size() + 1);
  body_ += "<figure class=\"card\">";
  if (!title.empty()) body_ += fmt::format("<h3>{}</h3>", escape_html(title));
  body_ += fmt::format(R"(<div class="chart" data-chart="{}"></div>)", id);
  if (!caption.empty()) body_ += fmt::format("<figcaption>{}</figcaption>", unbroken(escape_html(caption)));
  body_ += fmt::format("<details class=\"numbers\"><summary>The numbers</summary>{}</details></figure>\n", numbers);
  charts_[id] = std::move(chart);
}

void Page::add_intervals(std::span<const IntervalRow> rows, const IntervalChartOptions& options) {
  Json list = Json::array();
  std::string numbers;
  for (const auto& row : rows) {
    const auto& estimate = row.estimate;
    numbers += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                           escape_html(row.label), number(estimate.value, options.unit),
                           number(estimate.low, options.unit), number(estimate.high, options.unit));
    if (!estimate.value) continue;
    list.push_back({{"label", row.label},
                    {"note", row.note},
                    {"kind", row.kind},
                    {"value", *estimate.value},
                    {"low", optional_json(estimate.low)},
                    {"high", optional_json(estimate.high)}});
  }
  if (list.empty()) return;
  Json chart = {{"kind", "intervals"}, {"title", options.title}, {"unit", options.unit}, {"rows", list}};
  if (!options.axis.empty()) chart["axis"] = options.axis;
  if (options.rule) chart["rule"] = *options.rule;
  if (options.whole_range) chart["domain"] = {0, 1};
  add_figure(options.title, options.caption, chart,
             table("<th class=\"left\">what</th><th>value</th><th>from</th><th>to</th>", numbers));
}

void Page::add_lines(std::span<const Line> lines, const LineChartOptions& options) {
  Json series = Json::array();
  std::string numbers;
  for (const auto& line : lines) {
    if (line.points.empty()) continue;
    Json points = Json::array();
    for (const auto& point : line.points) {
      Json row = {{"x", point.x}, {"y", optional_json(point.y.value)}};
      if (point.y.low) row["low"] = *point.y.low;
      if (point.y.high) row["high"] = *point.y.high;
      points.push_back(row);
      numbers += fmt::format("<tr><th scope=\"row\">{}</th><td>{:g}</td><td>{}</td></tr>\n", escape_html(line.label),
                             point.x, number(point.y.value, options.unit));
    }
    series.push_back({{"label", line.label}, {"points", points}});
  }
  if (series.empty()) return;
  Json chart = {{"kind", "lines"},        {"title", options.title},
                {"unit", options.unit},   {"x_label", options.x_label},
                {"log_x", options.log_x}, {"series", series}};
  if (options.rule_y) chart["rule"] = *options.rule_y;
  if (options.mark_x) {
    chart["mark"] = *options.mark_x;
    chart["mark_label"] = options.mark_label;
  }
  add_figure(options.title, "", chart,
             table(fmt::format("<th class=\"left\">what</th><th>{}</th><th>value</th>", escape_html(options.x_label)),
                   numbers));
}

void Page::add_reliability(std::span<const ReliabilityBin> bins) {
  if (bins.empty()) return;
  Json list = Json::array();
  std::string numbers;
  for (const auto& bin : bins) {
    list.push_back({{"share", bin.weight}, {"confidence", bin.mean_confidence}, {"accuracy", bin.accuracy}});
    numbers += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", number(bin.mean_confidence, "share"),
                           number(bin.accuracy, "share"), number(bin.weight, "share"));
  }
  const std::string title = "Calibration: is it as sure as it is right?";
  add_figure(title,
             "Share that was right against the mean stated probability, in up to 15 bins of equal mass; larger dots "
             "hold more answers. On the line it is as sure as it is right.",
             {{"kind", "reliability"}, {"title", title}, {"bins", list}},
             table("<th>stated</th><th>right</th><th>share of answers</th>", numbers));
}

std::string Page::html(std::string_view title) const {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "img-src data:; script-src '{}'\">\n<title>{}</title>\n<style>",
      policy_hash(page_script()), escape_html(title));
  page += page_style();
  page += "</style>\n</head>\n<body>\n<main>\n";
  page += body_;
  page += "</main>\n<script type=\"application/json\" id=\"charts\">";
  page += json_for_html(charts_);
  page += "</script>\n<script>";
  page += page_script();
  page += "</script>\n</body>\n</html>\n";
  return page;
}

}  // namespace imagerank::evaluation
