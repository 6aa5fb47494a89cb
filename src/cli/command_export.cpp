#include "cli/command_export.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <ostream>

#include "cli/model_commands.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "exports/export.h"

namespace imagerank::cli {
namespace {

/// What --encoder names, what --reward was trained on, or the only one there is.
std::string encoder_of(const ExportOptions& options, const workspace::Workspace& workspace) {
  if (!options.encoder.empty() && !options.reward.empty())
    fail(ErrorCode::kInvalidArgument, "--encoder: expected it or --reward, found both");
  if (!options.encoder.empty()) return options.encoder;
  if (!options.reward.empty()) {
    const auto named = workspace.reward_dir(options.reward) / "reward.json";
    const auto path = std::filesystem::exists(named) ? named : std::filesystem::path(options.reward) / "reward.json";
    constexpr std::size_t kMostBytes = std::size_t{64} << 20;
    const auto record = nlohmann::json::parse(load_file(path, kMostBytes), nullptr, false);
    if (!record.is_object() || !record.contains("encoder") || !record["encoder"].is_string())
      fail(ErrorCode::kCorruptData, "{}: expected JSON with an 'encoder', found none", path.string());
    return record["encoder"].get<std::string>();
  }
  const std::vector<std::string> found = workspace.vector_encoders();
  if (found.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected vectors, found none; `imagerank encode` makes them",
         (workspace.root() / "embeddings").string());
  }
  if (found.size() > 1) fail(ErrorCode::kInvalidArgument, "--encoder: expected one of {}", fmt::join(found, ", "));
  return found.front();
}

std::vector<exports::ScoredPrompt> scores_of(const ExportOptions& options, const std::string& table,
                                             const workspace::Workspace& workspace, const RunContext& context) {
  ScoreForExport* const score = export_scores();
  if (score == nullptr) {
    fail(ErrorCode::kUnavailable, "--reward: expected a program with libtorch, found one without");
  }
  return score(options, table, workspace, context);
}

exports::ExportCounts export_pairs(const ExportOptions& options, const exports::ExportSettings& settings,
                                   const workspace::Workspace& workspace, const RunContext& context) {
  exports::DpoSettings dpo;
  dpo.margin = options.margin;
  std::vector<exports::ScoredPrompt> scores;
  if (!options.reward.empty()) {
    scores = scores_of(options, settings.table, workspace, context);
    dpo.scores = scores;
  }
  return exports::export_dpo(workspace, settings, dpo, options.out, context);
}

exports::ExportCounts export_weighted(const ExportOptions& options, const exports::ExportSettings& settings,
                                      const workspace::Workspace& workspace, const RunContext& context) {
  exports::WeightSettings weights;
  weights.reward = std::filesystem::path(options.reward).filename().string();
  weights.beta = options.beta;
  weights.threshold = options.threshold;
  weights.pretrain = options.pretrain;
  weights.pretrain_weight = options.pretrain_weight;
  weights.copy = options.copy;
  const auto own = workspace.report_dir(weights.reward) / "report.json";
  if (!options.report.empty() || std::filesystem::exists(own)) {
    weights.report = load_file(options.report.empty() ? own : options.report, std::size_t{64} << 20);
  }
  const auto scores = scores_of(options, settings.table, workspace, context);
  return exports::export_weights(workspace, settings, weights, scores, options.out, context);
}

exports::ExportCounts export_to(const ExportOptions& options, const exports::ExportSettings& settings,
                                const workspace::Workspace& workspace, const RunContext& context) {
  if (options.to == "csv") return exports::export_csv(workspace, settings, options.out, context);
  if (options.to == "parquet") return exports::export_parquet(workspace, settings, options.out, context);
  if (options.to == "dpo") return export_pairs(options, settings, workspace, context);
  if (options.to == "weights") return export_weighted(options, settings, workspace, context);
  if (options.to == "webdataset") return exports::export_webdataset(workspace, settings, options.out, context);
  return exports::export_clip_retrieval(workspace, encoder_of(options, workspace), settings, options.out, context);
}

void check(const ExportOptions& options) {
  const bool known = options.to == "csv" || options.to == "parquet" || options.to == "dpo" ||
                     options.to == "webdataset" || options.to == "clip-retrieval" || options.to == "weights" ||
                     options.to == "onnx";
  if (!known) {
    fail(ErrorCode::kInvalidArgument,
         "--to: expected csv, parquet, weights, dpo, webdataset, clip-retrieval or onnx, found '{}'", options.to);
  }
  const bool onnx = options.to == "onnx";
  const bool vectors = options.to == "clip-retrieval";
  const auto only_with = [&](bool fits, bool given, const char* option, const char* expected) {
    if (given && !fits)
      fail(ErrorCode::kInvalidArgument, "{}: expected with {}, found --to {}", option, expected, options.to);
  };
  only_with(vectors, !options.encoder.empty(), "--encoder", "--to clip-retrieval");
  const bool weights = options.to == "weights", dpo = options.to == "dpo";
  only_with(vectors || onnx || weights || dpo, !options.reward.empty(), "--reward",
            "--to weights, dpo, clip-retrieval or onnx");
  only_with(onnx || weights || dpo, !options.model.empty(), "--model", "--to onnx, weights or dpo");
  only_with(onnx || weights || dpo, !options.tokenizer.empty(), "--tokenizer", "--to onnx, weights or dpo");
  only_with(dpo, options.margin != 0.0, "--margin", "--to dpo");
  only_with(weights, options.threshold.has_value(), "--threshold", "--to weights");
  only_with(weights, options.beta != 1.0, "--beta", "--to weights");
  only_with(weights, !options.pretrain.empty(), "--pretrain", "--to weights");
  only_with(weights, !options.report.empty(), "--report", "--to weights");
  only_with(weights, options.copy, "--copy", "--to weights");
  if (weights && options.reward.empty()) fail(ErrorCode::kInvalidArgument, "--reward: expected one with --to weights");
  const auto check_number = [](const char* option, double value, bool good) {
    if (!std::isfinite(value) || !good) {
      fail(ErrorCode::kInvalidArgument,
           "{}: expected a finite number, 0 or more for --margin and --pretrain-weight, "
           "found {}",
           option, value);
    }
  };
  check_number("--beta", options.beta, true);
  check_number("--threshold", options.threshold.value_or(0.0), true);
  check_number("--margin", options.margin, options.margin >= 0.0);
  check_number("--pretrain-weight", options.pretrain_weight, options.pretrain_weight >= 0.0);
  only_with(!onnx, !options.table.empty(), "--table", "the files of a table");
  only_with(!onnx, !options.split.empty(), "--split", "the files of a table");
  if (options.data.empty() && !onnx) fail(ErrorCode::kInvalidArgument, "--data: expected a workspace, found none");
}

}  // namespace

