#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "clip/model_config.h"
#include "core/linear_layers.h"
#include "core/tensor_file.h"

namespace imagerank::blip {

/// The sizes of a BLIP whose text side looks at the image.
struct CrossConfig {
  clip::TowerConfig vision;  ///< pre-norm, eps 1e-6
  std::int64_t image_size = 224;
  std::int64_t patch_size = 16;
  clip::TowerConfig text;  ///< post-norm, eps 1e-12, with cross-attention in each layer
  std::int64_t vocabulary_size = 30524;
  std::int64_t positions = 512;

  [[nodiscard]] std::int64_t vision_tokens() const noexcept {
    return (image_size / patch_size) * (image_size / patch_size) + 1;
  }
};

/// ImageReward's checkpoint (ImageReward.pt, or the same tensors in any file that TensorFile reads). Sizes are those of
/// its tensors; heads, which no shape says, are of 64 numbers, and the activation is erf's GELU, as in what was
/// published: a med_config.json beside it that says otherwise is an error. What it does not use (blip.vision_proj,
/// position_ids, ...) is left alone, as ImageReward leaves it. Memory-mapped. Several threads may read.
class Checkpoint {
 public:
  /// @throws Error kNotFound, kIo, kCorruptData: naming every tensor that is missing or of another shape.
  explicit Checkpoint(const std::filesystem::path& file);

  [[nodiscard]] const CrossConfig& config() const noexcept { return config_; }
  /// @param parameter  "vision.layer0.qkv_weight", "text.layer0.cross_key_weight", ...: see checkpoint.cpp.
  /// @return its numbers, row-major. @throws Error kCorruptData if one of them is not finite.
  [[nodiscard]] std::vector<float> read(const std::string& parameter) const;
  /// The layers behind the text's first state, folded. @throws Error kCorruptData.
  [[nodiscard]] LinearFunction head() const;
  /// SHA-256 (hex) of what is used of it: names, types, shapes and bytes.
  /// @param threads  that read, at most.
  [[nodiscard]] std::string digest(std::size_t threads) const;

 private:
  struct Part {
    std::string name;
    const TensorView* view = nullptr;
  };
  void find_sizes();
  void check_config_file() const;

  std::filesystem::path place_;
  TensorFile file_;
  CrossConfig config_;
  std::map<std::string, Part> parts_;  ///< by parameter
};

}  // namespace imagerank::blip
