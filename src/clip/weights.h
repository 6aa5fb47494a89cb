#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "clip/towers.h"

namespace imagerank::clip {

enum class WeightLayout { kHuggingFace, kOpenClip };

/// The weight file a folder is read from, and how its tensors are named.
struct WeightFile {
  std::filesystem::path path;
  WeightLayout layout = WeightLayout::kHuggingFace;
};

/// model.safetensors before open_clip_model.safetensors before open_clip_pytorch_model.safetensors; the layout follows
/// the tensors' names, not the file's. @throws Error kNotFound naming what was looked for, kCorruptData.
[[nodiscard]] WeightFile find_weight_file(const std::filesystem::path& folder);

/// Fills a model from a folder's weights, in either layout, F16, BF16 or F32. position_ids buffers are skipped and the
/// prefix "module." is stripped. @throws Error kNotFound, kCorruptData naming the tensor that is missing, not known or
/// of another shape, with what was expected and what was found.
void load_weights(ClipModel& model, const std::filesystem::path& folder);

/// Config and weights of a folder. Every size of the config is checked against the file before memory is reserved.
[[nodiscard]] ClipModel load_clip_model(const std::filesystem::path& folder);

/// Writes folder/model.safetensors in Hugging Face's layout. @param half  float16, otherwise float32.
/// @throws Error kIo, kResourceLimit; kInvalidArgument if a weight is not finite or overflows float16.
void save_weights(const ClipModel& model, const std::filesystem::path& folder, bool half = true);

}  // namespace imagerank::clip
