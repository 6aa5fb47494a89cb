#pragma once

#include <filesystem>

#include "clip/model_config.h"
#include "clip/weight_files.h"

namespace imagerank::clip {

/// A known scorer whose checkpoint has no config beside it: HPSv2's, by the file's name (HPS_v2*).
[[nodiscard]] bool is_hps_v2(const std::filesystem::path& weights) noexcept;

/// The config of weights that have no config file, from their shapes: OpenAI's archives (quick_gelu, heads of 64) and
/// HPSv2's checkpoints (open_clip's ViT-H/14). What the shapes do not say is not guessed for others.
/// @throws Error kNotFound if the weights are of neither, saying which file to write; kCorruptData if a tensor that
/// decides is missing.
/// Source: build_model in OpenAI's clip/model.py.
[[nodiscard]] ModelConfig derive_model_config(const std::filesystem::path& folder, const WeightTensors& weights);

}  // namespace imagerank::clip
