#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "clip/pretrain.h"
#include "clip/towers.h"

namespace imagerank::clip {

/// @throws Error kInvalidArgument if pixels and captions differ in number, or a caption is no row of token ids.
void check_pairs(const CaptionedImages& pairs, const ModelConfig& model);

/// Vectors of the images at `rows`, float32 [B, D], not normalised; gradients flow. A chunk of pairs goes through a
/// tower at once, so that its activations stay in the cache. Where the model is, a CUDA device included.
[[nodiscard]] torch::Tensor embed_images(ClipModel& model, const CaptionedImages& pairs,
                                         std::span<const std::uint32_t> rows);
/// The same of the captions. Captions of like length go together: padding costs as much as words.
[[nodiscard]] torch::Tensor embed_captions(ClipModel& model, const CaptionedImages& pairs,
                                           std::span<const std::uint32_t> rows);

/// Rows [..., D] scaled to length 1.
[[nodiscard]] torch::Tensor unit(const torch::Tensor& x);

}  // namespace imagerank::clip
