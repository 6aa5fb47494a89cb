#include "cli/command_compare.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

#include "cli/evaluation_results.h"
#include "core/fail.h"
#include "evaluation/html.h"

namespace imagerank::cli {
namespace {

using evaluation::Baseline;
using evaluation::ComparisonReport;
using evaluation::Metric;

constexpr std::array kColumns = {Metric::kAccuracy, Metric::kR2, Metric::kPairStrictMicro};

/// The folder's name; what the user typed where two folders share one.
std::vector<std::string> distinct_names(const std::vector<std::filesystem::path>& folders,
                                        const std::vector<std::string>& typed) {
  std::vector<std::string> names;
  for (const auto& folder : folders) names.push_back(reward_name(folder));
  std::map<std::string, int> uses;
  for (const auto& name : names) ++uses[name];
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (uses[names[i]] > 1) names[i] = typed[i];
  }
  return names;
}

std::string cells(const evaluation::Measurement& measurement) {
  std::string line;
  for (const auto metric : kColumns) {
    const auto& estimate = evaluation::at(measurement, metric);
    line += fmt::format("{:>10}", estimate.value ? evaluation::metric_text(metric, estimate.value) : "-");
  }
  const auto& strict = evaluation::at(measurement, Metric::kPairStrictMicro);
  return line + fmt::format("{:>15}", evaluation::interval_text(Metric::kPairStrictMicro, strict));
}

void print(std::ostream& out, const ComparisonReport& report, const std::filesystem::path& page) {
  const auto warnings = evaluation::shared_warnings(report);
  for (const auto& warning : warnings) out << "! " << warning << '\n';
  if (!warnings.empty()) out << '\n';
  std::size_t width = 12;
  for (const auto& entry : report.entries) width = std::max(width, entry.report.reward.name.size());
  const auto row = [&](const std::string& name, const std::string& model, const std::string& loss,
                       const std::string& amount, const std::string& rest) {
    out << fmt::format("{:<{}}  {:<12}{:<6}{:>16}{}\n", name, width, model, loss, amount, rest);
  };
  row("reward", "model", "loss", "data",
      fmt::format("{:>10}{:>10}{:>10}{:>15}{:>12}", "accuracy", "R2", "pairs", "95 % interval", "validation"));
  for (std::size_t i = 0; i < report.entries.size(); ++i) {
    const auto& entry = report.entries[i];
    const auto& reward = entry.report.reward;
    row(reward.name, reward.head, reward.loss, fmt::format("{} {}", with_thousands(reward.used), reward.unit),
        fmt::format("{}{:>12}{}", cells(entry.report.metrics),
                    evaluation::metric_text(Metric::kPairStrictMicro, entry.validation.value),
                    report.chosen == i ? "  <- best on validation" : ""));
  }
  const auto& first = report.entries[report.chosen.value_or(0)].report;
  for (const auto baseline : {Baseline::kMajority, Baseline::kRandom, Baseline::kPromptOnly, Baseline::kImageOnly,
                              Baseline::kClipCosine, Baseline::kOracle}) {
    const auto index = static_cast<std::size_t>(baseline);
    if (!evaluation::at(first.baselines[index], Metric::kPairStrictMicro).value) continue;
    row(std::string(evaluation::kBaselineNames[index]), "", "", "", cells(first.baselines[index]));
  }
  out << fmt::format("\n{}: {}\n", first.reward.name, first.verdict.sentence);
  out << fmt::format("{} split: {} prompts, {} rows, {} pairs with a winner; report: {}\n", first.data.split,
                     with_thousands(first.data.prompts), with_thousands(first.data.points),
                     with_thousands(first.data.strict_pairs), page.string());
}

/// Whether two encoders' vectors leave the same pairs of the split, in one order, so that predictions can be paired.
bool same_pairs(const EvaluationInputs& first, const EvaluationInputs& second) {
  if (&first == &second) return true;
  const auto split = static_cast<std::size_t>(first.split);
  const auto& a = first.measured;
  const auto& b = second.measured;
  if (first.dataset.pair_rankings[split] != second.dataset.pair_rankings[split] ||
      a.truth.pair_p_a != b.truth.pair_p_a || a.truth.pair_prompt != b.truth.pair_prompt ||
      a.truth.prompt_count != b.truth.prompt_count) {
    return false;
  }
  const auto same_images = [&](const std::vector<std::uint32_t>& rows, const std::vector<std::uint32_t>& others) {
    return std::ranges::equal(rows, others, [&](std::uint32_t row, std::uint32_t other) {
      return first.dataset.image_uids[row] == second.dataset.image_uids[other];
    });
  };
  return same_images(a.rows.pair_image_a, b.rows.pair_image_a) && same_images(a.rows.pair_image_b, b.rows.pair_image_b);
}

/// p values for their being several, and each entry's difference to the chosen one.
void adjust(ComparisonReport& report) {
  std::vector<double> p;
  for (const auto& difference : report.differences) p.push_back(*difference.test.p);
  const auto adjusted = evaluation::holm(p);
  for (std::size_t i = 0; i < adjusted.size(); ++i) {
    auto& difference = report.differences[i];
    difference.p_holm = adjusted[i];
    if (report.chosen == difference.second) report.entries[difference.first].to_chosen = difference.test;
    if (report.chosen == difference.first) {
      report.entries[difference.second].to_chosen = evaluation::reversed(difference.test);
    }
  }
}

ComparisonReport compare(const CompareOptions& options, const workspace::Workspace& workspace,
                         const RunContext& context) {
  std::vector<std::filesystem::path> folders;
  for (const auto& name : options.rewards) folders.push_back(find_reward_folder(workspace, name));
  const auto names = distinct_names(folders, options.rewards);
  std::map<std::string, EvaluationBasis> bases;  // by encoder: baselines are worked out once for each
  ComparisonReport result;
  std::vector<evaluation::Predictions> predictions;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const auto reward = reward::Reward::load(folders[i]);
    const std::string encoder = encoder_for(workspace, reward.needs().front(), folders[i]);
    auto basis = bases.find(encoder);
    if (basis == bases.end()) {
      basis =
          bases.emplace(encoder, load_evaluation_basis(workspace, encoder, options.split, options.bootstrap, context))
              .first;
    }
    const HeadScores scores(reward, basis->second.inputs,
                            CachedVectors(workspace, reward, folders[i], /*beside_inputs=*/true), context);
    auto evaluated = evaluate_reward(names[i], reward, basis->second, scores);
    evaluated.report.reward.encoder = encoder;
    result.entries.push_back({std::move(evaluated.report), evaluated.validation, {}});
    predictions.push_back(std::move(evaluated.predictions));
  }
  result.chosen = evaluation::choose_on_validation(result.entries);
  const auto basis_of = [&](std::size_t i) -> const EvaluationBasis& {
    return bases.at(result.entries[i].report.reward.encoder);
  };
  for (std::size_t first = 0; first < predictions.size(); ++first) {
    for (std::size_t second = first + 1; second < predictions.size(); ++second) {
      if (!same_pairs(basis_of(first).inputs, basis_of(second).inputs)) continue;
      context.check_stop();
      const auto test = evaluation::compare_strict(basis_of(first).inputs.measured.truth, predictions[first],
                                                   predictions[second], basis_of(first).bootstrap);
      if (test.p) result.differences.push_back({first, second, test});
    }
  }
  adjust(result);
  return result;
}

}  // namespace

int run_compare(const CompareOptions& options, Terminal& terminal) {
  const auto workspace = workspace::Workspace::open(options.data);
  if (options.rewards.empty()) fail(ErrorCode::kInvalidArgument, "compare: expected at least one reward, found none");
  const auto report = compare(options, workspace, terminal.context());
  auto json = evaluation::report_json(report);
  const auto page = write_report(workspace, "compare", evaluation::report_html(report), json);
  terminal.result(json, [&](std::ostream& out) { print(out, report, page); });
  return 0;
}

std::function<int(Terminal&)> add_compare(CLI::App& command) {
  const auto options = std::make_shared<CompareOptions>();
  command.add_option("--data", options->data, "The workspace folder")->required();
  command
      .add_option("rewards", options->rewards,
                  "Names under rewards/, folders with reward.json, heads' files, scorers' names")
      ->required();
  command.add_option("--split", options->split, "test | validation | train")->capture_default_str();
  command.add_option("--bootstrap", options->bootstrap, "Draws behind each 95 % interval, 0 for none")
      ->capture_default_str();
  command.footer("Example:\n  imagerank compare --data mine mlp cnn lstm");
  return [options](Terminal& terminal) { return run_compare(*options, terminal); };
}

}  // namespace imagerank::cli
