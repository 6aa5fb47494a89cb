#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "clip/model_config.h"
#include "clip/weight_reader.h"
#include "core/atomic_file.h"
#include "core/safetensors.h"
#include "support/test_support.h"

namespace imagerank::clip::test_models {

/// Multiples of 1/128 in [-1, 1), as tests/testdata/clip/make.py makes them.
inline std::vector<float> formula(const std::string& name, std::size_t count) {
  std::uint32_t seed = 2166136261U;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619U;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761U + seed;
    x = (x ^ (x >> 15U)) * 739982445U;
    x = (x ^ (x >> 12U)) * 695872825U;
    values[i] = static_cast<float>(x >> 24U) / 128.0F - 1.0F;
  }
  return values;
}

inline std::size_t count_of(std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

inline std::vector<float> weight(const WeightEntry& entry) {
  std::vector<float> values = formula(entry.open_clip, count_of(entry.shape));
  const bool norm = entry.open_clip.find("ln_") != std::string::npos && entry.open_clip.ends_with(".weight");
  for (float& value : values) value = norm ? 1.0F + value / 8.0F : value / 16.0F;
  return values;
}

/// tests/testdata/clip/reference.json.
inline nlohmann::json reference() { return nlohmann::json::parse(load_file(test::testdata("clip/reference.json"))); }

inline ModelConfig config_of(const nlohmann::json& shape) {
  const auto activation = shape["activation"] == "gelu" ? Activation::kGelu : Activation::kQuickGelu;
  const auto tower = [&](const nlohmann::json& t) {
    return TowerConfig{t["width"], t["layers"], t["heads"], t["mlp_width"], activation, 1e-5};
  };
  ModelConfig config;
  config.vision = tower(shape["vision"]);
  config.text = tower(shape["text"]);
  config.image_size = shape["image_size"];
  config.patch_size = shape["patch_size"];
  config.vocabulary_size = 64;
  config.context_length = 16;
  config.projection_dim = 32;
  config.bos_token_id = 62;
  config.eos_token_id = 63;
  return config;
}

using Tensors = std::map<std::string, TensorToWrite>;

inline Tensors hugging_face_tensors(const ModelConfig& config) {
  Tensors tensors;
  for (const WeightEntry& entry : list_weights(config)) {
    const std::vector<float> values = weight(entry);
    std::vector<std::int64_t> shape = entry.shape;
    const std::size_t part = values.size() / entry.hugging_face.size();
    if (entry.hugging_face.size() > 1) shape[0] /= static_cast<std::int64_t>(entry.hugging_face.size());
    for (std::size_t i = 0; i < entry.hugging_face.size(); ++i) {
      tensors[entry.hugging_face[i]] = float_tensor(std::span(values).subspan(i * part, part), shape);
    }
  }
  return tensors;
}

inline Tensors open_clip_tensors(const ModelConfig& config) {
  Tensors tensors;
  for (const WeightEntry& entry : list_weights(config)) {
    std::vector<float> values = weight(entry);
    std::vector<std::int64_t> shape = entry.shape;
    if (entry.transposed_in_open_clip) {
      const auto rows = static_cast<std::size_t>(shape[0]), columns = static_cast<std::size_t>(shape[1]);
      std::vector<float> turned(values.size());
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < columns; ++c) turned[c * rows + r] = values[r * columns + c];
      }
      values = turned;
      std::swap(shape[0], shape[1]);
    }
    tensors[entry.open_clip] = float_tensor(values, shape);
  }
  return tensors;
}

inline Tensors with_prefix(const std::string& prefix, const Tensors& tensors) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) result[prefix + name] = tensor;
  return result;
}

/// open_clip_config.json as open_clip writes it.
inline std::string open_clip_config(const ModelConfig& config) {
  const auto ratio = [](const TowerConfig& tower) {
    return static_cast<double>(tower.mlp_width) / static_cast<double>(tower.width) + 1e-4;
  };
  const nlohmann::json model = {{"embed_dim", config.projection_dim},
                                {"quick_gelu", config.vision.activation == Activation::kQuickGelu},
                                {"vision_cfg",
                                 {{"image_size", config.image_size},
                                  {"patch_size", config.patch_size},
                                  {"width", config.vision.width},
                                  {"layers", config.vision.layers},
                                  {"head_width", config.vision.width / config.vision.heads},
                                  {"mlp_ratio", ratio(config.vision)}}},
                                {"text_cfg",
                                 {{"context_length", config.context_length},
                                  {"vocab_size", config.vocabulary_size},
                                  {"width", config.text.width},
                                  {"heads", config.text.heads},
                                  {"layers", config.text.layers},
                                  {"mlp_ratio", ratio(config.text)}}}};
  return nlohmann::json{{"model_cfg", model}}.dump();
}

}  // namespace imagerank::clip::test_models
