#include "clip/models.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "clip/derived_config.h"
#include "clip/published.h"
#include "clip/weights.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "hub_cache/environment.h"

namespace imagerank::clip {
namespace {

constexpr const char* kBuiltinSample = "builtin/sample";

/// Where the sample may lie, best first: beside an installed program, then the source tree it was built from.
std::vector<std::filesystem::path> sample_candidates() {
  if (const char* assets = std::getenv("IMAGERANK_ASSETS"); assets != nullptr && *assets != '\0') {
    return {std::filesystem::path(assets) / "sample"};
  }
  std::vector<std::filesystem::path> candidates;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) candidates.push_back((program.parent_path() / "../share/imagerank/models/sample").lexically_normal());
  candidates.emplace_back(std::filesystem::path(IMAGERANK_SOURCE_ASSETS) / "sample");
  return candidates;
}

std::string join_paths(const std::vector<std::filesystem::path>& paths) {
  std::string text;
  for (const std::filesystem::path& path : paths) text += (text.empty() ? "" : ", ") + path.string();
  return text;
}

/// Where a folder's weights are, if it has any: preprocessing needs none.
std::optional<std::filesystem::path> weights_of(const std::filesystem::path& folder) {
  try {
    return find_weight_files(folder).place;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) return std::nullopt;
    throw;
  }
}

std::string pull_arguments(const HubName& name) {
  return name.revision == "main" ? name.repository : fmt::format("{} --revision {}", name.repository, name.revision);
}

[[noreturn]] void fail_not_pulled(const std::string& model, const HubName& name) {
  const std::string cache = hub_cache::cache_folder(hub_cache::process_environment()).string();
  if (find_published(name.repository) != nullptr) {
    fail(ErrorCode::kNotFound, "model {}: not pulled yet, expected it in {}; `imagerank models pull {}` brings it",
         model, cache, pull_arguments(name));
  }
  const std::string near = suggestion(model);
  fail(ErrorCode::kNotFound,
       "model {}: expected {}, a folder, or a hub id that was pulled into {}, found none of them{}", model,
       kBuiltinSample, cache,
       near.empty() ? fmt::format("; `imagerank models pull {}` brings it if it is a hub id", pull_arguments(name))
                    : near);
}

/// Whole ones: a link of the cache whose blob is not there yet leads nowhere.
bool holds_weights(const std::filesystem::path& snapshot) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(snapshot, error)) {
    if (is_weight_file(entry.path().filename().string()) && entry.is_regular_file(error)) return true;
  }
  return false;
}

}  // namespace

std::filesystem::path resolve_model(const std::string& model, bool needs_weights) {
  if (model == kBuiltinSample) {
    const std::vector<std::filesystem::path> candidates = sample_candidates();
    for (const std::filesystem::path& candidate : candidates) {
      if (std::filesystem::exists(candidate / "config.json")) return candidate;
    }
    fail(ErrorCode::kNotFound, "model {}: expected its folder at {}, found none", model, join_paths(candidates));
  }
  if (model.empty()) fail(ErrorCode::kNotFound, "model: expected {} or a folder, found an empty name", kBuiltinSample);
  std::error_code error;
  if (std::filesystem::is_directory(model, error)) return model;
  if (is_weight_file(model) && std::filesystem::is_regular_file(model, error)) return model;
  const std::optional<HubName> name = parse_hub_name(model);
  if (!name || std::filesystem::exists(model, error)) {
    fail(ErrorCode::kNotFound,
         "model {}: expected {}, a hub id or a folder with config.json and model.safetensors, found {}{}", model,
         kBuiltinSample, std::filesystem::exists(model, error) ? "a file" : "no such folder", suggestion(model));
  }
  const std::optional<std::filesystem::path> snapshot = find_cached_model(*name);
  if (!snapshot) fail_not_pulled(model, *name);
  if (needs_weights && !holds_weights(*snapshot)) {
    fail(ErrorCode::kNotFound, "model {}: expected weights in {}, found none; `imagerank models pull {}` brings them",
         model, snapshot->string(), pull_arguments(*name));
  }
  return *snapshot;
}

std::filesystem::path resolve_weights(const std::string& model) {
  const std::filesystem::path place = resolve_model(model, /*needs_weights=*/true);
  if (std::filesystem::is_directory(place)) return std::filesystem::canonical(place);
  return std::filesystem::canonical(place.has_parent_path() ? place.parent_path() : ".") / place.filename();
}

