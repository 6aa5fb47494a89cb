#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "clip/model_config.h"

namespace imagerank::clip {

/// One pre-norm transformer layer: x + attention(norm(x)), then x + mlp(norm(x)). Query, key and value are one product.
/// The products run in the weights' type (float32, or bfloat16 after use_bfloat16); norms, softmax and the residual
/// stream stay float32.
class TransformerLayerImpl : public torch::nn::Module {
 public:
  explicit TransformerLayerImpl(const TowerConfig& config);
  /// @param hidden  float32 [B, T, width]; overwritten where gradients are off.
  /// @param mask    float32 [T, T] added to the scores, or undefined.
  torch::Tensor forward(torch::Tensor hidden, const torch::Tensor& mask);
  /// The same for one row of each sequence only: all that the last layer is needed for.
  /// @param rows  int64 [B], the row of each sequence. @return [B, width].
  torch::Tensor forward_rows(const torch::Tensor& hidden, const torch::Tensor& mask, const torch::Tensor& rows);

  torch::Tensor layer_norm1_weight, layer_norm1_bias;  ///< [W]
  torch::Tensor qkv_weight, qkv_bias;                  ///< [3W, W], [3W]: query, key, value
  torch::Tensor out_weight, out_bias;                  ///< [W, W], [W]
  torch::Tensor layer_norm2_weight, layer_norm2_bias;  ///< [W]
  torch::Tensor fc1_weight, fc1_bias;                  ///< [M, W], [M]
  torch::Tensor fc2_weight, fc2_bias;                  ///< [W, M], [W]

 private:
  torch::Tensor attention(const torch::Tensor& hidden, const torch::Tensor& mask) const;
  torch::Tensor mlp(const torch::Tensor& hidden) const;

  TowerConfig config_;
};
TORCH_MODULE(TransformerLayer);

/// Images to vectors: CLIP's ViT and its projection.
class VisionTowerImpl : public torch::nn::Module {
 public:
  explicit VisionTowerImpl(const ModelConfig& config);
  /// @param pixels  float32 [B, 3, image_size, image_size], normalised. @return float32 [B, projection_dim].
  torch::Tensor forward(const torch::Tensor& pixels);

  torch::Tensor class_embedding;                   ///< [W]
  torch::Tensor patch_embedding;                   ///< [W, 3, P, P]
  torch::Tensor position_embedding;                ///< [1 + patches, W]
  torch::Tensor pre_norm_weight, pre_norm_bias;    ///< [W]
  torch::Tensor post_norm_weight, post_norm_bias;  ///< [W]
  torch::Tensor projection;                        ///< [E, W]
  std::vector<TransformerLayer> layers;

 private:
  ModelConfig config_;
};
TORCH_MODULE(VisionTower);

/// Tokens to vectors: CLIP's causal transformer, pooled at the end of text, and its projection.
class TextTowerImpl : public torch::nn::Module {
 public:
  explicit TextTowerImpl(const ModelConfig& config);
  /// Pooled by the config's rule; what stands behind the pooled token has no influence.
  /// @param tokens  int64 [B, T], T at most context_length, every id below vocabulary_size (not checked here).
  /// @return float32 [B, projection_dim].
  torch::Tensor forward(const torch::Tensor& tokens);
  /// @param rows  int64 [B]: the pooled position of each text.
  torch::Tensor forward_at(const torch::Tensor& tokens, const torch::Tensor& rows);

  torch::Tensor token_embedding;                     ///< [V, W]
  torch::Tensor position_embedding;                  ///< [context, W]
  torch::Tensor final_norm_weight, final_norm_bias;  ///< [W]
  torch::Tensor projection;                          ///< [E, W]
  std::vector<TransformerLayer> layers;

 private:
  ModelConfig config_;
};
TORCH_MODULE(TextTower);

/// Both towers and the learned scale of their cosine. Trainable: every tensor is a parameter. Its constructor leaves
/// the weights unset: follow it by initialize_weights or load_weights (clip/weights.h).
class ClipModelImpl : public torch::nn::Module {
 public:
  /// @throws Error kInvalidArgument from ModelConfig::validate.
  explicit ClipModelImpl(const ModelConfig& config);

  [[nodiscard]] const ModelConfig& config() const noexcept { return config_; }
  /// As it was read, for what is written beside the weights.
  void set_untrained(bool untrained) noexcept { config_.untrained = untrained; }
  /// Inference only from here on: the products' weights become bfloat16.
  void use_bfloat16();

  VisionTower vision{nullptr};
  TextTower text{nullptr};
  torch::Tensor logit_scale;  ///< [], natural logarithm

 private:
  ModelConfig config_;
};
TORCH_MODULE(ClipModel);

/// Random weights by Hugging Face's CLIP scheme: normal, 0.02 for token, position and patch embeddings, width^-1/2 for
/// class embedding, attention output and projections, (2 width)^-1/2 for fc1, (2 layers width)^-1/2 for query, key,
/// value and fc2; biases 0, norms 1, logit_scale from the config. The same seed gives the same weights.
void initialize_weights(ClipModel& model, std::uint64_t seed);

/// The pooled position of each row of tokens int64 [B, T]. kFirstEos gives 0 where a row holds no such token, as
/// Hugging Face does. @return int64 [B].
torch::Tensor pooled_rows(const torch::Tensor& tokens, const ModelConfig& config);

}  // namespace imagerank::clip
