#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/tensor_file.h"

namespace imagerank::clip {

/// How a CLIP model's tensors are named, and which way its projections lie.
enum class WeightLayout {
  kHuggingFace,  ///< transformers' CLIPModel
  kOpenClip,     ///< open_clip, and whoever took its names from OpenAI
  kOpenAi,       ///< the same names in OpenAI's own archives, which say nothing of activation and heads: always theirs
};
/// "hugging_face", "open_clip", "openai".
[[nodiscard]] const char* layout_name(WeightLayout layout) noexcept;
/// Whether it has open_clip's names.
[[nodiscard]] constexpr bool is_open_clip(WeightLayout layout) noexcept { return layout != WeightLayout::kHuggingFace; }

/// The files that a model folder is read from.
struct WeightFiles {
  std::vector<std::filesystem::path> files;  ///< one, or shards
  std::filesystem::path place;               ///< the one, or the shards' index
};

/// Whichever is there first: model.safetensors (or its shards, by model.safetensors.index.json),
/// open_clip_model.safetensors, open_clip_pytorch_model.safetensors, pytorch_model.bin (or its shards),
/// open_clip_pytorch_model.bin, and the only .pt or .pth of the folder. A file stands for itself.
/// @throws Error kNotFound, naming what was looked for, or a download that was not finished, or a shard that is not
/// there; kCorruptData for an index that is none.
[[nodiscard]] WeightFiles find_weight_files(const std::filesystem::path& folder);

/// The tensors of a model folder under their models' own names: without "module.", "_orig_mod." and "text." before
/// them, and without what is not learned (position_ids, attn_mask, OpenAI's constants).
class WeightTensors {
 public:
  /// @throws Error as find_weight_files and TensorFile; kCorruptData if no tensor is a CLIP's, or one is there twice.
  explicit WeightTensors(const std::filesystem::path& folder);

  [[nodiscard]] const std::map<std::string, const TensorView*>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] WeightLayout layout() const noexcept { return layout_; }
  /// The file, or the index of the shards.
  [[nodiscard]] const std::filesystem::path& place() const noexcept { return place_; }

 private:
  std::filesystem::path place_;
  std::vector<TensorFile> files_;
  std::map<std::string, const TensorView*> tensors_;
  WeightLayout layout_ = WeightLayout::kHuggingFace;
};

}  // namespace imagerank::clip
