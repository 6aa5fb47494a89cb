#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "evaluation/html.h"
#include "evaluation/report.h"
#include "evaluation/report_parts.h"

namespace imagerank::evaluation {
namespace {

constexpr std::array kColumns = {Metric::kAccuracy, Metric::kBalancedAccuracy, Metric::kR2, Metric::kPairStrictMicro};

std::string cell(Metric metric, const Estimate& estimate) {
  if (!estimate.value) return R"(<td class="none">&#8212;</td>)";
  const bool wide = estimate.low && *estimate.low < *estimate.high;
  const auto range = wide ? interval_text(metric, estimate) : std::string();
  return fmt::format("<td>{}{}</td>", metric_text(metric, estimate.value),
                     range.empty() ? "" : fmt::format(R"(<span class="ci">{}</span>)", range));
}

std::string difference_cell(const Estimate& difference) {
  if (!difference.value) return R"(<td class="none">&#8212;</td>)";
  std::string range;
  if (difference.low) {
    range =
        fmt::format(R"(<span class="ci">{:+.1f} to {:+.1f}</span>)", 100.0 * *difference.low, 100.0 * *difference.high);
  }
  return fmt::format("<td>{:+.1f}{}</td>", 100.0 * *difference.value, range);
}

std::string head_row(const ComparisonReport::Entry& entry, bool chosen) {
  const auto& reward = entry.report.reward;
  std::string html =
      fmt::format(R"(<tr{}><th scope="row">{}{}</th><td class="left">{}</td><td class="left">{}</td><td>{} {}</td>)",
                  chosen ? " class=\"chosen\"" : "", escape_html(reward.name),
                  chosen ? R"(<span class="badge">best on validation</span>)" : "", escape_html(reward.head),
                  escape_html(reward.loss), count_text(reward.used), escape_html(reward.unit));
  for (const auto metric : kColumns) html += cell(metric, at(entry.report.metrics, metric));
  html += cell(Metric::kPairStrictMicro, entry.validation);
  html += chosen ? R"(<td class="none">&#8212;</td>)" : difference_cell(entry.difference);
  return html + "</tr>\n";
}

std::string table(const ComparisonReport& report) {
  const auto& first = report.entries[report.chosen.value_or(0)].report;
  std::string html = fmt::format(
      "<h2>The heads side by side</h2>\n<p class=\"hint\">The head is chosen by strict pair accuracy on validation; "
      "all "
      "else is measured on {}. Small print: 95 % intervals by prompt. The last column is paired: heads whose interval "
      "holds 0 cannot be told apart.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Heads and "
      "baselines\"><table>\n<thead><tr><th class=\"left\" scope=\"col\">reward</th><th class=\"left\" "
      "scope=\"col\">model</th><th class=\"left\" scope=\"col\">loss</th><th scope=\"col\">amount of data</th>",
      escape_html(first.data.split));
  for (const auto metric : kColumns) {
    html += fmt::format("<th scope=\"col\">{}</th>", metric == Metric::kR2 ? "R\xC2\xB2"
                                                     : metric == Metric::kPairStrictMicro
                                                         ? "strict pair accuracy"
                                                         : spaced(kMetricNames[static_cast<std::size_t>(metric)]));
  }
  html +=
      "<th scope=\"col\">the same on validation</th><th scope=\"col\">points from the "
      "chosen</th></tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < report.entries.size(); ++i) html += head_row(report.entries[i], report.chosen == i);
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    const bool known =
        std::ranges::any_of(first.baselines[i], [](const Estimate& estimate) { return estimate.value.has_value(); });
    if (!known) continue;
    html += fmt::format(R"(<tr class="base"><th scope="row">{}</th><td></td><td></td><td></td>)",
                        spaced(kBaselineNames[i]));
    for (const auto metric : kColumns) html += cell(metric, at(first.baselines[i], metric));
    html += "<td></td><td></td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// Strict pair accuracy against the amount of data, a line for each head and loss that was trained on several.
std::string data_curve(const ComparisonReport& report) {
  std::map<std::string, Line> lines;
  for (const auto& entry : report.entries) {
    const auto& value = at(entry.report.metrics, Metric::kPairStrictMicro).value;
    if (!value || entry.report.reward.used == 0) continue;
    const auto name = entry.report.reward.head + " " + entry.report.reward.loss;
    auto& line = lines[name];
    line.label = name;
    line.points.emplace_back(static_cast<double>(entry.report.reward.used), *value);
  }
  std::vector<Line> several;
  constexpr std::array<std::string_view, 3> kKinds = {"a", "c", "b"};
  for (auto& [name, line] : lines) {
    std::ranges::sort(line.points);
    if (line.points.front().first >= line.points.back().first) continue;
    line.kind = kKinds[several.size() % kKinds.size()];
    several.push_back(std::move(line));
  }
  if (several.empty()) return "";
  LineChartOptions options;
  options.title = "Strict pair accuracy by amount of data";
  options.x_label = "rows trained on (logarithmic)";
  options.log_x = true;
  options.percent_y = true;
  options.rule_y = 0.5;
  return "<h2>What more data brings</h2>\n<div class=\"cards\">\n" + line_chart(several, options) + "</div>\n";
}

std::string verdicts(const ComparisonReport& report) {
  std::string html = "<h2>What can be said of each</h2>\n<dl class=\"card\">\n";
  for (const auto& entry : report.entries) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(entry.report.reward.name),
                        escape_html(entry.report.verdict.sentence));
  }
  return html + "</dl>\n";
}

}  // namespace

std::string report_html(const ComparisonReport& report) {
  const auto& first = report.entries[report.chosen.value_or(0)].report;
  const auto& data = first.data;
  std::string body = fmt::format(
      "<header><h1>{} rewards compared</h1>\n<p class=\"lede\">Measured on the <b>{}</b> split of workspace "
      "<code>{}</code>: {} prompts, {} labelled rows, {} pairs with a winner, {} rankings.</p></header>\n",
      report.entries.size(), escape_html(data.split), escape_html(data.workspace), count_text(data.prompts),
      count_text(data.points), count_text(data.strict_pairs), count_text(data.rankings));
  body += warnings_html(shared_warnings(report));
  if (report.chosen) {
    Verdict verdict = first.verdict;
    verdict.sentence = fmt::format("Best on validation: {}. {}", first.reward.name, verdict.sentence);
    body += verdict_html(verdict);
  } else {
    body += verdict_html(
        {VerdictKind::kNothingToJudge, "No head can be chosen: the validation split has no pair with a winner."});
  }
  std::vector<IntervalRow> rows;
  for (const auto& compared : report.entries) {
    const auto& entry = compared.report;
    rows.push_back({entry.reward.name, entry.reward.head + ", " + entry.reward.loss, "head",
                    at(entry.metrics, Metric::kPairStrictMicro)});
  }
  const auto baselines = baseline_rows(first.baselines);
  rows.insert(rows.end(), baselines.begin(), baselines.end());
  body += table(report);
  body += "<h2>How often each prefers the image that people chose</h2>\n";
  body +=
      interval_plot(rows,
                    "Strict pair accuracy: the chosen image must score higher, an equal score is wrong, so a constant "
                    "gets 0 %. Dots are values, bars 95 % intervals by prompt.");
  body += data_curve(report);
  body += verdicts(report);
  body += data_html(data);
  body += definitions_html();
  return html_page("Rewards compared", body);
}

}  // namespace imagerank::evaluation
