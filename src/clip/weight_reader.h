#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "clip/model_config.h"
#include "clip/weight_files.h"

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

/// A model's weights, in any layout and file that WeightTensors reads, F16, BF16, F32 or F64, one at a time.
/// Memory-mapped; what was read is given back at once. Several threads may read.
class WeightReader {
 public:
  /// The config's own weights, all found and of the right shapes.
  /// @throws Error kNotFound, kCorruptData naming every tensor that is missing (with the shape expected), of another
  /// shape or type, or there beside the model's.
  WeightReader(const ModelConfig& config, const std::filesystem::path& folder);
  /// Of the folder's config, whose text pooling then follows the layout.
  explicit WeightReader(const std::filesystem::path& folder);
  WeightReader(WeightReader&&) noexcept;
  WeightReader& operator=(WeightReader&&) noexcept;
  ~WeightReader();

  [[nodiscard]] const ModelConfig& config() const noexcept;
  [[nodiscard]] WeightLayout layout() const noexcept;
  /// @param parameter  a name in list_weights. @return its numbers, row-major in the shape given there.
  /// @throws Error kCorruptData if one of them is not finite.
  [[nodiscard]] std::vector<float> read(const std::string& parameter) const;
  /// SHA-256 (hex) of the model's tensors: names, types, shapes and bytes. What was not read yet is read now.
  /// @param threads  that read, at most.
  [[nodiscard]] std::string digest(std::size_t threads) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::clip
