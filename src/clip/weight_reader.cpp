#include "clip/weight_reader.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "core/fail.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/tensor_match.h"
#include "core/threads.h"

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

/// Where a parameter's numbers lie in the file.
struct Source {
  std::vector<std::pair<std::string, const TensorView*>> parts;  ///< and their names
  bool transposed = false;
};

/// Matches files and config completely: nothing missing, nothing over, every shape right. All that is wrong is told at
/// once.
class Matcher {
 public:
  explicit Matcher(const WeightTensors& weights) : weights_(weights), left_(weights.tensors(), "the config") {}

  std::map<std::string, Source> match(const std::vector<WeightEntry>& entries) {
    std::map<std::string, Source> sources;
    for (const WeightEntry& entry : entries) sources.emplace(entry.parameter, source_of(entry));
    left_.check(weights_.place(), /*all=*/true);
    return sources;
  }

 private:
  Source source_of(const WeightEntry& entry) {
    Source source;
    std::vector<std::int64_t> shape = entry.shape;
    if (is_open_clip(weights_.layout())) {
      std::string name = entry.open_clip;
      // A projection is a bare matrix there, unless it was made a linear layer, which lies the other way.
      source.transposed = entry.transposed_in_open_clip && !left_.has(name + ".weight");
      if (entry.transposed_in_open_clip && !source.transposed) name += ".weight";
      if (source.transposed) std::swap(shape[0], shape[1]);
      take(source, name, shape);
    } else {
      if (entry.hugging_face.size() > 1) shape[0] /= static_cast<std::int64_t>(entry.hugging_face.size());
      for (const std::string& name : entry.hugging_face) take(source, name, shape);
    }
    return source;
  }

  void take(Source& source, const std::string& name, const std::vector<std::int64_t>& expected) {
    if (const TensorView* const view = left_.take(name, expected)) source.parts.emplace_back(name, view);
  }

  const WeightTensors& weights_;
  TensorMatcher left_;
};

/// @param values  [rows, columns]
std::vector<float> transpose(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> result(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) result[c * rows + r] = values[r * columns + c];
  }
  return result;
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

struct WeightReader::State {
  ModelConfig config;
  WeightTensors weights;
  std::map<std::string, Source> sources;
  std::mutex mutex;
  std::map<std::string, std::string> digests;  ///< of the tensors that were read, by their names

  State(const ModelConfig& of, const std::filesystem::path& folder) : config(of), weights(folder) {}

  void add_digest(const std::string& name, const TensorView& view) {
    {
      const std::scoped_lock lock(mutex);
      if (digests.contains(name)) return;
    }
    std::string digest = sha256_hex(view.bytes);
    const std::scoped_lock lock(mutex);
    digests.emplace(name, std::move(digest));
  }
};

WeightReader::WeightReader(const ModelConfig& config, const std::filesystem::path& folder)
    : state_(std::make_unique<State>(config, folder)) {
  state_->sources = Matcher(state_->weights).match(list_weights(config));
}

WeightReader::WeightReader(const std::filesystem::path& folder)
    : state_(std::make_unique<State>(ModelConfig{}, folder)) {
  state_->config = load_model_config(folder, state_->weights);
  state_->sources = Matcher(state_->weights).match(list_weights(state_->config));
}

WeightReader::WeightReader(WeightReader&&) noexcept = default;
WeightReader& WeightReader::operator=(WeightReader&&) noexcept = default;
WeightReader::~WeightReader() = default;

const ModelConfig& WeightReader::config() const noexcept { return state_->config; }
WeightLayout WeightReader::layout() const noexcept { return state_->weights.layout(); }

std::vector<float> WeightReader::read(const std::string& parameter) const {
  const Source& source = state_->sources.at(parameter);
  std::vector<float> values;
  for (const auto& [name, view] : source.parts) {
    std::vector<float> part = finite_floats(*view, name, state_->weights.place());
    state_->add_digest(name, *view);  // now that its pages are there
    if (!view->is_copy) forget_pages(view->bytes);
    if (values.empty()) {
      values = std::move(part);
    } else {
      values.insert(values.end(), part.begin(), part.end());
    }
  }
  if (!source.transposed) return values;
  const std::vector<std::int64_t>& shape = source.parts.front().second->shape;
  return transpose(values, static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1]));
}

std::string WeightReader::digest(std::size_t threads) const {
  const std::map<std::string, const TensorView*>& tensors = state_->weights.tensors();
  std::vector<std::pair<std::string, const TensorView*>> unread;
  for (const auto& tensor : tensors) {
    if (!state_->digests.contains(tensor.first)) unread.emplace_back(tensor);
  }
  share_range(unread.size(), 1, threads, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const auto& [name, view] = unread[i];
      state_->add_digest(name, *view);
      if (!view->is_copy) forget_pages(view->bytes);
    }
  });
  Digest whole;
  for (const auto& [name, view] : tensors) {
    whole.update(
        fmt::format("{} {} {} {}\n", name, type_name(view->type), shape_text(view->shape), state_->digests.at(name)));
  }
  return whole.hex_digest();
}

}  // namespace imagerank::clip
