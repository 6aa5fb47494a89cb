#include "clip/weight_reader.h"

#include <map>
#include <optional>

#include "core/fail.h"
#include "core/mapped_file.h"
#include "core/safetensors.h"

namespace imagerank::clip {
namespace {

void list_layers(std::vector<WeightEntry>& entries, const std::string& tower, const TowerConfig& config) {
  const std::int64_t w = config.width, m = config.mlp_width;
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string mine = fmt::format("{}.layer{}.", tower, i);
    const std::string theirs = fmt::format("{}_model.encoder.layers.{}.", tower, i);
    const std::string open = fmt::format("{}transformer.resblocks.{}.", tower == "vision" ? "visual." : "", i);
    for (const std::string kind : {"weight", "bias"}) {
      const auto shape = [&](std::int64_t rows, std::int64_t columns) {
        return kind == "weight" ? std::vector{rows, columns} : std::vector{rows};
      };
      const auto attention = [&](const char* name) { return theirs + "self_attn." + name + "_proj." + kind; };
      entries.push_back({mine + "layer_norm1_" + kind, {w}, {theirs + "layer_norm1." + kind}, open + "ln_1." + kind});
      entries.push_back({mine + "qkv_" + kind,
                         shape(3 * w, w),
                         {attention("q"), attention("k"), attention("v")},
                         open + "attn.in_proj_" + kind});
      entries.push_back({mine + "out_" + kind, shape(w, w), {attention("out")}, open + "attn.out_proj." + kind});
      entries.push_back({mine + "layer_norm2_" + kind, {w}, {theirs + "layer_norm2." + kind}, open + "ln_2." + kind});
      entries.push_back({mine + "fc1_" + kind, shape(m, w), {theirs + "mlp.fc1." + kind}, open + "mlp.c_fc." + kind});
      entries.push_back({mine + "fc2_" + kind, shape(w, m), {theirs + "mlp.fc2." + kind}, open + "mlp.c_proj." + kind});
    }
  }
}

std::string shape_text(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

/// The name without what wrappers put before it: DistributedDataParallel's "module.", CustomTextCLIP's "text.".
std::string bare_name(std::string_view name) {
  for (const std::string_view prefix : {"module.", "text."}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return std::string(name);
}

/// Buffers and OpenAI's constants, which hold nothing learned.
bool is_ignored(const std::string& name) {
  return name.ends_with("position_ids") || name == "attn_mask" || name == "input_resolution" ||
         name == "context_length" || name == "vocab_size";
}

using Tensors = std::map<std::string, const TensorView*>;

Tensors bare_tensors(const SafetensorsFile& file, const std::filesystem::path& path) {
  Tensors tensors;
  for (const auto& [name, view] : file.tensors()) {
    const std::string bare = bare_name(name);
    if (is_ignored(bare)) continue;
    if (!tensors.emplace(bare, &view).second) {
      fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected once, found with and without a prefix", path.string(),
           bare);
    }
  }
  return tensors;
}

std::optional<WeightLayout> find_layout(const SafetensorsFile& file) {
  for (const auto& [name, view] : file.tensors()) {
    const std::string bare = bare_name(name);
    if (bare.starts_with("visual.")) return WeightLayout::kOpenClip;
    if (bare.starts_with("vision_model.")) return WeightLayout::kHuggingFace;
  }
  return std::nullopt;
}

/// Removes `name` from `left` after checking it against what the config wants.
const TensorView& take(Tensors& left, const std::string& name, std::vector<std::int64_t> expected,
                       const std::filesystem::path& path) {
  const auto at = left.find(name);
  if (at == left.end()) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected {}, found no such tensor", path.string(), name,
         shape_text(expected));
  }
  const TensorView& view = *at->second;
  const bool scalar = expected.empty() && view.element_count() == 1;  // some files write logit_scale as [1]
  if (view.shape != expected && !scalar) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected {} as the config says, found {}", path.string(), name,
         shape_text(expected), shape_text(view.shape));
  }
  if (view.type != TensorType::kF16 && view.type != TensorType::kBF16 && view.type != TensorType::kF32 &&
      view.type != TensorType::kF64) {
    fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected F16, BF16 or F32, found integers", path.string(), name);
  }
  left.erase(at);
  return view;
}

/// Where a parameter's numbers lie in the file.
struct Source {
  std::vector<const TensorView*> parts;
  bool transposed = false;
};

