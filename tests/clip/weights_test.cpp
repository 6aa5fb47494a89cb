#include "clip/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>

#include "core/safetensors.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::HasSubstr;
using Tensors = std::map<std::string, TensorToWrite>;

ModelConfig small_config() {
  ModelConfig config;
  config.vision = {8, 2, 2, 16, Activation::kGelu, 1e-5};
  config.image_size = 6;
  config.patch_size = 3;
  config.text = {12, 1, 3, 20, Activation::kGelu, 1e-5};
  config.vocabulary_size = 20;
  config.context_length = 7;
  config.projection_dim = 4;
  config.bos_token_id = 18;
  config.eos_token_id = 19;
  return config;
}

ClipModel random_model() {
  ClipModel model(small_config());
  const torch::NoGradGuard no_grad;
  torch::Generator generator = at::detail::createCPUGenerator(5);
  // Exact in float16, so that a half file keeps them.
  for (auto& parameter : model->parameters())
    parameter.copy_(torch::randint(-512, 512, parameter.sizes(), generator) / 256.0);
  return model;
}

bool equal_weights(const ClipModel& a, const ClipModel& b) {
  const auto left = a->named_parameters(), right = b->named_parameters();
  if (left.size() != right.size()) return false;
  return std::ranges::all_of(left,
                             [&](const auto& parameter) { return parameter.value().equal(right[parameter.key()]); });
}

Tensors read_all(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  Tensors tensors;
  for (const auto& [name, view] : file.tensors())
    tensors[name] = {view.type, view.shape, {view.bytes.begin(), view.bytes.end()}};
  return tensors;
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
}

/// A Hugging Face file's tensors under open_clip's names: a second, independent statement of the mapping.
Tensors to_open_clip(const Tensors& tensors) {
  Tensors result;
  const auto transposed = [](const TensorToWrite& tensor) {
    const auto rows = static_cast<std::size_t>(tensor.shape[0]), columns = static_cast<std::size_t>(tensor.shape[1]),
               size = element_size(tensor.type);
    TensorToWrite other{tensor.type, {tensor.shape[1], tensor.shape[0]}, std::vector<std::byte>(tensor.bytes.size())};
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c)
        std::copy_n(&tensor.bytes[(r * columns + c) * size], size, &other.bytes[(c * rows + r) * size]);
    }
    return other;
  };
  for (const auto& [name, tensor] : tensors) {
    std::string open = name;
    if (name == "text_projection.weight" || name == "visual_projection.weight") {
      result[name == "text_projection.weight" ? "text_projection" : "visual.proj"] = transposed(tensor);
      continue;
    }
    replace(open, "vision_model.encoder.layers", "visual.transformer.resblocks");
    replace(open, "text_model.encoder.layers", "transformer.resblocks");
    replace(open, "layer_norm1", "ln_1");
    replace(open, "layer_norm2", "ln_2");
    replace(open, "mlp.fc1", "mlp.c_fc");
    replace(open, "mlp.fc2", "mlp.c_proj");
    replace(open, "self_attn.out_proj", "attn.out_proj");
    replace(open, "vision_model.pre_layrnorm", "visual.ln_pre");
    replace(open, "vision_model.post_layernorm", "visual.ln_post");
    replace(open, "text_model.final_layer_norm", "ln_final");
    replace(open, "vision_model.embeddings.class_embedding", "visual.class_embedding");
    replace(open, "vision_model.embeddings.patch_embedding", "visual.conv1");
    replace(open, "vision_model.embeddings.position_embedding.weight", "visual.positional_embedding");
    replace(open, "text_model.embeddings.position_embedding.weight", "positional_embedding");
    replace(open, "text_model.embeddings.token_embedding", "token_embedding");
    const auto at = open.find("self_attn.q_proj.");
    if (at != std::string::npos) {
      const std::string kind = open.substr(at + 17);
      TensorToWrite joined{tensor.type, tensor.shape, {}};
      joined.shape[0] *= 3;
      for (const char* part : {"q", "k", "v"}) {
        std::string other = name;
        replace(other, "q_proj", std::string(part) + "_proj");
        const auto& bytes = tensors.at(other).bytes;
        joined.bytes.insert(joined.bytes.end(), bytes.begin(), bytes.end());
      }
      result[open.substr(0, at) + "attn.in_proj_" + kind] = joined;
    } else if (open.find("self_attn.") == std::string::npos) {
      result[open] = tensor;
    }
  }
  return result;
}

