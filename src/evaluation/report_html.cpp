#include <fmt/format.h>

#include <algorithm>
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

std::string metric_cell(Metric metric, const Estimate& estimate, std::string_view css, bool flagged) {
  if (!estimate.value) return R"(<td class="none">&#8212;</td>)";
  // An interval of one point (a constant's) says nothing that the value does not.
  const bool wide = estimate.low && *estimate.low < *estimate.high;
  const auto range = wide ? interval_text(metric, estimate) : std::string();
  return fmt::format(R"(<td class="{}">{}{}{}</td>)", css, metric_text(metric, estimate.value),
                     flagged ? R"(<span class="above" title="not below the head"> &#9650;</span>)" : "",
                     range.empty() ? "" : fmt::format(R"(<span class="ci">{}</span>)", range));
}

std::string metric_table(const EvaluationReport& report) {
  std::string html = fmt::format(
      "<h2>Every metric beside its baselines</h2>\n<p class=\"hint\">Small print: 95 % intervals, prompts drawn anew "
      "{} "
      "times. <span class=\"above\">&#9650;</span> marks a baseline without skill that does at least as well as the "
      "head. A dash: the metric does not apply.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Metrics and baselines\"><table>\n<thead><tr><th class=\"left\" scope=\"col\">metric</th><th "
      "scope=\"col\">{}</th>",
      count_text(report.bootstrap_draws), escape_html(report.reward.name));
  for (const auto name : kBaselineNames) html += fmt::format("<th scope=\"col\">{}</th>", spaced(name));
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const auto metric = static_cast<Metric>(i);
    html += fmt::format("<tr><th scope=\"row\">{}{}</th>", spaced(kMetricNames[i]),
                        higher_is_better(metric) ? "" : " <small>(lower is better)</small>");
    html += metric_cell(metric, report.metrics[i], "head", false);
    for (std::size_t baseline = 0; baseline < kBaselineCount; ++baseline) {
      const auto& estimate = report.baselines[baseline][i];
      const bool skill = baseline >= static_cast<std::size_t>(Baseline::kClipCosine);
      html += metric_cell(metric, estimate, "", !skill && no_worse(metric, estimate, report.metrics[i]));
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
Line epoch_line(const std::vector<EpochFacts>& epochs, std::optional<double> EpochFacts::* field, std::string label,
                std::string kind) {
  Line line{std::move(label), std::move(kind), {}};
  for (const auto& epoch : epochs) {
    if (epoch.*field) line.points.emplace_back(epoch.epoch, *(epoch.*field));
  }
  return line;
}

std::string learning_cards(const EvaluationReport& report) {
  LineChartOptions options;
  options.x_label = "epoch";
  if (report.reward.best_epoch > 0) {
    options.mark_x = report.reward.best_epoch;
    options.mark_label = "kept";
  }
  options.title = "Learning: loss";
  const std::array losses = {epoch_line(report.epochs, &EpochFacts::loss, "train", "b"),
                             epoch_line(report.epochs, &EpochFacts::validation_loss, "validation", "a")};
  auto html = line_chart(losses, options);
  options.title = "Learning: on validation";
  options.percent_y = true;
  options.rule_y = 0.5;
  const std::array shares = {epoch_line(report.epochs, &EpochFacts::validation_pair_accuracy, "strict pairs", "a"),
                             epoch_line(report.epochs, &EpochFacts::validation_accuracy, "accuracy", "b")};
  return html + line_chart(shares, options);
}

std::string picture_item(const Picture& picture, const std::string& prompt) {
  std::string html = picture.won > 0 ? "<li class=\"won\">" : "<li>";
  if (picture.data_uri.empty()) {
    html += fmt::format("<div class=\"gap\">no picture: {}</div>", escape_html(picture.missing));
  } else {
    html += fmt::format(R"(<img src="{}" alt="image {} for: {}" loading="lazy">)", escape_html(picture.data_uri),
                        escape_html(picture.uid), escape_html(shortened(prompt, 120)));
  }
  std::string votes = fmt::format("best in {} of {}", picture.won, picture.won + picture.lost);
  if (picture.won + picture.lost == 0) votes = "never in a decided vote";
  if (picture.tied > 0) votes += fmt::format(", {} tied", picture.tied);
  return html + fmt::format("<div class=\"say\">score <b>{:.3f}</b><span class=\"votes\">{}</span></div></li>\n",
                            picture.score, votes);
}

std::string gallery(const EvaluationReport& report) {
  if (report.pictures.empty()) return "";
  std::string html = fmt::format(
      "<h2>What it likes and what people chose</h2>\n<p class=\"hint\">{} prompts of the {} split, drawn at random, "
      "not "
      "picked. Highest score first; a green frame: people chose it as the best at least once.</p>\n",
      report.pictures.size(), escape_html(report.data.split));
  for (const auto& prompt : report.pictures) {
    html += fmt::format("<section class=\"prompt\"><p>{}</p>\n<ul class=\"strip\">\n",
                        prompt.prompt.empty() ? "<i>(empty prompt)</i>" : escape_html(shortened(prompt.prompt, 600)));
    for (const auto& picture : prompt.pictures) html += picture_item(picture, prompt.prompt);
    html += "</ul>\n";
    if (prompt.left_out > 0) {
      html += fmt::format("<p class=\"hint\">{} images between these are not shown.</p>\n", prompt.left_out);
    }
    html += "</section>\n";
  }
  return html;
}

}  // namespace

std::string report_html(const EvaluationReport& report) {
  const auto& reward = report.reward;
  const auto& data = report.data;
  std::string body = fmt::format(
      "<header><h1>{}: what it knows of people's choices</h1>\n<p class=\"lede\">Head <b>{}</b>, loss <b>{}</b>, "
      "trained "
      "on {} {}{}, with vectors of <code>{}</code>. Measured on the <b>{}</b> split of workspace <code>{}</code>: {} "
      "prompts, {} labelled rows, {} pairs with a winner, {} rankings.</p></header>\n",
      escape_html(reward.name), escape_html(reward.head), escape_html(reward.loss), count_text(reward.used),
      escape_html(reward.unit), reward.limit > 0 ? " (limited)" : "", escape_html(reward.encoder),
      escape_html(data.split), escape_html(data.workspace), count_text(data.prompts), count_text(data.points),
      count_text(data.strict_pairs), count_text(data.rankings));
  body += warnings_html(report.warnings);
  body += verdict_html(report.verdict);

  std::vector<IntervalRow> rows = {{reward.name, "this head", "head", at(report.metrics, Metric::kPairStrictMicro)}};
  const auto baselines = baseline_rows(report.baselines);
  rows.insert(rows.end(), baselines.begin(), baselines.end());
  body += "<h2>How often it prefers the image that people chose</h2>\n";
  body +=
      interval_plot(rows,
                    "Strict pair accuracy: the chosen image must score higher, an equal score is wrong, so a constant "
                    "gets 0 %. Dots are values, bars 95 % intervals by prompt.");
  body += metric_table(report);
  body += "<h2>Answers, certainty, learning</h2>\n<div class=\"cards\">\n" + confusion_card(report) +
          reliability_chart(report.reliability) + learning_cards(report) + "</div>\n";
  body += gallery(report);
  body += data_html(data);
  body += definitions_html();
  return html_page(reward.name + ": evaluation", body);
}

}  // namespace imagerank::evaluation