/// Matches file and config completely: nothing missing, nothing over, every shape right.
std::map<std::string, Source> match_tensors(const std::vector<WeightEntry>& entries, const SafetensorsFile& file,
                                            const WeightFile& weights) {
  Tensors left = bare_tensors(file, weights.path);
  std::map<std::string, Source> sources;
  for (const WeightEntry& entry : entries) {
    Source source;
    if (weights.layout == WeightLayout::kOpenClip) {
      std::vector<std::int64_t> shape = entry.shape;
      source.transposed = entry.transposed_in_open_clip;
      if (source.transposed) std::swap(shape[0], shape[1]);
      source.parts.push_back(&take(left, entry.open_clip, shape, weights.path));
    } else {
      std::vector<std::int64_t> shape = entry.shape;
      if (entry.hugging_face.size() > 1) shape[0] /= static_cast<std::int64_t>(entry.hugging_face.size());
      for (const std::string& name : entry.hugging_face) source.parts.push_back(&take(left, name, shape, weights.path));
    }
    sources.emplace(entry.parameter, std::move(source));
  }
  if (!left.empty()) {
    fail(ErrorCode::kCorruptData,
         "{}: tensor '{}': expected no tensor of this name in the config's model, found {} ({} such tensors)",
         weights.path.string(), left.begin()->first, shape_text(left.begin()->second->shape), left.size());
  }
  return sources;
}

/// @param values  [rows, columns]
std::vector<float> transpose(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> result(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) result[c * rows + r] = values[r * columns + c];
  }
  return result;
}

ModelConfig config_of(const std::filesystem::path& folder) {
  ModelConfig config = load_model_config(folder);
  if (find_weight_file(folder).layout == WeightLayout::kOpenClip) config.pooling = TextPooling::kArgmax;
  return config;
}

}  // namespace

std::vector<WeightEntry> list_weights(const ModelConfig& config) {
  const std::int64_t vw = config.vision.width, tw = config.text.width, e = config.projection_dim, p = config.patch_size;
  const std::string vision = "vision_model.embeddings.", text = "text_model.embeddings.";
  std::vector<WeightEntry> entries = {
      {"logit_scale", {}, {"logit_scale"}, "logit_scale"},
      {"vision.class_embedding", {vw}, {vision + "class_embedding"}, "visual.class_embedding"},
      {"vision.patch_embedding", {vw, 3, p, p}, {vision + "patch_embedding.weight"}, "visual.conv1.weight"},
      {"vision.position_embedding",
       {config.vision_tokens(), vw},
       {vision + "position_embedding.weight"},
       "visual.positional_embedding"},
      {"vision.projection", {e, vw}, {"visual_projection.weight"}, "visual.proj", true},
      {"text.token_embedding",
       {config.vocabulary_size, tw},
       {text + "token_embedding.weight"},
       "token_embedding.weight"},
      {"text.position_embedding",
       {config.context_length, tw},
       {text + "position_embedding.weight"},
       "positional_embedding"},
      {"text.projection", {e, tw}, {"text_projection.weight"}, "text_projection", true},
  };
  for (const std::string kind : {"weight", "bias"}) {
    entries.push_back(
        {"vision.pre_norm_" + kind, {vw}, {"vision_model.pre_layrnorm." + kind}, "visual.ln_pre." + kind});
    entries.push_back(
        {"vision.post_norm_" + kind, {vw}, {"vision_model.post_layernorm." + kind}, "visual.ln_post." + kind});
    entries.push_back({"text.final_norm_" + kind, {tw}, {"text_model.final_layer_norm." + kind}, "ln_final." + kind});
  }
  list_layers(entries, "vision", config.vision);
  list_layers(entries, "text", config.text);
  return entries;
}

WeightFile find_weight_file(const std::filesystem::path& folder) {
  for (const char* name : {"model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"}) {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path)) continue;
    const std::optional<WeightLayout> layout = find_layout(SafetensorsFile(path));
    if (!layout)
      fail(ErrorCode::kCorruptData, "{}: expected CLIP's tensors (vision_model.* or visual.*), found none",
           path.string());
    return {path, *layout};
  }
  fail(ErrorCode::kNotFound,
       "{}: expected model.safetensors or open_clip_model.safetensors in a model folder, found neither",
       folder.string());
}

struct WeightReader::State {
  ModelConfig config;
  SafetensorsFile file;
  std::map<std::string, Source> sources;
};

WeightReader::WeightReader(const ModelConfig& config, const std::filesystem::path& folder) {
  const WeightFile weights = find_weight_file(folder);
  state_ = std::make_unique<State>(State{config, SafetensorsFile(weights.path), {}});
  state_->sources = match_tensors(list_weights(config), state_->file, weights);
}

WeightReader::WeightReader(const std::filesystem::path& folder) : WeightReader(config_of(folder), folder) {}
WeightReader::WeightReader(WeightReader&&) noexcept = default;
WeightReader& WeightReader::operator=(WeightReader&&) noexcept = default;
WeightReader::~WeightReader() = default;

const ModelConfig& WeightReader::config() const noexcept { return state_->config; }

std::vector<float> WeightReader::read(const std::string& parameter) const {
  const Source& source = state_->sources.at(parameter);
  std::vector<float> values = source.parts.front()->to_float();
  for (std::size_t i = 1; i < source.parts.size(); ++i) {
    const std::vector<float> part = source.parts[i]->to_float();
    values.insert(values.end(), part.begin(), part.end());
  }
  for (const TensorView* part : source.parts) forget_pages(part->bytes);
  if (!source.transposed) return values;
  const std::vector<std::int64_t>& shape = source.parts.front()->shape;
  return transpose(values, static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1]));
}

}  // namespace imagerank::clip
