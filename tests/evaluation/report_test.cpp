#include "evaluation/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/html.h"
#include "evaluation/page_files.h"

namespace imagerank::evaluation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Html, EscapesWhatAPromptMayHold) {
  EXPECT_EQ(escape_html(R"(<script>alert("1 & 2")</script>'s)"),
            "&lt;script&gt;alert(&quot;1 &amp; 2&quot;)&lt;/script&gt;&#39;s");
  EXPECT_EQ(escape_html("\xE7\x8C\xAB and \xF0\x9F\x90\xB1"), "\xE7\x8C\xAB and \xF0\x9F\x90\xB1");
  const std::string replaced = "\xEF\xBF\xBD";
  EXPECT_EQ(escape_html("a\xFFz"), "a" + replaced + "z");
  EXPECT_EQ(escape_html("\xE7\x8C"), replaced + replaced) << "cut short";
  EXPECT_EQ(escape_html("\xC0\xBC"), replaced + replaced) << "an overlong '<'";
  EXPECT_EQ(escape_html("\xED\xA0\x80"), replaced + replaced + replaced) << "a surrogate";
  EXPECT_EQ(escape_html(std::string("a\0b\x1B", 4)), "a" + replaced + "b" + replaced);
}

TEST(Html, Base64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST(Html, NumbersStayWithTheirPercentSign) {
  EXPECT_EQ(unbroken("50 % of 100 % and %"), "50&#160;% of 100&#160;% and&#160;%");
}

TEST(Html, Numbers) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(metric_text(Metric::kAccuracy, 0.8516), "85.2 %");
  EXPECT_EQ(metric_text(Metric::kR2, 0.3312), "0.331");
  EXPECT_EQ(metric_text(Metric::kR2, std::nullopt), "\xE2\x80\x94");
  EXPECT_EQ(interval_text(Metric::kAccuracy, {0.5, 0.4, 0.6}), "40.0 to 60.0");
  EXPECT_EQ(interval_text(Metric::kAccuracy, {0.5, {}, {}}), "");
}

/// The charts that a page carries, as its script reads them.
nlohmann::json charts_of(const std::string& page) {
  const std::string_view open = R"(<script type="application/json" id="charts">)";
  const auto begin = page.find(open);
  EXPECT_NE(begin, std::string::npos);
  const auto end = page.find("</script>", begin);
  return nlohmann::json::parse(page.substr(begin + open.size(), end - begin - open.size()));
}

/// A page up to its scripts: what it says without them.
std::string text_of(const std::string& page) {
  std::size_t scripts = 0;
  for (auto at = page.find("<script"); at != std::string::npos; at = page.find("<script", at + 1)) ++scripts;
  EXPECT_EQ(scripts, 2U) << "the charts and what draws them, nothing that a prompt brought";
  return page.substr(0, page.find("<script"));
}

TEST(Page, CarriesItsChartsAsData) {
  Page page;
  page.add("<p>text</p>");
  const std::vector<IntervalRow> rows = {{"one & </script>", "note", "head", {0.6, 0.5, 0.7}},
                                         {"none", "", "baseline", {}}};
  page.add_intervals(rows, {});
  const std::vector<Line> lines = {{"loss", {{1, {0.9, {}, {}}}, {2, {0.7, 0.6, 0.8}}}}, {"empty", {}}};
  page.add_lines(lines, {});
  const std::vector<ReliabilityBin> bins = {{0.5, 0.6, 0.55}};
  page.add_reliability(bins);
  const auto html = page.html("a <title>");
  const auto charts = charts_of(html);
  ASSERT_EQ(charts.size(), 3U);
  EXPECT_EQ(charts["chart-1"]["rows"].size(), 1U) << "a row without a value is not drawn";
  EXPECT_EQ(charts["chart-1"]["rows"][0]["label"], "one & </script>");
  EXPECT_EQ(charts["chart-2"]["series"].size(), 1U);
  EXPECT_EQ(charts["chart-2"]["series"][0]["points"][1]["low"], 0.6);
  EXPECT_EQ(charts["chart-3"]["bins"][0]["accuracy"], 0.55);
  EXPECT_THAT(html, HasSubstr("<title>a &lt;title&gt;</title>"));
  for (const auto* id : {"chart-1", "chart-2", "chart-3"}) {
    EXPECT_THAT(html, HasSubstr(std::string("data-chart=\"") + id)) << "each has its place";
  }
  EXPECT_THAT(html, HasSubstr("one &amp; &lt;/script&gt;")) << "and its numbers";
  EXPECT_THAT(text_of(html), Not(HasSubstr("</script>")));
}

