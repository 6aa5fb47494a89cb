#include "clip/derived_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/fail.h"

namespace imagerank::clip {
namespace {

/// Sizes of the weights' tensors.
class Shapes {
 public:
  explicit Shapes(const WeightTensors& weights) : weights_(weights) {}

  /// @throws Error kCorruptData unless there is such a tensor of `axes` axes.
  [[nodiscard]] std::int64_t extent(const std::string& name, std::size_t axes, std::size_t axis) const {
    const auto at = weights_.tensors().find(name);
    if (at == weights_.tensors().end() || at->second->shape.size() != axes) {
      fail(ErrorCode::kCorruptData, "{}: tensor '{}': expected {} axes, from which the model's sizes follow, found {}",
           weights_.place().string(), name, axes,
           at == weights_.tensors().end() ? "no such tensor" : std::to_string(at->second->shape.size()));
    }
    return at->second->shape[axis];
  }
  /// Layers of a tower whose blocks' names begin so.
  [[nodiscard]] std::int64_t layers(const std::string& prefix) const {
    std::int64_t count = 0;
    while (weights_.tensors().contains(prefix + std::to_string(count) + ".ln_1.weight")) ++count;
    return count;
  }

 private:
  const WeightTensors& weights_;
};

}  // namespace

bool is_hps_v2(const std::filesystem::path& weights) noexcept {
  return weights.filename().native().starts_with("HPS_v2");
}

ModelConfig derive_model_config(const std::filesystem::path& folder, const WeightTensors& weights) {
  const bool open_ai = weights.layout() == WeightLayout::kOpenAi;
  if (!open_ai && !is_hps_v2(weights.place())) {
    fail(ErrorCode::kNotFound,
         "{}: expected config.json or open_clip_config.json beside the weights, found neither; their shapes do not say "
         "the activation and the heads",
         folder.string());
  }
  const Shapes shapes(weights);
  ModelConfig config;
  config.projection_dim = shapes.extent("text_projection", 2, 1);
  config.vision.width = shapes.extent("visual.conv1.weight", 4, 0);
  config.patch_size = shapes.extent("visual.conv1.weight", 4, 3);
  config.vision.layers = shapes.layers("visual.transformer.resblocks.");
  config.vision.mlp_width = shapes.extent("visual.transformer.resblocks.0.mlp.c_fc.weight", 2, 0);
  const auto patches = static_cast<double>(shapes.extent("visual.positional_embedding", 2, 0) - 1);
  const auto side = std::llround(std::sqrt(std::max(patches, 0.0)));
  config.image_size = side * std::min<std::int64_t>(config.patch_size, 1 << 16);
  config.text.width = shapes.extent("ln_final.weight", 1, 0);
  config.text.layers = shapes.layers("transformer.resblocks.");
  config.text.mlp_width = shapes.extent("transformer.resblocks.0.mlp.c_fc.weight", 2, 0);
  config.context_length = shapes.extent("positional_embedding", 2, 0);
  config.vocabulary_size = shapes.extent("token_embedding.weight", 2, 0);
  config.bos_token_id = config.vocabulary_size - 2;
  config.eos_token_id = config.vocabulary_size - 1;
  config.pooling = TextPooling::kArgmax;
  constexpr std::int64_t kHeadWidth = 64, kHpsVisionHeads = 16;
  config.vision.heads = open_ai ? config.vision.width / kHeadWidth : kHpsVisionHeads;
  config.text.heads = config.text.width / kHeadWidth;
  config.vision.activation = config.text.activation = open_ai ? Activation::kQuickGelu : Activation::kGelu;
  return config;
}

}  // namespace imagerank::clip
