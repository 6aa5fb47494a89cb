#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "evaluation/html.h"
#include "evaluation/report.h"
#include "evaluation/report_parts.h"

namespace imagerank::evaluation {
namespace {

constexpr std::array kColumns = {Metric::kAccuracy, Metric::kR2, Metric::kPairStrictMicro, Metric::kBestOfNLift,
                                 Metric::kEce};

std::string p_text(double p) { return p < 0.001 ? "p &lt; 0.001" : fmt::format("p = {:.3f}", p); }

std::string p_number(double p) { return p < 0.001 ? "&lt; 0.001" : fmt::format("{:.3f}", p); }
std::string p_plain(double p) { return p < 0.001 ? "p < 0.001" : fmt::format("p = {:.3f}", p); }

std::string difference_cell(const PairedTest& test) {
  const auto& difference = test.difference;
  if (!difference.value) return R"(<td class="none">&#8212;</td>)";
  std::string range;
  if (difference.low) {
    range =
        fmt::format(R"(<span class="ci">{:+.1f} to {:+.1f}</span>)", 100.0 * *difference.low, 100.0 * *difference.high);
  }
  if (test.p) range += fmt::format(R"(<span class="ci">{}</span>)", p_text(*test.p));
  return fmt::format("<td>{:+.1f}{}</td>", 100.0 * *difference.value, range);
}

std::string head_row(const ComparisonReport::Entry& entry, bool chosen) {
  const auto& reward = entry.report.reward;
  std::string html =
      fmt::format(R"(<tr{}><th scope="row">{}{}</th><td class="left">{}</td><td class="left">{}</td><td>{} {}</td>)",
                  chosen ? " class=\"chosen\"" : "", escape_html(reward.name),
                  chosen ? R"(<span class="badge">best on validation</span>)" : "", escape_html(reward.head),
                  escape_html(reward.loss), count_text(reward.used), escape_html(reward.unit));
  for (const auto metric : kColumns) html += metric_cell(metric, at(entry.report.metrics, metric));
  html += metric_cell(Metric::kPairStrictMicro, entry.validation);
  html += chosen ? R"(<td class="none">&#8212;</td>)" : difference_cell(entry.to_chosen);
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
    const auto name = kMetricNames[static_cast<std::size_t>(metric)];
    html += fmt::format("<th scope=\"col\">{}</th>",
                        defined(name, metric == Metric::kR2                ? "R\xC2\xB2"
                                      : metric == Metric::kPairStrictMicro ? "strict pair accuracy"
                                                                           : ""));
  }
  html +=
      "<th scope=\"col\">strict pairs on validation</th><th scope=\"col\">points from the "
      "chosen</th></tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < report.entries.size(); ++i) html += head_row(report.entries[i], report.chosen == i);
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    const bool known =
        std::ranges::any_of(first.baselines[i], [](const Estimate& estimate) { return estimate.value.has_value(); });
    if (!known) continue;
    html += fmt::format(R"(<tr class="base"><th scope="row">{}</th><td></td><td></td><td></td>)",
                        defined(kBaselineNames[i]));
    for (const auto metric : kColumns) html += metric_cell(metric, at(first.baselines[i], metric));
    html += "<td></td><td></td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// Strict pair accuracy against the amount of data, a line for each head and loss that was trained on several.
void add_learning_curve(const ComparisonReport& report, Page& page) {
  std::vector<Line> lines;
  for (const auto& curve : learning_curves(report)) {
    Line line{curve.head + " " + curve.loss, {}};
    for (const auto& point : curve.points) line.points.push_back({static_cast<double>(point.used), point.accuracy});
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return;
  LineChartOptions options;
  options.title = "Strict pair accuracy by amount of data";
  options.x_label = "rows trained on (logarithmic)";
  options.unit = "share";
  options.log_x = true;
  options.rule_y = 0.5;
  page.add("<h2>What more data brings</h2>\n");
  page.add_lines(lines, options);
}

/// Every two rewards that were measured on the same pairs.
void add_differences(const ComparisonReport& report, Page& page) {
  if (report.differences.empty()) return;
  page.add(fmt::format(
      "<h2>Can they be told apart?</h2>\n<p class=\"hint\">Differences of strict pair accuracy on the same pairs, in "
      "points; {} by a sign-flip test over prompts, Holm's allows for all {} comparisons.</p>\n",
      defined("p"), report.differences.size()));
  std::vector<IntervalRow> rows;
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Differences\"><table>\n<thead><tr><th "
      "class=\"left\" scope=\"col\">first</th><th class=\"left\" scope=\"col\">second</th><th "
      "scope=\"col\">first - second</th><th scope=\"col\">p</th><th scope=\"col\">p, Holm</th></tr></thead>\n<tbody>\n";
  for (const auto& difference : report.differences) {
    const auto& first = report.entries[difference.first].report.reward.name;
    const auto& second = report.entries[difference.second].report.reward.name;
    const auto& estimate = difference.test.difference;
    const bool apart = estimate.low && (*estimate.low > 0.0 || *estimate.high < 0.0);
    rows.push_back(
        {first + " - " + second, p_plain(difference.test.p.value_or(1.0)), apart ? "head" : "baseline", estimate});
    html += fmt::format(R"(<tr><th scope="row">{}</th><td class="left">{}</td>{}<td>{}</td><td>{}</td></tr>)"
                        "\n",
                        escape_html(first), escape_html(second), difference_cell({estimate, {}}),
                        p_number(difference.test.p.value_or(1.0)), p_number(difference.p_holm));
  }
  IntervalChartOptions options;
  options.unit = "points";
  options.axis = "points of strict pair accuracy";
  options.rule = 0.0;
  options.whole_range = false;
  page.add_intervals(rows, options);
  page.add(html + "</tbody></table></div>\n");
}

/// Strict pair accuracy by slice, a column for each reward. Rewards on other encoders may lack rows.
std::string slices_table(const ComparisonReport& report) {
  const auto& slices = report.entries.front().report.slices;
  if (slices.empty()) return "";
  std::string html = fmt::format(
      "<h2>By slice</h2>\n<p class=\"hint\">{} by {}.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Slices\"><table>\n<thead><tr><th class=\"left\" scope=\"col\">slice</th><th "
      "scope=\"col\">pairs</th>",
      defined("pair_accuracy_strict_micro", "Strict pair accuracy"), defined("slice"));
  for (const auto& entry : report.entries) {
    html += fmt::format("<th scope=\"col\">{}</th>", escape_html(entry.report.reward.name));
  }
  html += "</tr></thead>\n<tbody>\n";
  const std::string* dimension = nullptr;
  for (const auto& slice : slices) {
    if (slice.strict_pairs == 0) continue;
    if (dimension == nullptr || *dimension != slice.dimension) {
      html += fmt::format("<tr class=\"group\"><th class=\"left\" colspan=\"{}\">{}</th></tr>\n",
                          report.entries.size() + 2, escape_html(slice.dimension));
    }
    dimension = &slice.dimension;
    html += fmt::format("<tr><th class=\"wrap\" scope=\"row\">{}</th><td>{}</td>",
                        escape_html(shortened(slice.name, 80)), count_text(slice.strict_pairs));
    for (const auto& entry : report.entries) {
      const auto& others = entry.report.slices;
      const auto same = std::ranges::find_if(others, [&](const SliceResult& other) {
        return other.dimension == slice.dimension && other.name == slice.name;
      });
      html += metric_cell(Metric::kPairStrictMicro, same == others.end() ? Estimate{} : same->strict);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string verdicts(const ComparisonReport& report) {
  std::string html = "<h2>What can be said of each</h2>\n<dl class=\"card\">\n";
  for (const auto& entry : report.entries) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(entry.report.reward.name),
                        unbroken(escape_html(entry.report.verdict.sentence)));
  }
  return html + "</dl>\n";
}

}  // namespace

std::string report_html(const ComparisonReport& report) {
  const auto& first = report.entries[report.chosen.value_or(0)].report;
  const auto& data = first.data;
  Page page;
  page.add(fmt::format(
      "<header><h1>{} rewards compared</h1>\n<p class=\"lede\">Measured on the <b>{}</b> split of workspace "
      "<code>{}</code>: {} prompts, {} labelled rows, {} pairs with a winner, {} rankings.</p></header>\n",
      report.entries.size(), escape_html(data.split), escape_html(data.workspace), count_text(data.prompts),
      count_text(data.points), count_text(data.strict_pairs), count_text(data.rankings)));
  page.add(warnings_html(shared_warnings(report)));
  if (report.chosen) {
    Verdict verdict = first.verdict;
    verdict.sentence = fmt::format("Best on validation: {}. {}", first.reward.name, verdict.sentence);
    page.add(verdict_html(verdict));
  } else {
    page.add(verdict_html(
        {VerdictKind::kNothingToJudge, "No head can be chosen: the validation split has no pair with a winner."}));
  }
  std::vector<IntervalRow> rows;
  for (const auto& compared : report.entries) {
    const auto& entry = compared.report;
    rows.push_back({entry.reward.name, entry.reward.head + ", " + entry.reward.loss, "head",
                    at(entry.metrics, Metric::kPairStrictMicro)});
  }
  const auto baselines = baseline_rows(first.baselines);
  rows.insert(rows.end(), baselines.begin(), baselines.end());
  page.add(table(report));
  page.add("<h2>How often each prefers the image that people chose</h2>\n");
  IntervalChartOptions options;
  options.caption =
      "Strict pair accuracy: the chosen image must score higher, an equal score is wrong, so a constant gets 0 %. Dots "
      "are values, bars 95 % intervals by prompt; the dashed line is chance.";
  page.add_intervals(rows, options);
  add_differences(report, page);
  add_learning_curve(report, page);
  page.add(slices_table(report));
  page.add(verdicts(report));
  page.add(data_html(data));
  page.add(definitions_html());
  return page.html("Rewards compared");
}

}  // namespace imagerank::evaluation
