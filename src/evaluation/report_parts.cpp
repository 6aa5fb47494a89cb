#include "evaluation/report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace imagerank::evaluation {
namespace {

std::string fact(std::string_view name, const std::string& value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, value);
}

std::string split_text(const std::array<std::uint64_t, 3>& counts) {
  return fmt::format("{} train, {} validation, {} test", count_text(counts[0]), count_text(counts[1]),
                     count_text(counts[2]));
}

std::string label_text(const std::vector<double>& counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  std::string text;
  for (std::size_t label = 0; label < counts.size(); ++label) {
    if (label > 0) text += "; ";
    text +=
        fmt::format("{}: {}", label_name(label, counts.size()), count_text(static_cast<std::uint64_t>(counts[label])));
    if (total > 0.0) text += fmt::format(" ({})", percent(counts[label] / total));
  }
  return text;
}

std::string share_of(std::uint64_t part, std::uint64_t whole) {
  auto text = fmt::format("{} of {}", count_text(part), count_text(whole));
  if (whole == 0) return text;
  return fmt::format("{} ({})", text, percent(static_cast<double>(part) / static_cast<double>(whole)));
}

}  // namespace

std::string spaced(std::string_view name) {
  std::string result(name);
  std::ranges::replace(result, '_', ' ');
  return result;
}

std::string shortened(const std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes) + "\xE2\x80\xA6";
}

std::string label_name(std::size_t label, std::size_t classes) {
  if (classes == 3) return fmt::format("{}, {}", label, label == 0 ? "not best" : label == 1 ? "tied" : "best");
  return fmt::format("{}, {}", label, label == 0 ? "no" : "yes");
}

std::string defined(std::string_view name, std::string_view text) {
  return fmt::format(R"(<a class="def" href="#def-{}">{}</a>)", name, text.empty() ? spaced(name) : std::string(text));
}

std::string metric_cell(Metric metric, const Estimate& estimate, std::string_view css, std::string_view note) {
  if (!estimate.value) return R"(<td class="none">&#8212;</td>)";
  // An interval of one point says nothing that the value does not.
  const bool wide = estimate.low && metric_text(metric, estimate.low) != metric_text(metric, estimate.high);
  const auto range = wide ? interval_text(metric, estimate) : std::string();
  return fmt::format(R"(<td class="{}">{}{}{}</td>)", css, metric_text(metric, estimate.value), note,
                     range.empty() ? "" : fmt::format(R"(<span class="ci">{}</span>)", range));
}

std::string warnings_html(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return "";
  std::string html = "<section class=\"warnings\" aria-label=\"Warnings\"><h2>Know this first</h2><ul>\n";
  for (const auto& warning : warnings) {
    // The name of the trouble stands before the first colon; a reward's name may come before it.
    const auto colon = warning.find(": ");
    if (colon == std::string::npos) {
      html += fmt::format("<li>{}</li>\n", unbroken(escape_html(warning)));
    } else {
      html += fmt::format("<li><b>{}</b>{}</li>\n", escape_html(warning.substr(0, colon)),
                          unbroken(escape_html(warning.substr(colon))));
    }
  }
  return html + "</ul></section>\n";
}

std::string verdict_html(const Verdict& verdict) {
  std::string_view css;
  if (verdict.kind == VerdictKind::kBetterThanNoSkill) css = " good";
  if (verdict.kind == VerdictKind::kBelowChance) css = " bad";
  return fmt::format("<p class=\"verdict{}\">{}</p>\n", css, unbroken(escape_html(verdict.sentence)));
}

std::vector<IntervalRow> baseline_rows(const std::array<Measurement, kBaselineCount>& baselines) {
  constexpr std::array<std::string_view, kBaselineCount> kNotes = {"commonest label",
                                                                   "expected value",
                                                                   "every pair equal",
                                                                   "knows only the prompt",
                                                                   "knows only the image",
                                                                   "untrained on choices",
                                                                   "the true utility: best possible"};
  std::vector<IntervalRow> rows;
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    const auto& estimate = at(baselines[i], Metric::kPairStrictMicro);
    if (!estimate.value) continue;
    const bool oracle = i == static_cast<std::size_t>(Baseline::kOracle);
    rows.push_back({spaced(kBaselineNames[i]), std::string(kNotes[i]), oracle ? "oracle" : "baseline", estimate});
  }
  return rows;
}

