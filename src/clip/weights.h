#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "clip/towers.h"
#include "clip/weight_reader.h"

namespace imagerank::clip {

/// Fills a model of the reader's config.
void load_weights(ClipModel& model, const WeightReader& reader);
/// Fills a model from a folder's weights. @throws Error as WeightReader does.
void load_weights(ClipModel& model, const std::filesystem::path& folder);

/// Config and weights of a folder. Every size of the config is checked against the file before memory is reserved.
[[nodiscard]] ClipModel load_clip_model(const std::filesystem::path& folder);

/// Writes folder/model.safetensors in Hugging Face's layout. @param half  float16, otherwise float32.
/// @throws Error kIo, kResourceLimit; kInvalidArgument if a weight is not finite or overflows float16.
void save_weights(const ClipModel& model, const std::filesystem::path& folder, bool half = true);

}  // namespace imagerank::clip