class Weights : public ::testing::Test {
 protected:
  Weights() : model_(random_model()) {
    save_model_config(small_config(), folder_.path());
    save_weights(model_, folder_.path());
  }
  [[nodiscard]] std::filesystem::path file() const { return folder_ / "model.safetensors"; }
  /// What loading says after `change` was made to the file.
  std::string error_after(const std::function<void(Tensors&)>& change) {
    Tensors tensors = read_all(file());
    change(tensors);
    write_safetensors(file(), tensors);
    try {
      static_cast<void>(load_clip_model(folder_.path()));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  ClipModel model_;
};

TEST_F(Weights, HalfAndFloatRoundTrip) {
  EXPECT_TRUE(equal_weights(load_clip_model(folder_.path()), model_));
  EXPECT_EQ(read_all(file()).at("logit_scale").type, TensorType::kF16);
  save_weights(model_, folder_.path(), /*half=*/false);
  EXPECT_EQ(read_all(file()).at("logit_scale").type, TensorType::kF32);
  EXPECT_TRUE(equal_weights(load_clip_model(folder_.path()), model_));
  ClipModel other(small_config());
  initialize_weights(other, 1);
  EXPECT_FALSE(equal_weights(other, model_));
  load_weights(other, folder_.path());
  EXPECT_TRUE(equal_weights(other, model_));
}

TEST_F(Weights, WritesHuggingFacesNamesAndShapes) {
  const Tensors tensors = read_all(file());
  EXPECT_EQ(tensors.size(), 3U * 16U + 14U);  // 16 a layer; 7 + 1 vision, 4 + 1 text, logit_scale
  EXPECT_EQ(tensors.at("vision_model.pre_layrnorm.weight").shape, (std::vector<std::int64_t>{8}));
  EXPECT_EQ(tensors.at("vision_model.encoder.layers.1.self_attn.k_proj.weight").shape,
            (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(tensors.at("text_model.encoder.layers.0.mlp.fc1.weight").shape, (std::vector<std::int64_t>{20, 12}));
  EXPECT_EQ(tensors.at("text_projection.weight").shape, (std::vector<std::int64_t>{4, 12}));
  EXPECT_TRUE(tensors.at("logit_scale").shape.empty());
}

TEST_F(Weights, OpenClipLayoutGivesTheSameModel) {
  const test::TemporaryFolder other;
  save_model_config(small_config(), other.path());
  write_safetensors(other / "open_clip_model.safetensors", to_open_clip(read_all(file())));
  EXPECT_EQ(WeightTensors(other.path()).layout(), WeightLayout::kOpenClip);
  const ClipModel loaded = load_clip_model(other.path());
  EXPECT_TRUE(equal_weights(loaded, model_));
  EXPECT_EQ(loaded->config().pooling, TextPooling::kArgmax);
}

TEST_F(Weights, TheHuggingFaceFileIsPreferred) {
  test::write_text(folder_ / "open_clip_model.safetensors", "broken");
  EXPECT_TRUE(equal_weights(load_clip_model(folder_.path()), model_));
}

TEST_F(Weights, PrefixesAreStrippedAndBuffersSkipped) {
  Tensors tensors = read_all(file()), prefixed;
  for (const auto& [name, tensor] : tensors) prefixed["module." + name] = tensor;
  prefixed["module.text_model.embeddings.position_ids"] = {TensorType::kI64, {1, 7}, std::vector<std::byte>(56)};
  write_safetensors(file(), prefixed);
  EXPECT_TRUE(equal_weights(load_clip_model(folder_.path()), model_));
}

TEST_F(Weights, BFloat16AndAScaleOfOneElementAreRead) {
  Tensors tensors = read_all(file());
  for (auto& [name, tensor] : tensors) {
    if (name == "logit_scale") {
      tensor.shape = {1};
      continue;
    }
    if (name != "text_projection.weight") continue;
    tensor.type = TensorType::kBF16;  // 0x3fc0 is 1.5
    for (std::size_t i = 0; i < tensor.bytes.size(); i += 2) {
      tensor.bytes[i] = std::byte{0xc0};
      tensor.bytes[i + 1] = std::byte{0x3f};
    }
  }
  write_safetensors(file(), tensors);
  const ClipModel loaded = load_clip_model(folder_.path());
  EXPECT_TRUE(loaded->text->projection.eq(1.5).all().item<bool>());
  EXPECT_TRUE(loaded->logit_scale.equal(model_->logit_scale));
}

TEST_F(Weights, AMissingTensorIsNamed) {
  EXPECT_THAT(error_after([](Tensors& tensors) { tensors.erase("vision_model.encoder.layers.1.mlp.fc2.bias"); }),
              HasSubstr("expected 'vision_model.encoder.layers.1.mlp.fc2.bias' [8], found no such tensor"));
}

TEST_F(Weights, ATensorTooManyIsNamed) {
  EXPECT_THAT(error_after([](Tensors& tensors) {
                tensors["vision_model.encoder.layers.2.mlp.fc2.bias"] =
                    tensors.at("vision_model.encoder.layers.1.mlp.fc2.bias");
              }),
              HasSubstr("'vision_model.encoder.layers.2.mlp.fc2.bias'"));
}

TEST_F(Weights, AWrongShapeIsNamed) {
  EXPECT_THAT(error_after([](Tensors& tensors) { tensors.at("text_projection.weight").shape = {12, 4}; }),
              HasSubstr("'text_projection.weight': expected [4, 12] as the config says, found [12, 4]"));
}

TEST_F(Weights, IntegersAreRefused) {
  EXPECT_THAT(error_after([](Tensors& tensors) {
                tensors.at("logit_scale") = {TensorType::kI64, {}, std::vector<std::byte>(8)};
              }),
              HasSubstr("found integers"));
}

TEST_F(Weights, AFileOfSomethingElseIsRefused) {
  EXPECT_THAT(error_after([](Tensors& tensors) {
                tensors.clear();
                tensors["bert.weight"] = {TensorType::kF16, {1}, std::vector<std::byte>(2)};
              }),
              HasSubstr("expected CLIP's tensors"));
}

TEST_F(Weights, ATruncatedFileIsRefused) {
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 100);
  EXPECT_THROW(static_cast<void>(load_clip_model(folder_.path())), Error);
  std::filesystem::resize_file(file(), 4);
  EXPECT_THROW(static_cast<void>(load_clip_model(folder_.path())), Error);
  std::filesystem::remove(file());
  EXPECT_THROW(static_cast<void>(load_clip_model(folder_.path())), Error);
}

TEST_F(Weights, AConfigThatLiesIsCaughtBeforeMemoryIsReserved) {
  ModelConfig config = small_config();
  config.vision = {16384, 256, 2, 131072, Activation::kGelu, 1e-5};  // some 5 TB of weights
  save_model_config(config, folder_.path());
  try {
    static_cast<void>(load_clip_model(folder_.path()));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("16384"));
  }
}

TEST_F(Weights, WhatFloat16CannotHoldIsNotWritten) {
  const test::TemporaryFolder other;
  {
    const torch::NoGradGuard no_grad;
    model_->text->projection[0][0] = 1e6;
  }
  EXPECT_THROW(save_weights(model_, other.path()), Error);
  EXPECT_FALSE(std::filesystem::exists(other / "model.safetensors"));
  EXPECT_NO_THROW(save_weights(model_, other.path(), /*half=*/false));
}

}  // namespace
}  // namespace imagerank::clip