std::string data_html(const DataFacts& data) {
  std::string html = "<h2>The data</h2>\n<dl class=\"card\">\n";
  html += fact("labelled rows", split_text(data.points_by_split));
  html += fact("pairs", split_text(data.pairs_by_split));
  html += fact(fmt::format("labels in {}", escape_html(data.split)), label_text(data.labels));
  html += fact("labels in train", label_text(data.train_labels));
  html += fact("pairs measured", fmt::format("{} with a winner, {} tied", count_text(data.strict_pairs),
                                             count_text(data.pairs - data.strict_pairs)));
  html += fact(defined("leak"), fmt::format("{} of the rows have a prompt that is also in train, {} an image",
                                            percent(data.prompt_overlap), percent(data.image_overlap)));
  html += fact("rankings without a best", share_of(data.all_ties, data.all_rankings));
  html += fact(defined("conflicts"),
               fmt::format("{} images got different labels for one prompt; {} of the winners also lost",
                           count_text(data.conflicts), share_of(data.winners_that_lost, data.winners)));
  if (data.images > 0) {
    html += fact("images", fmt::format("{} measured{}", count_text(data.images),
                                       data.images_gone == 0
                                           ? std::string(", all with their file")
                                           : fmt::format("; {} have no file any more", count_text(data.images_gone))));
  }
  if (data.points_without_vectors + data.pairs_without_vectors + data.rankings_without_vectors > 0) {
    html += fact("left out, no vector",
                 fmt::format("{} rows, {} pairs, {} rankings", count_text(data.points_without_vectors),
                             count_text(data.pairs_without_vectors), count_text(data.rankings_without_vectors)));
  }
  return html + "</dl>\n";
}

std::string definitions_html() {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kOthers = {{
      {"interval",
       "95 % interval by prompt: whole prompts are drawn anew with replacement, because answers to one prompt are not "
       "independent. Shares have Wilson's interval for as many independent answers as the draws' spread implies, with "
       "Student's t; other numbers have the percentile interval, widened for few prompts."},
      {"p",
       "Chance of a difference at least as large if the two were equally good: each prompt's difference keeps or "
       "changes "
       "its sign at random. Holm's adjustment allows for several comparisons."},
      {"pickscore_threshold",
       "The margin of probability within which PickScore's convention calls a pair a tie; chosen on validation."},
      {"slice", "Pairs of the split that have something in common, measured like the whole."},
      {"probe",
       "Images or prompts of the split are changed and scored again. A change is given in standard deviations of the "
       "unchanged scores; 0.2 counts as none. Rising: share of images whose score is higher after the change."},
      {"way_to_oracle", "How far strict pair accuracy lies on the way from 50 % to that of the true utility."},
      {"leak", "Share of measured rows whose prompt, or image, was also trained on: what was seen is easier."},
      {"conflicts", "Images that one ranking of a prompt called best and another passed over or tied."},
      {"stated_probability",
       "A classifier states a probability for each label; a pair loss states that of one image being preferred, 1 / (1 "
       "+ "
       "exp(score of b - score of a)); a regression states none."},
  }};
  std::string html = "<section id=\"definitions\"><h2>How each number is defined</h2>\n<dl class=\"card\">\n";
  const auto add = [&](std::string_view name, std::string_view definition) {
    html += fmt::format("<dt id=\"def-{}\">{}</dt><dd>{}</dd>\n", name, spaced(name), escape_html(definition));
  };
  for (std::size_t i = 0; i < kMetricCount; ++i) add(kMetricNames[i], metric_definition(static_cast<Metric>(i)));
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    add(kBaselineNames[i], baseline_definition(static_cast<Baseline>(i)));
  }
  for (const auto& [name, definition] : kOthers) add(name, definition);
  return html + "</dl></section>\n";
}

}  // namespace imagerank::evaluation