int run_export(const ExportOptions& options, Terminal& terminal) {
  check(options);
  if (options.to == "onnx") {
    ExportModel* const run = model_export();
    if (run == nullptr) fail(ErrorCode::kUnavailable, "--to onnx: expected a program with libtorch, found one without");
    return run(options, terminal);
  }
  exports::ExportSettings settings;
  settings.table = !options.table.empty() ? options.table : options.to == "dpo" ? "pairs" : "points";
  settings.split = options.split;
  settings.allow_missing = options.allow_missing;
  settings.overwrite = options.overwrite;
  settings.shard_size = options.shard_size;
  const auto workspace = workspace::Workspace::open(options.data);
  remove_stale_temporaries(options.out.has_parent_path() ? options.out.parent_path()
                                                         : ".");  // of a run that was killed
  const exports::ExportCounts counts = export_to(options, settings, workspace, terminal.context());
  nlohmann::ordered_json skipped = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : counts.skipped) skipped[reason] = count;
  const nlohmann::ordered_json object = {
      {"rows", counts.rows},          {"skipped", skipped},    {"to", options.to},
      {"table", settings.table},      {"files", counts.files}, {"out", options.out.string()},
      {"in_shards", counts.in_shards}};
  if (counts.in_shards > 0) {
    terminal.note(
        fmt::format("{} rows name images inside tar shards (PATH.tar#OFFSET+SIZE.EXT), which other tools do "
                    "not open: --to webdataset copies the images",
                    with_thousands(static_cast<std::uint64_t>(counts.in_shards))));
  }
  terminal.result(object, [&](std::ostream& out) {
    const auto number = [](std::int64_t value) { return with_thousands(static_cast<std::uint64_t>(value)); };
    out << fmt::format("rows      {} of {}\n", number(counts.rows), settings.table);
    for (const auto& [reason, count] : counts.skipped) out << fmt::format("skipped   {}: {}\n", number(count), reason);
    out << fmt::format("out       {}{}\n", options.out.string(),
                       counts.files > 1 ? fmt::format(", {} files", number(counts.files)) : "");
  });
  return 0;
}

