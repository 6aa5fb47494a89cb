#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "clip/model_config.h"

namespace imagerank::clip {

/// One parameter of ClipModel and what the layouts call it.
struct WeightEntry {
  std::string parameter;  ///< in named_parameters()
  std::vector<std::int64_t> shape;
  std::vector<std::string> hugging_face;  ///< one name, or query, key and value stacked along the first axis
  std::string open_clip;
  bool transposed_in_open_clip = false;
};

/// Every parameter with its shape, from the config alone: a file can be checked before a model is allocated.
/// Source of the names: transformers' models/clip/convert_clip_original_pytorch_to_hf.py.
[[nodiscard]] std::vector<WeightEntry> list_weights(const ModelConfig& config);

enum class WeightLayout { kHuggingFace, kOpenClip };

/// The weight file a folder is read from, and how its tensors are named.
struct WeightFile {
  std::filesystem::path path;
  WeightLayout layout = WeightLayout::kHuggingFace;
};

/// model.safetensors before open_clip_model.safetensors before open_clip_pytorch_model.safetensors; the layout follows
/// the tensors' names, not the file's. @throws Error kNotFound naming what was looked for, kCorruptData.
[[nodiscard]] WeightFile find_weight_file(const std::filesystem::path& folder);

/// A model's weights, in either layout, F16, BF16 or F32, one at a time. position_ids buffers are skipped and the
/// prefix "module." is stripped.
class WeightReader {
 public:
  /// The config's own weights, all found and of the right shapes.
  /// @throws Error kNotFound, kCorruptData naming the tensor that is missing, not known or of another shape, with what
  /// was expected and what was found.
  WeightReader(const ModelConfig& config, const std::filesystem::path& folder);
  /// Of the folder's config, whose text pooling then follows the layout.
  explicit WeightReader(const std::filesystem::path& folder);
  WeightReader(WeightReader&&) noexcept;
  WeightReader& operator=(WeightReader&&) noexcept;
  ~WeightReader();

  [[nodiscard]] const ModelConfig& config() const noexcept;
  /// @param parameter  a name in list_weights. @return its numbers, row-major in the shape given there.
  [[nodiscard]] std::vector<float> read(const std::string& parameter) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::clip