TEST(Page, NothingToDrawIsNoChart) {
  Page page;
  page.add_intervals({}, {});
  page.add_lines({}, {});
  page.add_reliability({});
  EXPECT_TRUE(charts_of(page.html("t")).empty());
}

TEST(Page, OnlyItsOwnScriptMayRun) {
  const auto html = Page().html("t");
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, HasSubstr("script-src 'sha256-"));
  EXPECT_THAT(html, Not(HasSubstr("src=\"http")));
  EXPECT_GT(page_script().size(), 50'000U);
  EXPECT_LT(page_script().size(), 400'000U) << "every report carries it";
  EXPECT_THAT(html, HasSubstr(std::string(page_script())));
}

EvaluationReport full_report() {
  EvaluationReport report;
  report.reward = {"mlp<1>", "mlp", "mse", "sample-fp32-1a2b", "builtin/sample", 1200, "points", 0, 7, 2};
  report.data.workspace = "world";
  report.data.split = "test";
  report.data.prompts = 12;
  report.data.points = 96;
  report.data.pairs = 80;
  report.data.strict_pairs = 60;
  report.data.rankings = 24;
  report.data.labels = {60, 12, 24};
  report.data.train_labels = {600, 120, 240};
  report.warnings = {"leaking split: <all> of it"};
  report.verdict = {VerdictKind::kAtChance, "Not distinguishable from chance: strict pair accuracy is 52 %."};
  at(report.metrics, Metric::kAccuracy) = {0.6, 0.5, 0.7};
  at(report.metrics, Metric::kPairStrictMicro) = {0.52, 0.41, 0.63};
  at(report.baselines[0], Metric::kAccuracy) = {0.625, 0.5, 0.7};
  at(report.baselines[1], Metric::kPairStrictMicro) = {0.5, {}, {}};
  report.confusion = {50, 5, 5, 4, 4, 4, 10, 4, 10};
  report.reliability = {{0.5, 0.6, 0.55}, {0.5, 0.8, 0.7}};
  report.bootstrap_draws = 1000;
  report.epochs = {{1, 0.9, 0.8, 0.5, 0.5}, {2, 0.7, 0.75, 0.6, 0.52}};
  report.pictures = {{"a <b>cat</b> & \"dog\"",
                      {{"u1", "data:image/jpeg;base64,AAAA", "", 1.5, 2, 1, 0}, {"u2", "", "missing", 0.5, 0, 3, 1}},
                      4}};
  return report;
}

const std::vector<std::string> kContractMetrics = {"accuracy",
                                                   "balanced_accuracy",
                                                   "macro_f1",
                                                   "auc",
                                                   "r2",
                                                   "pair_accuracy_strict_micro",
                                                   "pair_accuracy_strict_macro",
                                                   "pair_accuracy_pickscore",
                                                   "pair_accuracy_hps_inversion",
                                                   "pair_accuracy_imagereward",
                                                   "kendall_tau_b",
                                                   "spearman",
                                                   "ndcg_at_4",
                                                   "recall_at_1",
                                                   "recall_at_2",
                                                   "recall_at_4",
                                                   "filter_at_1",
                                                   "filter_at_2",
                                                   "filter_at_4",
                                                   "best_of_n_lift",
                                                   "brier",
                                                   "log_loss",
                                                   "ece"};
const std::vector<std::string> kContractBaselines = {"majority",   "random",      "always_tie", "prompt_only",
                                                     "image_only", "clip_cosine", "oracle"};

void expect_contract_measurement(const nlohmann::ordered_json& measurement) {
  ASSERT_EQ(measurement.size(), kContractMetrics.size());
  for (const auto& name : kContractMetrics) {
    ASSERT_TRUE(measurement.contains(name)) << name;
    for (const auto* field : {"value", "low", "high"}) {
      ASSERT_TRUE(measurement.at(name).contains(field)) << name << ' ' << field;
      EXPECT_TRUE(measurement.at(name).at(field).is_number() || measurement.at(name).at(field).is_null());
    }
  }
}

TEST(Report, JsonHoldsEveryFieldOfTheContract) {
  const auto json = report_json(full_report());
  EXPECT_EQ(json.begin().key(), "warnings") << "what a reader must know comes first";
  for (const auto* field : {"warnings", "verdict", "n", "split", "reward", "metrics", "baselines", "confusion", "data",
                            "bootstrap", "reliability", "epochs", "examples", "pickscore_threshold"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  EXPECT_TRUE(json["warnings"].is_array());
  EXPECT_EQ(json["n"], 96);
  expect_contract_measurement(json["metrics"]);
  ASSERT_EQ(json["baselines"].size(), kContractBaselines.size());
  for (const auto& name : kContractBaselines) expect_contract_measurement(json["baselines"].at(name));
  EXPECT_EQ(json["metrics"]["accuracy"]["value"], 0.6);
  EXPECT_TRUE(json["metrics"]["r2"]["value"].is_null());
  EXPECT_EQ(json["confusion"]["matrix"][2][0], 10);
  EXPECT_EQ(json["epochs"][1]["validation"]["loss"], 0.75);
}

TEST(Report, PageIsSelfContainedAndEscaped) {
  const auto page = text_of(report_html(full_report()));
  EXPECT_THAT(page, HasSubstr("mlp&lt;1&gt;"));
  EXPECT_THAT(page, HasSubstr("a &lt;b&gt;cat&lt;/b&gt; &amp; &quot;dog&quot;"));
  EXPECT_THAT(page, HasSubstr("&lt;all&gt; of it"));
  EXPECT_THAT(page, Not(HasSubstr("<b>cat")));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, HasSubstr("no picture: missing"));
  EXPECT_THAT(page, HasSubstr("best in 2 of 3"));
  EXPECT_THAT(page, HasSubstr("4 images between these are not shown"));
  EXPECT_THAT(page, HasSubstr("Calibration"));
  EXPECT_THAT(page, HasSubstr("Learning: loss"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
}

TEST(Report, WarningsAndVerdictStandAboveTheNumbers) {
  const auto page = text_of(report_html(full_report()));
  const auto warnings = page.find("leaking split");
  const auto verdict = page.find("Not distinguishable from chance");
  const auto numbers = page.find("<table");
  ASSERT_NE(warnings, std::string::npos);
  EXPECT_LT(warnings, verdict);
  EXPECT_LT(verdict, numbers);
}

TEST(Report, ABaselineThatIsNoWorseIsMarked) {
  EXPECT_THAT(report_html(full_report()), HasSubstr("62.5 %<span class=\"above\""));
  auto report = full_report();
  at(report.baselines[0], Metric::kAccuracy).value = 0.55;
  EXPECT_THAT(report_html(report), Not(HasSubstr("55.0 %<span class=\"above\"")));
}

TEST(Report, AnEmptyReportIsStillAPage) {
  const auto page = text_of(report_html(EvaluationReport{}));
  EXPECT_THAT(page, HasSubstr("</main>"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

ComparisonReport comparison() {
  ComparisonReport report;
  auto first = full_report();
  first.pictures.clear();
  auto second = first;
  second.reward.name = "small";
  second.reward.used = 300;
  second.warnings.emplace_back("one class predicted: always 0");
  report.entries.push_back({first, {0.55, 0.5, 0.6}, {{-0.01, -0.05, 0.03}, 0.42}});
  report.entries.push_back({second, {0.58, 0.5, 0.65}, {}});
  report.chosen = choose_on_validation(report.entries);
  return report;
}

TEST(Comparison, IsChosenOnValidation) {
  auto report = comparison();
  EXPECT_EQ(report.chosen, 1U);
  report.entries[1].validation.value = 0.55;
  EXPECT_EQ(choose_on_validation(report.entries), 0U) << "the first of equals";
  for (auto& entry : report.entries) entry.validation = {};
  EXPECT_FALSE(choose_on_validation(report.entries));
}

TEST(Comparison, WarningsOfOneAreNamedWarningsOfAllAreNot) {
  const std::vector<std::string> expected = {"leaking split: <all> of it", "small: one class predicted: always 0"};
  EXPECT_EQ(shared_warnings(comparison()), expected);
}

TEST(Comparison, JsonHoldsEveryFieldOfTheContract) {
  const auto json = report_json(comparison());
  for (const auto* field : {"warnings", "verdict", "n", "chosen", "rewards", "baselines", "data"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  EXPECT_EQ(json["chosen"], "small");
  ASSERT_EQ(json["rewards"].size(), 2U);
  for (const auto& row : json["rewards"]) {
    for (const auto* field : {"name", "reward", "metrics", "warnings", "verdict", "validation"}) {
      EXPECT_TRUE(row.contains(field)) << field;
    }
    expect_contract_measurement(row["metrics"]);
  }
  for (const auto& name : kContractBaselines) expect_contract_measurement(json["baselines"].at(name));
}

TEST(Comparison, PageShowsTheTableTheChoiceAndTheDataCurve) {
  const auto page = text_of(report_html(comparison()));
  EXPECT_THAT(page, HasSubstr("best on validation"));
  EXPECT_THAT(page, HasSubstr("by amount of data"));
  EXPECT_THAT(page, HasSubstr("-1.0<span class=\"ci\">-5.0 to +3.0"));
  auto unchosen = comparison();
  unchosen.chosen.reset();
  EXPECT_THAT(report_html(unchosen), HasSubstr("No head can be chosen"));
}

}  // namespace
}  // namespace imagerank::evaluation
