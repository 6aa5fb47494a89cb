#include <fmt/format.h>

#include <ostream>

#include "cli/command_export.h"
#include "cli/scored_items.h"
#include "clip/encoder.h"
#include "clip/engine.h"
#include "core/fail.h"
#include "exports/rows.h"
#include "onnx/export.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank::cli {
namespace {

reward::Reward load_reward(const ExportOptions& options) {
  const std::filesystem::path place = reward_folder(options.reward, options.data);
  auto reward = reward::Reward::load(place, {.model = options.model, .tokenizer = options.tokenizer});
  if (reward.head() == "mixture") {
    fail(ErrorCode::kUnavailable,
         "--reward {}: expected one that train made, a published scorer or a head's file, found a mixture: its rewards "
         "have graphs, one by one",
         options.reward);
  }
  if (const std::string problem = reward.vectors_problem(); !problem.empty()) {
    fail(ErrorCode::kUnavailable, "--reward {}: expected one that scores vectors, but {}", options.reward, problem);
  }
  if (reward.model().empty()) {
    fail(ErrorCode::kInvalidArgument, "--reward {}: it does not say where its encoder is; expected --model",
         options.reward);
  }
  return reward;
}

/// As it is known: a folder's name, a file's, a scorer's.
std::string name_of(const std::filesystem::path& reward) {
  const std::filesystem::path place = std::filesystem::absolute(reward).lexically_normal();
  return (place.has_filename() ? place : place.parent_path()).filename().string();
}

/// @throws Error if the vectors are others than the reward takes.
void check_encoder(const onnx::Source& source, const ExportOptions& options, const std::string& model) {
  const reward::EncoderNeed& need = source.reward->needs().front();
  if (!need.encoder.empty() && source.encoder != need.encoder) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing",
         options.reward, need.encoder, model, source.encoder);
  }
  if (static_cast<std::size_t>(source.model.config.projection_dim) != need.dim) {
    fail(ErrorCode::kCorruptData, "reward {}: takes vectors of dimension {}, its encoder gives {}", options.reward,
         need.dim, source.model.config.projection_dim);
  }
}

/// The model at --model, or the reward's own, which must be the encoder that it was trained on.
onnx::Source load_source(const ExportOptions& options, Terminal& terminal) {
  onnx::Source source;
  std::string model = options.model;
  clip::EncoderOptions encoder;
  encoder.tokenizer_dir = options.tokenizer;
  if (!options.reward.empty()) {
    source.reward = load_reward(options);
    source.reward_name = name_of(options.reward);
    const reward::EncoderNeed& need = source.reward->needs().front();
    model = need.model;
    encoder = scoring::whole_options(need);
  }
  if (model.empty()) fail(ErrorCode::kInvalidArgument, "--model: expected a model, or --reward that names one");
  source.model = clip::load_model_info(model);
  source.encoder = clip::encoder_name(model, encoder);
  source.text_prefix = encoder.rules.text_prefix;
  source.text_cleaning = encoder.text_cleaning;
  if (encoder.rules.changes_images()) {
    source.model.preprocessing = clip::load_preprocessing(source.model.folder, source.model.config, encoder.rules);
    source.model.has_preprocessing = true;
  }
  if (source.reward) check_encoder(source, options, model);
  if (encoder.precision != clip::Precision::kFp32) {
    terminal.note(fmt::format("the reward was trained on {} vectors, the graphs compute float32 ones",
                              clip::precision_name(encoder.precision)));
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
