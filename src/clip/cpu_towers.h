#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "clip/cpu_patches.h"
#include "clip/cpu_transformer.h"
#include "clip/encoder.h"
#include "clip/weight_reader.h"
#include "kernels/format.h"
#include "kernels/kernels.h"

namespace imagerank::clip {

/// Both towers of a CLIP model on the CPU, without libtorch. One call runs on its calling thread, and several threads
/// may call at once. An image's or text's vector does not depend, in any bit, on what else is in its call.
/// Made for one core: a group's activations fit its second cache, and weights pass through once a group.
class CpuTowers {
 public:
  /// @pre obstacle(config) is empty. @param need  towers that are loaded; only they may be called.
  /// @param threads  that load them, at most.
  CpuTowers(const WeightReader& weights, kernels::Format format, const kernels::Kernels& kernels, TowerNeed need,
            std::size_t threads);
  ~CpuTowers();

  /// Why a model cannot run on these kernels; "" if it can.
  [[nodiscard]] static std::string obstacle(const ModelConfig& config);

  /// Images of a call that fill the caches.
  [[nodiscard]] std::size_t image_group() const noexcept { return image_group_; }
  /// @param pixels  float32 [n, 3, image_size, image_size], any n. @param vectors  [n, projection_dim], written.
  void embed_images(std::span<const float> pixels, std::span<float> vectors) const;

  /// Tokens of a call that fill the caches.
  [[nodiscard]] static constexpr std::size_t text_group() noexcept { return kRows; }
  /// @param texts  each 1 to context_length ids below vocabulary_size, up to the token whose row is the text's vector.
  /// @param vectors  one for each text, [projection_dim], written.
  void embed_texts(std::span<const std::span<const std::int64_t>> texts, std::span<float* const> vectors) const;

 private:
  /// Rows of a pass: their activations, some 4 KB each, share a second cache of 2 MB with a panel of weights.
  static constexpr std::size_t kRows = 512;

  /// What one tower holds beside its layers, and the buffers that its passes take and give back.
  struct Tower;
  struct Buffers;

  void embed_image_group(Buffers& buffers, const float* pixels, std::size_t count, float* vectors) const;
  void embed_text_group(Buffers& buffers, std::span<const std::span<const std::int64_t>> texts,
                        float* const* vectors) const;
  void project(Buffers& buffers, const Tower& tower, std::size_t count, float* const* vectors) const;

  ModelConfig config_;
  kernels::Kernels kernels_;
  std::size_t image_group_ = 1;
  std::unique_ptr<Tower> vision_, text_;  ///< nullptr: not needed
  CpuPatches patches_;
  std::vector<float> pre_norm_weight_, pre_norm_bias_;
  std::vector<float> vision_positions_;  ///< [1 + patches, width], the class token added to the first
  std::vector<float> tokens_;            ///< [vocabulary, text width]
  std::vector<float> text_positions_;    ///< [context, text width]
};

}  // namespace imagerank::clip
