#include <fmt/format.h>

#include <ostream>

#include "cli/command_export.h"
#include "cli/encoder_options.h"
#include "clip/encoder.h"
#include "core/fail.h"
#include "exports/rows.h"
#include "onnx/export.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// A name below the workspace's rewards, or a folder.
std::filesystem::path reward_folder(const ExportOptions& options) {
  if (options.data.empty()) return options.reward;
  const auto named = workspace::Workspace::open(options.data).reward_dir(options.reward);
  return std::filesystem::exists(named / "reward.json") ? named : std::filesystem::path(options.reward);
}

/// The model at `model`; with a reward it must be the encoder that it was trained on.
onnx::Source load_source(const ExportOptions& options, Terminal& terminal) {
  onnx::Source source;
  std::string model = options.model;
  clip::EncoderOptions encoder;
  encoder.tokenizer_dir = options.tokenizer;
  if (!options.reward.empty()) {
    const std::filesystem::path folder = reward_folder(options);
    source.reward = reward::Reward::load(folder);
    if (const std::string problem = source.reward->vectors_problem(); !problem.empty()) {
      fail(ErrorCode::kInvalidArgument, "--reward: expected one trained head for ONNX, found '{}': {}", options.reward,
           problem);
    }
    source.reward_name = std::filesystem::absolute(folder).lexically_normal().filename().string();
    if (!folder.has_filename()) source.reward_name = folder.parent_path().filename().string();
    const nlohmann::json& record = source.reward->record();
    const bool same_place = model.empty() || model == source.reward->model();
    if (model.empty()) model = source.reward->model();
    if (options.tokenizer.empty() && same_place) encoder.tokenizer_dir = record.value("tokenizer", "");
    encoder.precision = clip::parse_precision(record.value("precision", "fp32"));
  }
  if (model.empty()) fail(ErrorCode::kInvalidArgument, "--model: expected a model, or --reward that names one");
  source.model = clip::load_model_info(model);
  source.encoder = clip::encoder_name(model, encoder);
  if (source.reward && source.encoder != source.reward->encoder()) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing",
         options.reward, source.reward->encoder(), model, source.encoder);
  }
  if (encoder.precision != clip::Precision::kFp32) {
    terminal.note(fmt::format("the reward was trained on {} vectors, the graphs compute float32 ones",
                              source.reward->record().value("precision", "")));
  }
  if (source.model.config.untrained) terminal.note("random weights: what the graphs give says nothing about images");
  if (!source.model.has_preprocessing)
    terminal.note("no preprocessor_config.json beside the model: the graphs do not say how images are prepared");
  return source;
}

}  // namespace

int run_export_onnx(const ExportOptions& options, Terminal& terminal) {
  const bool one_file = options.out.extension() == ".onnx";
  std::error_code error;
  if (one_file && std::filesystem::is_directory(options.out, error)) {
    fail(ErrorCode::kInvalidArgument, "--out {}: expected a file, found a folder; without .onnx it takes a folder",
         options.out.string());
  }
  const onnx::Source source = load_source(options, terminal);
  std::vector<std::filesystem::path> files;
  if (one_file) {
    files = onnx::write_whole(source, options.out, terminal.context());
  } else {
    exports::AtomicFolder folder(options.out, options.overwrite);
    files = onnx::write_parts(source, folder.path(), terminal.context());
    for (std::filesystem::path& file : files) file = options.out / file.filename();
    folder.commit();
  }
  nlohmann::ordered_json object = {{"rows", files.size()},     {"skipped", nlohmann::ordered_json::object()},
                                   {"to", options.to},         {"table", nullptr},
                                   {"files", files.size()},    {"out", options.out.string()},
                                   {"encoder", source.encoder}};
  object["reward"] = source.reward ? nlohmann::ordered_json(source.reward_name) : nlohmann::ordered_json();
  object["paths"] = nlohmann::ordered_json::array();
  for (const std::filesystem::path& file : files) object["paths"].push_back(file.string());
  terminal.result(object, [&](std::ostream& out) {
    out << fmt::format("encoder   {}\n", source.encoder);
    if (source.reward) out << fmt::format("reward    {}\n", source.reward_name);
    for (const std::filesystem::path& file : files)
      out << fmt::format("file      {}, {} bytes\n", file.string(), with_thousands(std::filesystem::file_size(file)));
  });
  return 0;
}

}  // namespace imagerank::cli
