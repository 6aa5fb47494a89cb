#include "exports/model_card.h"

#include <nlohmann/json.hpp>

#include "core/fail.h"

namespace imagerank::exports {
namespace {

using nlohmann::json;

/// One line of Markdown: a prompt or a name must not end a table.
std::string plain(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '|') c = ' ';
  }
  return text;
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? plain(found->get<std::string>()) : "";
}

std::string number_text(const json& value) {
  return value.is_number() ? fmt::format("{:.4g}", value.get<double>()) : "-";
}

/// "0.713 (0.66 to 0.76)".
std::string estimate_text(const json& metrics, const char* name) {
  const auto found = metrics.find(name);
  if (found == metrics.end() || !found->is_object()) return "-";
  const json value = found->value("value", json()), low = found->value("low", json()),
             high = found->value("high", json());
  if (!value.is_number()) return "-";
  return low.is_number() && high.is_number()
             ? fmt::format("{} ({} to {})", number_text(value), number_text(low), number_text(high))
             : number_text(value);
}

std::string evidence(const std::string& report_text) {
  const json report = json::parse(report_text, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object() || !report.contains("metrics") || !report["metrics"].is_object()) {
    fail(ErrorCode::kCorruptData, "--report: expected a report.json of `imagerank eval`, found another file");
  }
  std::string text = text_of(report, "verdict") + "\n\n";
  const auto warnings = report.find("warnings");
  if (warnings != report.end() && warnings->is_array()) {
    for (const json& warning : *warnings) {
      if (warning.is_string()) text += fmt::format("- Warning: {}\n", plain(warning.get<std::string>()));
    }
    if (!warnings->empty()) text += "\n";
  }
  text += "| on the split it was not trained on | pair accuracy | Kendall's tau-b |\n| --- | --- | --- |\n";
  const auto row = [&](const std::string& name, const json& metrics) {
    if (!metrics.is_object()) return;
    text += fmt::format("| {} | {} | {} |\n", name, estimate_text(metrics, "pair_accuracy_strict_micro"),
                        estimate_text(metrics, "kendall_tau_b"));
  };
  row("this reward", report["metrics"]);
  for (const char* name : {"prompt_only", "image_only", "clip_cosine", "oracle"}) {
    if (report.contains("baselines") && report["baselines"].is_object() && report["baselines"].contains(name)) {
      row(plain(name), report["baselines"][name]);
    }
  }
  return text + "\nIn brackets 95 % intervals, by prompt.\n";
}

}  // namespace

std::string weights_card(const WeightSettings& settings, double threshold, const ExportCounts& counts) {
  std::string text = fmt::format(
      "---\ntags:\n- text-to-image\n- human-preferences\n- reward-weighted-fine-tuning\n---\n\n"
      "# Images weighted by the reward {}\n\n"
      "{} rows. `metadata.jsonl` is read by ImageFolder (`file_name`, `text`), `weights.parquet` has the same rows, "
      "`meta_cap.json` is for kohya's scripts.\n\n"
      "| column | is |\n| --- | --- |\n"
      "| `reward` | what the reward says of the image for its prompt |\n"
      "| `weight_exp` | exp({:g} reward) / Z; its mean over the generated images is 1 |\n"
      "| `weight_sparse` | 1 where the reward is at least {:g}, else 0 |\n"
      "| `weight_mix` | the reward itself; {:g} for rows whose `source` is `pretrain` |\n\n",
      plain(settings.reward), counts.rows, settings.beta, threshold, settings.pretrain_weight);
  if (!counts.skipped.empty()) {
    text += "Left out:";
    for (const auto& [reason, count] : counts.skipped) text += fmt::format(" {} ({})", count, reason);
    text += "\n\n";
  }
  text += "## What the reward is worth\n\n";
  text +=
      settings.report.empty() ? "Not measured: there was no report of `imagerank eval`.\n" : evidence(settings.report);
  return text;
}

}  // namespace imagerank::exports