std::function<int(Terminal&)> add_export(CLI::App& command) {
  const auto options = std::make_shared<ExportOptions>();
  command.add_option("--data", options->data, "The workspace folder; onnx: where --reward NAME lies");
  command.add_option("--to", options->to, "csv | parquet | weights | dpo | webdataset | clip-retrieval | onnx")
      ->required();
  command.add_option("--out", options->out, "The file, or the folder of weights, webdataset, clip-retrieval and onnx")
      ->required();
  command.add_option("--table", options->table, "The table (default: pairs for dpo, otherwise points)");
  command.add_option("--split", options->split, "Rows of this split only, such as train");
  command.add_option("--encoder", options->encoder, "clip-retrieval: a folder of embeddings/ (default: the only one)");
  command.add_option("--reward", options->reward,
                     "weights: what weighs the images; dpo: what chooses, in place of people; clip-retrieval: the "
                     "encoder that this reward was trained on; onnx: this reward's head too");
  command.add_option("--model", options->model, "onnx: a model; weights, dpo: the encoder (default: the reward's own)");
  command.add_option("--tokenizer", options->tokenizer, "A folder, if the reward's encoder took one");
  command
      .add_option("--margin", options->margin, "dpo: least difference, of scores, or of the chances of either image")
      ->capture_default_str();
  command.add_option("--beta", options->beta, "weights: of exp(beta reward) / Z")->capture_default_str();
  command.add_option("--threshold", options->threshold, "weights: of the sparse ones (default: the 90th percentile)");
  command.add_option("--pretrain", options->pretrain,
                     "weights: CSV with columns image, prompt: rows that keep the model "
                     "as it was");
  command.add_option("--pretrain-weight", options->pretrain_weight, "weights: of each of these")->capture_default_str();
  command.add_option("--report", options->report, "weights: a report.json, for the card (default: the reward's)");
  command.add_flag("--copy", options->copy, "weights: copy the image files instead of linking them");
  command.add_option("--shard-size", options->shard_size, "webdataset: samples a shard")->capture_default_str();
  command.add_flag("--allow-missing", options->allow_missing, "Keep rows whose image has no file");
  command.add_flag("--overwrite", options->overwrite, "Replace a folder that is not empty");
  command.footer(
      "Examples:\n"
      "  imagerank export --data mine --to csv --out points.csv\n"
      "  imagerank export --data mine --to dpo --split train --out dpo.jsonl\n"
      "  imagerank export --data mine --to weights --reward mlp --beta 2 --out weighted\n"
      "  imagerank export --data mine --to webdataset --table rankings --out shards\n"
      "  imagerank export --to onnx --reward mine/rewards/first --out first.onnx\n"
      "  imagerank export --to onnx --reward pickscore --out pickscore.onnx");
  return [options](Terminal& terminal) { return run_export(*options, terminal); };
}

}  // namespace imagerank::cli
