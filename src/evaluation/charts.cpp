#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "evaluation/html.h"

namespace imagerank::evaluation {
namespace {

// One drawing unit is about a CSS pixel at the width a chart has on a phone.
constexpr double kWidth = 360;
constexpr double kHeight = 230;
constexpr double kLeft = 46;
constexpr double kRight = 92;  // room for the lines' names at their ends
constexpr double kTop = 14;
constexpr double kBottom = 40;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen(double least) {
    if (high - low >= least) return;
    const double middle = (low + high) / 2.0;
    low = middle - least / 2.0;
    high = middle + least / 2.0;
  }
};

/// Round numbers that split the range into three to six steps.
std::vector<double> ticks(const Range& range) {
  const double rough = (range.high - range.low) / 4.0;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step < rough * 0.8) step = power * factor;
  }
  std::vector<double> result;
  for (double at = std::ceil(range.low / step - 1e-9); at * step <= range.high + 1e-9 * step; ++at) {
    result.push_back(at * step);
  }
  return result;
}

std::string number_text(double value, bool percent) {
  if (std::abs(value) < 1e-12) value = 0.0;  // ticks are sums of steps, and -0 is no label
  if (percent) return fmt::format("{:.3g} %", 100.0 * value);
  if (std::abs(value) >= 10000.0) return fmt::format("{:.3g}k", value / 1000.0);
  return fmt::format("{:.4g}", value);
}