std::vector<std::string> find_tokenizer_files(const std::filesystem::path& folder) {
  const std::array<std::vector<std::string>, 3> choices = {
      {{"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"bpe_simple_vocab_16e6.txt.gz"}}};
  for (const std::vector<std::string>& names : choices) {
    if (std::ranges::all_of(names, [&](const std::string& name) { return std::filesystem::exists(folder / name); }))
      return names;
  }
  return {};
}

ModelInfo load_model_info(const std::string& model) {
  ModelInfo info;
  info.name = model;
  info.folder = resolve_weights(model);
  const WeightTensors weights(info.folder);
  info.config = load_model_config(info.folder, weights);
  info.weights = weights.place();
  info.layout = layout_name(weights.layout());
  const std::vector<std::string> tokenizer = find_tokenizer_files(info.folder);
  if (!tokenizer.empty()) info.tokenizer = tokenizer.front();
  try {
    info.preprocessing = load_preprocessing(info.folder);
    info.has_preprocessing = true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  return info;
}

images::PreprocessOptions load_preprocessing(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, ignored); };
  if (has("preprocessor_config.json")) return images::load_preprocess_options(folder);
  // A scorer's own way with images goes before what its architecture is used with elsewhere.
  const std::optional<std::filesystem::path> weights = weights_of(folder);
  const bool hps = weights && is_hps_v2(*weights);
  if (!weights || (!hps && (has("open_clip_config.json") || has("config.json")))) {
    return images::load_preprocess_options(folder);
  }
  images::PreprocessOptions options;
  const ModelConfig config = load_model_config(folder);  // refuses weights that are neither OpenAI's nor HPSv2's
  options.crop_size = options.resize_shortest_edge = static_cast<std::int32_t>(config.image_size);
  if (hps) {
    options.resize = images::Resize::kLongestEdge;
    options.antialias = false;  // as torchvision was when it was published
  }
  return options;
}

images::PreprocessOptions load_preprocessing(const std::filesystem::path& folder, const ModelConfig& config,
                                             const InputRules& rules) {
  images::PreprocessOptions options;
  try {
    options = load_preprocessing(folder);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || !rules.changes_images()) throw;
    options.crop_size = options.resize_shortest_edge = static_cast<std::int32_t>(config.image_size);
  }
  options.resize = rules.resize.value_or(options.resize);
  options.crop_rounding = rules.crop_rounding.value_or(options.crop_rounding);
  options.antialias = rules.antialias.value_or(options.antialias);
  return options;
}

std::vector<ModelInfo> list_builtin_models() {
  std::vector<ModelInfo> models;
  for (const std::filesystem::path& candidate : sample_candidates()) {
    if (!std::filesystem::exists(candidate / "config.json")) continue;
    models.push_back(load_model_info(kBuiltinSample));
    break;
  }
  return models;
}

void save_preprocess_options(const images::PreprocessOptions& options, const std::filesystem::path& folder) {
  nlohmann::ordered_json root = {
      {"do_convert_rgb", true},
      {"do_resize", true},
      {"size", {{"shortest_edge", options.resize_shortest_edge}}},
      {"resample", 3},
      {"do_center_crop", true},
      {"crop_size", {{"height", options.crop_size}, {"width", options.crop_size}}},
      {"do_rescale", true},
      {"rescale_factor", 1.0 / 255.0},
      {"do_normalize", true},
      {"image_mean", options.mean},
      {"image_std", options.std},
  };
  if (options.crop_rounding == images::CropRounding::kDown) root["image_processor_type"] = "CLIPImageProcessor";
  if (options.exif_orientation) root["imagerank_exif_orientation"] = true;
  write_file_atomically(folder / "preprocessor_config.json", root.dump(1) + "\n");
}

void write_random_model(ModelConfig config, const std::filesystem::path& folder, std::uint64_t seed,
                        const std::optional<std::filesystem::path>& tokenizer_folder) {
  for (const char* name : {"config.json", "model.safetensors", "open_clip_model.safetensors"}) {
    if (std::filesystem::exists(folder / name)) {
      fail(ErrorCode::kRefused, "{}: expected a folder without a model, found {}", folder.string(), name);
    }
  }
  std::vector<std::string> tokenizer_files;
  if (tokenizer_folder) {
    const Tokenizer tokenizer = Tokenizer::load(*tokenizer_folder);
    config.vocabulary_size = tokenizer.vocabulary_size();
    config.bos_token_id = tokenizer.start_of_text();
    config.eos_token_id = tokenizer.end_of_text();
    tokenizer_files = find_tokenizer_files(*tokenizer_folder);
  }
  config.untrained = true;
  ClipModel model(config);
  initialize_weights(model, seed);
  for (const std::string& name : tokenizer_files)
    write_file_atomically(folder / name, load_file(*tokenizer_folder / name));
  images::PreprocessOptions preprocessing;
  preprocessing.crop_size = preprocessing.resize_shortest_edge = static_cast<std::int32_t>(config.image_size);
  preprocessing.crop_rounding = images::CropRounding::kDown;  // it is written in Hugging Face's layout
  save_preprocess_options(preprocessing, folder);
  save_weights(model, folder);
  save_model_config(config, folder);  // last: a folder that was left half written is no model
}

}  // namespace imagerank::clip
