#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "evaluation/html.h"
#include "evaluation/report.h"
#include "evaluation/report_parts.h"

namespace imagerank::evaluation {
namespace {

bool no_worse(Metric metric, const Estimate& baseline, const Estimate& head) {
  if (!baseline.value || !head.value) return false;
  return higher_is_better(metric) ? *baseline.value >= *head.value : *baseline.value <= *head.value;
}

std::string metric_table(const EvaluationReport& report) {
  std::string html = fmt::format(
      "<h2>Every metric beside its baselines</h2>\n<p class=\"hint\">Small print: 95 % {}, prompts drawn anew {} "
      "times. "
      "Names lead to definitions. <span class=\"above\">&#9650;</span> marks a baseline without skill that does at "
      "least as well as the "
      "head. A dash: the metric does not apply.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Metrics and baselines\"><table>\n<thead><tr><th class=\"left\" scope=\"col\">metric</th><th "
      "scope=\"col\">{}</th>",
      defined("interval", "intervals"), count_text(report.bootstrap_draws), escape_html(report.reward.name));
  for (const auto name : kBaselineNames) html += fmt::format("<th scope=\"col\">{}</th>", defined(name));
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const auto metric = static_cast<Metric>(i);
    html += fmt::format("<tr><th scope=\"row\">{}{}</th>", defined(kMetricNames[i]),
                        higher_is_better(metric) ? "" : " <small>(lower is better)</small>");
    html += metric_cell(metric, report.metrics[i], "head");
    for (std::size_t baseline = 0; baseline < kBaselineCount; ++baseline) {
      const auto& estimate = report.baselines[baseline][i];
      const bool skill = baseline >= static_cast<std::size_t>(Baseline::kClipCosine);
      const bool flagged = !skill && no_worse(metric, estimate, report.metrics[i]);
      html += metric_cell(metric, estimate, "",
                          flagged ? R"(<span class="above" title="not below the head"> &#9650;</span>)" : "");
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string confusion_card(const EvaluationReport& report) {
  if (report.confusion.empty()) return "";
  const std::size_t classes = report.data.labels.size();
  std::string html =
      "<figure class=\"card\"><h3>Confusion: what it answered</h3><table class=\"confusion\"><thead><tr><th "
      "class=\"left\" scope=\"col\">true label</th>";
  for (std::size_t c = 0; c < classes; ++c) html += fmt::format("<th scope=\"col\">says {}</th>", c);
  html += "</tr></thead><tbody>\n";
  for (std::size_t truth = 0; truth < classes; ++truth) {
    const auto row = std::span(report.confusion).subspan(truth * classes, classes);
    const double total = std::accumulate(row.begin(), row.end(), 0.0);
    html += fmt::format("<tr><th scope=\"row\">{}</th>", label_name(truth, classes));
    for (const double count : row) {
      const double share = total > 0.0 ? count / total : 0.0;
      html += fmt::format("<td style=\"background:rgba(var(--cell),{:.2f})\">{}<span class=\"ci\">{:.0f} %</span></td>",
                          0.45 * share, count_text(static_cast<std::uint64_t>(count)), 100.0 * share);
    }
    html += "</tr>\n";
  }
  return html +
         "</tbody></table><figcaption>Rows are the true labels; percentages are shares of a row.</figcaption>"
         "</figure>\n";
}

/// The values of one field of the epochs, as a line.
Line epoch_line(const std::vector<EpochFacts>& epochs, std::optional<double> EpochFacts::* field, std::string label) {
  Line line{std::move(label), {}};
  for (const auto& epoch : epochs) {
    if (epoch.*field) line.points.push_back({static_cast<double>(epoch.epoch), {*(epoch.*field), {}, {}}});
  }
  return line;
}

void add_learning(const EvaluationReport& report, Page& page) {
  LineChartOptions options;
  options.x_label = "epoch";
  if (report.reward.best_epoch > 0) {
    options.mark_x = report.reward.best_epoch;
    options.mark_label = "kept";
  }
  options.title = "Learning: loss";
  const std::array losses = {epoch_line(report.epochs, &EpochFacts::validation_loss, "validation"),
                             epoch_line(report.epochs, &EpochFacts::loss, "train")};
  page.add_lines(losses, options);
  options.title = "Learning: on validation";
  options.unit = "share";
  options.rule_y = 0.5;
  const std::array shares = {epoch_line(report.epochs, &EpochFacts::validation_pair_accuracy, "strict pairs"),
                             epoch_line(report.epochs, &EpochFacts::validation_accuracy, "accuracy")};
  page.add_lines(shares, options);
}

/// The baselines that differ from slice to slice; report.json has all.
constexpr std::array kBesideSlices = {Baseline::kImageOnly, Baseline::kClipCosine, Baseline::kOracle};

/// A chart for each dimension with slices to compare, then all of them in a table.
void add_slices(const EvaluationReport& report, Page& page) {
  if (report.slices.empty()) return;
  page.add(
      fmt::format("<h2>Where it does well, and where not</h2>\n<p class=\"hint\">Strict pair accuracy by {}, each "
                  "with the pairs that have a winner.</p>\n<div class=\"cards\">\n",
                  defined("slice", "slice")));
  for (auto at = report.slices.begin(); at != report.slices.end();) {
    const auto end = std::find_if(at, report.slices.end(),
                                  [&](const SliceResult& slice) { return slice.dimension != at->dimension; });
    std::vector<IntervalRow> rows;
    for (auto slice = at; slice != end; ++slice) {
      if (!slice->strict.value) continue;
      rows.push_back({slice->name,
                      fmt::format("{} pairs, {} prompts", count_text(slice->strict_pairs), count_text(slice->prompts)),
                      "head", slice->strict});
    }
    IntervalChartOptions options;
    options.title = "By " + at->dimension;
    if (rows.size() > 1) page.add_intervals(rows, options);
    at = end;
  }
  std::string html =
      "</div>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Slices\"><table>\n<thead><tr><th "
      "class=\"left\" scope=\"col\">slice</th><th scope=\"col\">prompts</th><th scope=\"col\">pairs</th><th "
      "scope=\"col\">with a winner</th><th scope=\"col\">" +
      defined("pair_accuracy_strict_micro", "strict pair accuracy") + "</th><th scope=\"col\">" +
      defined("pair_accuracy_pickscore", "PickScore's credit") + "</th>";
  for (const Baseline baseline : kBesideSlices) {
    html += fmt::format("<th scope=\"col\">{}</th>", defined(kBaselineNames[static_cast<std::size_t>(baseline)]));
  }
  html += "</tr></thead>\n<tbody>\n";
  const std::string* dimension = nullptr;
  for (const auto& slice : report.slices) {
    if (dimension == nullptr || *dimension != slice.dimension) {
      html += fmt::format("<tr class=\"group\"><th class=\"left\" colspan=\"{}\">{}</th></tr>\n",
                          6 + kBesideSlices.size(), escape_html(slice.dimension));
    }
    dimension = &slice.dimension;
    html += fmt::format("<tr><th class=\"wrap\" scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>{}{}",
                        escape_html(shortened(slice.name, 80)), count_text(slice.prompts), count_text(slice.pairs),
                        count_text(slice.strict_pairs), metric_cell(Metric::kPairStrictMicro, slice.strict),
                        metric_cell(Metric::kPairPickscore, slice.pickscore));
    for (const Baseline baseline : kBesideSlices) {
      html += metric_cell(Metric::kPairStrictMicro, {slice.baselines[static_cast<std::size_t>(baseline)], {}, {}});
    }
    html += "</tr>\n";
  }
  page.add(html + "</tbody></table></div>\n");
}

std::string change_text(const Estimate& change) {
  if (!change.value) return R"(<td class="none">&#8212;</td>)";
  return fmt::format(
      "<td>{:+.2f}{}</td>", *change.value,
      change.low ? fmt::format(R"(<span class="ci">{:+.2f} to {:+.2f}</span>)", *change.low, *change.high) : "");
}

void add_probes(const EvaluationReport& report, Page& page) {
  if (!report.probes) return;
  const auto& probes = *report.probes;
  std::string failed;
  for (const auto& [reason, count] : probes.failed) {
    failed += fmt::format(" {} more could not be read: {}.", count_text(count), escape_html(reason));
  }
  page.add(fmt::format(
      "<h2>What fools it</h2>\n<p class=\"hint\">{} images of {} prompts, changed and scored again ({}). "
      "One standard deviation of the unchanged scores is {:.3f}.{}</p>\n",
      count_text(probes.items), count_text(probes.prompts), defined("probe", "probes"), probes.deviation, failed));
  std::vector<IntervalRow> rows;
  for (const auto& probe : probes.results) {
    rows.push_back({probe.name, fmt::format("should {}", expectation_name(probe.expectation)),
                    probe.verdict == ProbeVerdict::kNotAsItShould ? "bad"
                    : probe.verdict == ProbeVerdict::kAsItShould  ? "oracle"
                                                                  : "baseline",
                    probe.mean_change});
  }
  IntervalChartOptions options;
  options.title = "Mean change of the score";
  options.caption = "In standard deviations. Green: as it should; red: not as it should; grey: unclear.";
  options.unit = "number";
  options.rule = 0.0;
  options.whole_range = false;
  page.add_intervals(rows, options);
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Probes\"><table>\n<thead><tr><th "
      "class=\"left\" "
      "scope=\"col\">probe</th><th class=\"left\" scope=\"col\">what is done</th><th scope=\"col\">images</th><th "
      "scope=\"col\">mean change</th><th scope=\"col\">rising</th><th class=\"left\" scope=\"col\">should</th><th "
      "class=\"left\" scope=\"col\">does</th></tr></thead>\n<tbody>\n";
  for (const auto& probe : probes.results) {
    const std::string_view css = probe.verdict == ProbeVerdict::kNotAsItShould ? "left wrong"
                                 : probe.verdict == ProbeVerdict::kAsItShould  ? "left right"
                                                                               : "left";
    html += fmt::format(
        R"(<tr><th scope="row">{}</th><td class="left wrap">{}</td><td>{}</td>{}{}<td class="left">{}</td><td class="{}">{}</td></tr>)"
        "\n",
        escape_html(probe.name), escape_html(probe.what), count_text(probe.n), change_text(probe.mean_change),
        metric_cell(Metric::kAccuracy, probe.share_rising), expectation_name(probe.expectation), css,
        probe_verdict_name(probe.verdict));
  }
  page.add(html + "</tbody></table></div>\n");
}

}  // namespace

std::string report_html(const EvaluationReport& report) {
  const auto& reward = report.reward;
  const auto& data = report.data;
  Page page;
  page.add(fmt::format(
      "<header><h1>{}: what it knows of people's choices</h1>\n<p class=\"lede\">Head <b>{}</b>, loss <b>{}</b>, "
      "trained "
      "on {} {}{}, with vectors of <code>{}</code>. Measured on the <b>{}</b> split of workspace <code>{}</code>: {} "
      "prompts, {} labelled rows, {} pairs with a winner, {} rankings.</p></header>\n",
      escape_html(reward.name), escape_html(reward.head), escape_html(reward.loss), count_text(reward.used),
      escape_html(reward.unit), reward.limit > 0 ? " (limited)" : "", escape_html(reward.encoder),
      escape_html(data.split), escape_html(data.workspace), count_text(data.prompts), count_text(data.points),
      count_text(data.strict_pairs), count_text(data.rankings)));
  page.add(warnings_html(report.warnings));
  page.add(verdict_html(report.verdict));

  std::vector<IntervalRow> rows = {{reward.name, "this head", "head", at(report.metrics, Metric::kPairStrictMicro)}};
  const auto baselines = baseline_rows(report.baselines);
  rows.insert(rows.end(), baselines.begin(), baselines.end());
  page.add("<h2>How often it prefers the image that people chose</h2>\n");
  IntervalChartOptions options;
  options.caption =
      "Strict pair accuracy: the chosen image must score higher, an equal score is wrong, so a constant gets 0 %. Dots "
      "are values, bars 95 % intervals by prompt; the dashed line is chance.";
  page.add_intervals(rows, options);
  page.add(metric_table(report));
  page.add("<h2>Answers, certainty, learning</h2>\n<div class=\"cards\">\n" + confusion_card(report));
  page.add_reliability(report.reliability);
  add_learning(report, page);
  page.add("</div>\n");
  add_slices(report, page);
  add_probes(report, page);
  page.add(pictures_html(report));
  page.add(data_html(data));
  page.add(definitions_html());
  return page.html(reward.name + ": evaluation");
}

}  // namespace imagerank::evaluation
