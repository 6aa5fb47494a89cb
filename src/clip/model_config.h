#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace imagerank::clip {

enum class Activation {
  kQuickGelu,  ///< x * sigmoid(1.702 x)
  kGelu,       ///< x * Phi(x), by erf
};

/// Which token's row is a text's vector.
enum class TextPooling {
  kFirstEos,  ///< the first token equal to eos_token_id
  kArgmax,    ///< the first token of the largest id: open_clip, OpenAI, and Hugging Face configs with eos_token_id 2
};

/// One pre-norm transformer.
struct TowerConfig {
  std::int64_t width = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t mlp_width = 0;
  Activation activation = Activation::kQuickGelu;
  double layer_norm_eps = 1e-5;
};

/// The shape of a CLIP model, as a Hugging Face config.json gives it.
struct ModelConfig {
  TowerConfig vision;
  std::int64_t image_size = 224;
  std::int64_t patch_size = 32;
  TowerConfig text;
  std::int64_t vocabulary_size = 49408;
  std::int64_t context_length = 77;
  std::int64_t projection_dim = 512;
  std::int64_t bos_token_id = 49406;
  std::int64_t eos_token_id = 49407;
  TextPooling pooling = TextPooling::kFirstEos;
  double logit_scale_init = 2.6592;  ///< ln(1 / 0.07)
  bool untrained = false;            ///< "imagerank_untrained": random weights

  /// Tokens of an image: its patches and the class token.
  [[nodiscard]] std::int64_t vision_tokens() const noexcept {
    return (image_size / patch_size) * (image_size / patch_size) + 1;
  }
  /// Numbers in both towers, projections and logit_scale.
  [[nodiscard]] std::int64_t parameter_count() const noexcept;
  /// @throws Error kInvalidArgument, naming the field: not positive, absurdly large, width not divisible by heads, ...
  void validate() const;
};

class WeightTensors;

/// Reads folder/config.json (Hugging Face), else folder/open_clip_config.json. Without either, OpenAI's archives and
/// HPSv2's checkpoints (HPS_v2*) are known by their weights' shapes. Not checked against the weights here (WeightReader
/// is), whose layout also decides on the pooling: open_clip's own pools by kArgmax.
/// @throws Error kNotFound, kCorruptData naming the file and field, kUnavailable for a tower that is no plain ViT.
[[nodiscard]] ModelConfig load_model_config(const std::filesystem::path& folder);
/// The same for a folder whose weights are open.
[[nodiscard]] ModelConfig load_model_config(const std::filesystem::path& folder, const WeightTensors& weights);

/// Writes folder/config.json, as Hugging Face's CLIPModel reads it. Creates the folder.
/// pooling kArgmax is written as eos_token_id 2, Hugging Face's sign for it.
void save_model_config(const ModelConfig& config, const std::filesystem::path& folder);

/// A published architecture by its short name: "b32", "b16", "l14", "l14-336", "h14", "g14", or "tiny" (64 px, for
/// tests), with CLIP's vocabulary. @throws Error kInvalidArgument, listing the names.
[[nodiscard]] ModelConfig named_model_config(const std::string& name);

}  // namespace imagerank::clip
