#pragma once

#include <filesystem>
#include <span>
#include <vector>

namespace imagerank::reward {

/// A published linear head: score = weight . (image / |image|) + bias, whatever the prompt.
struct PublishedHead {
  std::vector<double> weight;  ///< [dim]
  double bias = 0.0;

  /// @param image  [dim], as the encoder gives it or of unit length. A vector of length 0 gives NaN.
  [[nodiscard]] double score(std::span<const float> image) const noexcept;
};

/// Reads a head from its file (torch's .pth, or safetensors): LAION's aesthetic predictors, of one linear layer
/// ("weight", "bias") or of five without activations between them ("layers.{0,2,4,6,7}.{weight,bias}"), which are
/// folded into one in float64.
/// @throws Error kNotFound, kIo, kCorruptData: another file or other tensors (all named), shapes that do not fit each
/// other, numbers that are not finite.
/// Source: LAION-AI/aesthetic-predictor; christophschuhmann/improved-aesthetic-predictor, both of which divide vectors
/// by their length first.
[[nodiscard]] PublishedHead load_published_head(const std::filesystem::path& file);

}  // namespace imagerank::reward
