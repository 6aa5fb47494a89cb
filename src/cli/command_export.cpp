#include "cli/command_export.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
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
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(workspace.root() / "embeddings", error)) {
    if (entry.is_directory(error)) found.push_back(entry.path().filename().string());
  }
  std::ranges::sort(found);
  if (found.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected vectors, found none; `imagerank encode` makes them",
         (workspace.root() / "embeddings").string());
  }
  if (found.size() > 1) fail(ErrorCode::kInvalidArgument, "--encoder: expected one of {}", fmt::join(found, ", "));
  return found.front();
}

exports::ExportCounts export_to(const ExportOptions& options, exports::ExportSettings settings,
                                const workspace::Workspace& workspace, const RunContext& context) {
  if (options.to == "csv") return exports::export_csv(workspace, settings, options.out, context);
  if (options.to == "parquet") return exports::export_parquet(workspace, settings, options.out, context);
  if (options.to == "dpo") return exports::export_dpo(workspace, settings, options.out, context);
  if (options.to == "webdataset") return exports::export_webdataset(workspace, settings, options.out, context);
  return exports::export_clip_retrieval(workspace, encoder_of(options, workspace), settings, options.out, context);
}

void check(const ExportOptions& options) {
  const bool known = options.to == "csv" || options.to == "parquet" || options.to == "dpo" ||
                     options.to == "webdataset" || options.to == "clip-retrieval" || options.to == "onnx";
  if (!known) {
    fail(ErrorCode::kInvalidArgument,
         "--to: expected csv, parquet, dpo, webdataset, clip-retrieval or onnx, found '{}'", options.to);
  }
  const bool onnx = options.to == "onnx";
  const bool vectors = options.to == "clip-retrieval";
  const auto only_with = [&](bool fits, bool given, const char* option, const char* expected) {
    if (given && !fits)
      fail(ErrorCode::kInvalidArgument, "{}: expected with {}, found --to {}", option, expected, options.to);
  };
  only_with(vectors, !options.encoder.empty(), "--encoder", "--to clip-retrieval");
  only_with(vectors || onnx, !options.reward.empty(), "--reward", "--to clip-retrieval or onnx");
  only_with(onnx, !options.model.empty(), "--model", "--to onnx");
  only_with(onnx, !options.tokenizer.empty(), "--tokenizer", "--to onnx");
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
  const nlohmann::ordered_json object = {{"rows", counts.rows},   {"skipped", skipped},
                                         {"to", options.to},      {"table", settings.table},
                                         {"files", counts.files}, {"out", options.out.string()}};
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
  command.add_option("--to", options->to, "csv | parquet | dpo | webdataset | clip-retrieval | onnx")->required();
  command.add_option("--out", options->out, "The file, or the folder of webdataset, clip-retrieval and onnx")
      ->required();
  command.add_option("--table", options->table, "The table (default: pairs for dpo, otherwise points)");
  command.add_option("--split", options->split, "Rows of this split only, such as train");
  command.add_option("--encoder", options->encoder, "clip-retrieval: a folder of embeddings/ (default: the only one)");
  command.add_option("--reward", options->reward,
                     "clip-retrieval: the encoder that this reward was trained on; onnx: this reward's head too");
  command.add_option("--model", options->model, "onnx: a model (default: the reward's own)");
  command.add_option("--tokenizer", options->tokenizer, "onnx: a folder, if the reward's encoder took one");
  command.add_option("--shard-size", options->shard_size, "webdataset: samples a shard")->capture_default_str();
  command.add_flag("--allow-missing", options->allow_missing, "Keep rows whose image has no file");
  command.add_flag("--overwrite", options->overwrite, "Replace a folder that is not empty");
  command.footer(
      "Examples:\n"
      "  imagerank export --data mine --to csv --out points.csv\n"
      "  imagerank export --data mine --to dpo --split train --out dpo.jsonl\n"
      "  imagerank export --data mine --to webdataset --table rankings --out shards\n"
      "  imagerank export --to onnx --reward mine/rewards/first --out first.onnx");
  return [options](Terminal& terminal) { return run_export(*options, terminal); };
}

}  // namespace imagerank::cli
