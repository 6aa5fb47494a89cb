#include "cli/command_eval.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cli/evaluation_results.h"
#include "cli/scored_items.h"
#include "evaluation/html.h"

namespace imagerank::cli {
namespace {

using evaluation::Baseline;
using evaluation::Metric;

std::string cell(Metric metric, const evaluation::Estimate& estimate) {
  return estimate.value ? evaluation::metric_text(metric, estimate.value) : "-";
}

void print_probes(std::ostream& out, const evaluation::ProbeReport& probes) {
  out << fmt::format("\n{:<28}{:>10}{:>18}{:>12}  {:<10}{}\n", fmt::format("{} images changed", probes.items), "change",
                     "95 % interval", "rising", "should", "does");
  for (const auto& probe : probes.results) {
    const auto& change = probe.mean_change;
    const auto& rising = probe.share_rising.value;
    out << fmt::format("{:<28}{:>10}{:>18}{:>12}  {:<10}{}\n", probe.name,
                       change.value ? fmt::format("{:+.2f} sd", *change.value) : "-",
                       change.low ? fmt::format("{:+.2f} to {:+.2f}", *change.low, *change.high) : "",
                       rising ? evaluation::percent(*rising) : "-", evaluation::expectation_name(probe.expectation),
                       evaluation::probe_verdict_name(probe.verdict));
  }
  for (const auto& [reason, count] : probes.failed) {
    out << fmt::format("{} images could not be probed: {}\n", with_thousands(count), reason);
  }
}

void print(std::ostream& out, const evaluation::EvaluationReport& report, const std::filesystem::path& page) {
  for (const auto& warning : report.warnings) out << "! " << warning << '\n';
  if (!report.warnings.empty()) out << '\n';
  out << report.verdict.sentence << "\n\n";
  constexpr std::array kShown = {Baseline::kMajority,  Baseline::kRandom,     Baseline::kPromptOnly,
                                 Baseline::kImageOnly, Baseline::kClipCosine, Baseline::kOracle};
  out << fmt::format("{:<28}{:>10}{:>18}", report.data.split, report.reward.name.substr(0, 9), "95 % interval");
  for (const auto baseline : kShown) {
    out << fmt::format("{:>12}", evaluation::kBaselineNames[static_cast<std::size_t>(baseline)]);
  }
  out << '\n';
  for (std::size_t i = 0; i < evaluation::kMetricCount; ++i) {
    const auto metric = static_cast<Metric>(i);
    out << fmt::format("{:<28}{:>10}{:>18}", evaluation::kMetricNames[i], cell(metric, report.metrics[i]),
                       evaluation::interval_text(metric, report.metrics[i]));
    for (const auto baseline : kShown) {
      out << fmt::format("{:>12}", cell(metric, report.baselines[static_cast<std::size_t>(baseline)][i]));
    }
    out << '\n';
  }
  if (report.probes) print_probes(out, *report.probes);
  out << fmt::format("\n{} prompts, {} rows, {} pairs with a winner; report: {}\n", with_thousands(report.data.prompts),
                     with_thousands(report.data.points), with_thousands(report.data.strict_pairs), page.string());
}

}  // namespace

int run_eval(const EvalOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  const auto context = terminal.context();
  const auto folder = find_reward_folder(workspace, options.reward);
  const auto name = reward_name(folder);
  const auto reward = reward::Reward::load(folder, options.encoder);
  const std::string encoder = encoder_for(workspace, reward.needs().front(), folder);
  const auto basis = load_evaluation_basis(workspace, encoder, options.split, options.bootstrap, context);
  const HeadScores scores(reward, basis.inputs, CachedVectors(workspace, reward, folder, /*beside_inputs=*/true),
                          context);
  auto report = evaluate_reward(name, reward, basis, scores).report;
  report.reward.encoder = encoder;
  report.pictures = pick_pictures(workspace, basis.inputs, scores);
  report.galleries = pick_galleries(workspace, basis.inputs, scores);
  if (options.probes > 0) {
    report.probes =
        run_probes(workspace, basis.inputs, folder, {options.probes, options.encoder, options.bootstrap}, context);
    if (auto warning = evaluation::probe_warning(*report.probes); !warning.empty()) {
      report.warnings.push_back(std::move(warning));
    }
  }

  auto json = evaluation::report_json(report);
  const auto page = write_report(workspace, name, evaluation::report_html(report), json);
  terminal.result(json, [&](std::ostream& out) { print(out, report, page); });
  return 0;
}

std::function<int(Terminal&)> add_eval(CLI::App& command) {
  const auto options = std::make_shared<EvalOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command
      .add_option("--reward", options->reward,
                  "A name under rewards/, a folder with reward.json, or a published head's file")
      ->required();
  command.add_option("--split", options->split, "test | validation | train")->capture_default_str();
  command.add_option("--bootstrap", options->bootstrap, "Draws behind each 95 % interval, 0 for none")
      ->capture_default_str();
  command
      .add_option("--probes", options->probes,
                  "Images to spoil or relabel and score again, which shows what fools the reward; 0 for none")
      ->capture_default_str();
  add_encoder_options(command, options->encoder);
  command.footer("Example:\n  imagerank eval --data mine --reward mlp --probes 100");
  return [options](Terminal& terminal) { return run_eval(*options, terminal); };
}

}  // namespace imagerank::cli