class Frame {
 public:
  Frame(const Range& x, const Range& y, bool log_x) : x_(x), y_(y), log_x_(log_x) {}
  [[nodiscard]] double x(double value) const {
    const double share =
        log_x_ ? std::log(value / x_.low) / std::log(x_.high / x_.low) : (value - x_.low) / (x_.high - x_.low);
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  [[nodiscard]] double y(double value) const {
    return kHeight - kBottom - (value - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

 private:
  Range x_, y_;
  bool log_x_;
};

std::string y_axis(const Frame& frame, const Range& range, bool percent) {
  std::string svg;
  for (const double tick : ticks(range)) {
    const double at = frame.y(tick);
    svg +=
        fmt::format(R"(<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>)", kLeft, kWidth - kRight, at, at);
    svg += fmt::format(R"(<text x="{}" y="{:.1f}" text-anchor="end">{}</text>)", kLeft - 6, at + 4,
                       number_text(tick, percent));
  }
  return svg;
}

/// Labels at the x values there are, as many as fit.
std::string x_axis(const Frame& frame, std::span<const Line> lines, const std::string& label) {
  std::vector<double> values;
  for (const auto& line : lines) {
    for (const auto& [x, y] : line.points) values.push_back(x);
  }
  std::ranges::sort(values);
  const auto repeated = std::ranges::unique(values);
  values.erase(repeated.begin(), repeated.end());
  std::string svg;
  double last = -1e9;
  for (const double value : values) {
    const double at = frame.x(value);
    if (at - last < 34.0) continue;
    last = at;
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", at, kHeight - kBottom + 16,
                       number_text(value, false));
  }
  svg += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", (kLeft + kWidth - kRight) / 2,
                     kHeight - 6, escape_html(label));
  return svg;
}

/// Names at the lines' ends, pushed apart where they would overlap.
std::string line_names(const Frame& frame, std::span<const Line> lines) {
  std::vector<std::pair<double, const Line*>> ends;
  for (const auto& line : lines) {
    if (!line.points.empty()) ends.emplace_back(frame.y(line.points.back().second), &line);
  }
  std::ranges::sort(ends, [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string svg;
  double last = -1e9;
  for (const auto& [y, line] : ends) {
    last = std::max(y, last + 15.0);
    svg += fmt::format(R"(<text class="tag k-{}" x="{}" y="{:.1f}">{}</text>)", line->kind, kWidth - kRight + 8,
                       last + 4, escape_html(line->label));
  }
  return svg;
}

std::string open_chart(const std::string& title) {
  return fmt::format(R"(<figure class="card"><h3>{0}</h3><svg class="chart" viewBox="0 0 {1} {2}" role="img" )"
                     R"(aria-label="{0}">)",
                     escape_html(title), kWidth, kHeight);
}

}  // namespace

std::string line_chart(std::span<const Line> lines, const LineChartOptions& options) {
  Range x_range;
  Range y_range;
  for (const auto& line : lines) {
    for (const auto& [x, y] : line.points) {
      x_range.include(x);
      y_range.include(y);
    }
  }
  if (!(x_range.low <= x_range.high)) return "";
  if (options.rule_y) y_range.include(*options.rule_y);
  y_range.widen(std::max(1e-6, std::abs(y_range.high) * 0.02));
  const double margin = 0.06 * (y_range.high - y_range.low);
  y_range.low -= margin;
  y_range.high += margin;
  const bool log_x = options.log_x && x_range.low > 0.0 && x_range.high > x_range.low;
  if (!log_x) x_range.widen(1.0);
  const Frame frame(x_range, y_range, log_x);

  std::string svg = open_chart(options.title);
  svg += y_axis(frame, y_range, options.percent_y) + x_axis(frame, lines, options.x_label);
  if (options.rule_y) {
    svg += fmt::format(R"(<line class="rule" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>)", kLeft, kWidth - kRight,
                       frame.y(*options.rule_y), frame.y(*options.rule_y));
  }
  if (options.mark_x) {
    svg += fmt::format(R"(<line class="rule" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>)", frame.x(*options.mark_x),
                       kTop, kHeight - kBottom);
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", frame.x(*options.mark_x), kTop - 3,
                       escape_html(options.mark_label));
  }
  for (const auto& line : lines) {
    if (line.points.empty()) continue;
    svg += fmt::format(R"(<g class="k-{}"><polyline class="path" points=")", line.kind);
    for (const auto& [x, y] : line.points) svg += fmt::format("{:.1f},{:.1f} ", frame.x(x), frame.y(y));
    svg += "\"/>";
    for (const auto& [x, y] : line.points) {
      svg += fmt::format(R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.6"/>)", frame.x(x), frame.y(y));
    }
    svg += "</g>";
  }
  return svg + line_names(frame, lines) + "</svg></figure>\n";
}

std::string reliability_chart(std::span<const ReliabilityBin> bins) {
  if (bins.empty()) return "";
  const Range unit{0.0, 1.0};
  const Frame frame(unit, unit, false);
  std::string svg = open_chart("Calibration: is it as sure as it is right?");
  svg += y_axis(frame, unit, true);
  for (const double tick : {0.0, 0.5, 1.0}) {
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", frame.x(tick),
                       kHeight - kBottom + 16, number_text(tick, true));
  }
  svg += fmt::format(R"(<line class="rule" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", frame.x(0), frame.y(0),
                     frame.x(1), frame.y(1));
  svg += "<g class=\"k-a\">";
  for (const auto& bin : bins) {
    svg += fmt::format(R"(<circle class="dot" fill-opacity=".75" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>)",
                       frame.x(bin.mean_confidence), frame.y(bin.accuracy), 2.5 + 9.0 * std::sqrt(bin.weight));
  }
  svg += fmt::format(R"(</g><text x="{}" y="{}" text-anchor="middle">stated probability of its answer</text>)",
                     (kLeft + kWidth - kRight) / 2, kHeight - 6);
  svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}">as sure as</text><text x="{:.1f}" y="{:.1f}">it is right</text>)",
                     frame.x(1) + 6, frame.y(1) + 4, frame.x(1) + 6, frame.y(1) + 19);
  return svg +
         "</svg><figcaption>Share that was right against the mean stated probability, in up to 15 bins of equal "
         "mass; larger dots hold more rows.</figcaption></figure>\n";
}

}  // namespace imagerank::evaluation
