#include "clip/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPublished = R"({
 "model_type": "clip", "projection_dim": 1024, "logit_scale_init_value": 2.5,
 "text_config_dict": null,
 "text_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
   "vocab_size": 49408, "max_position_embeddings": 77, "hidden_act": "gelu", "eos_token_id": 2, "bos_token_id": 0},
 "vision_config": {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
   "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-6}})";

std::string load_error(const test::TemporaryFolder& folder, const std::string& text,
                       ErrorCode code = ErrorCode::kCorruptData) {
  test::write_text(folder / "config.json", text);
  try {
    static_cast<void>(load_model_config(folder.path()));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(ModelConfig, ReadsAPublishedConfig) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "config.json", kPublished);
  const ModelConfig config = load_model_config(folder.path());
  EXPECT_EQ(config.vision.width, 1280);
  EXPECT_EQ(config.vision.layers, 32);
  EXPECT_EQ(config.vision.heads, 16);
  EXPECT_EQ(config.vision.mlp_width, 5120);
  EXPECT_DOUBLE_EQ(config.vision.layer_norm_eps, 1e-6);
  EXPECT_DOUBLE_EQ(config.text.layer_norm_eps, 1e-5);
  EXPECT_EQ(config.vision_tokens(), 257);
  EXPECT_EQ(config.text.activation, Activation::kGelu);
  EXPECT_EQ(config.projection_dim, 1024);
  EXPECT_DOUBLE_EQ(config.logit_scale_init, 2.5);
  EXPECT_EQ(config.pooling, TextPooling::kArgmax) << "eos_token_id 2 is Hugging Face's sign for argmax";
  EXPECT_FALSE(config.untrained);
}

TEST(ModelConfig, MissingFieldsAreHuggingFacesDefaults) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "config.json", R"({"text_config": {}, "vision_config": {}})");
  const ModelConfig config = load_model_config(folder.path());
  EXPECT_EQ(config.vision.width, 768);
  EXPECT_EQ(config.patch_size, 32);
  EXPECT_EQ(config.text.width, 512);
  EXPECT_EQ(config.text.heads, 8);
  EXPECT_EQ(config.text.mlp_width, 2048);
  EXPECT_EQ(config.eos_token_id, 49407);
  EXPECT_EQ(config.pooling, TextPooling::kFirstEos);
  EXPECT_EQ(config.vision.activation, Activation::kQuickGelu);
}

TEST(ModelConfig, TheOlderDictWins) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "config.json", R"({"vision_config": {"hidden_size": 64, "patch_size": 16},
      "vision_config_dict": {"hidden_size": 96}})");
  const ModelConfig config = load_model_config(folder.path());
  EXPECT_EQ(config.vision.width, 96);
  EXPECT_EQ(config.patch_size, 16);
}

TEST(ModelConfig, ReadsOpenClipsOwnConfig) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "open_clip_config.json", R"({"model_cfg": {"embed_dim": 1024,
      "vision_cfg": {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
      "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24}}})");
  const ModelConfig config = load_model_config(folder.path());
  EXPECT_EQ(config.vision.heads, 16);
  EXPECT_EQ(config.vision.mlp_width, 5120);
  EXPECT_EQ(config.vision.activation, Activation::kGelu);
  EXPECT_EQ(config.pooling, TextPooling::kArgmax);
  EXPECT_EQ(config.eos_token_id, 49407);
  test::write_text(folder / "open_clip_config.json",
                   R"({"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": [3, 4, 6, 3]}}})");
  EXPECT_THROW(static_cast<void>(load_model_config(folder.path())), Error) << "a ResNet is no ViT";
}

TEST(ModelConfig, RoundTripIsByteForByte) {
  const test::TemporaryFolder folder;
  for (const char* name : {"b32", "b16", "l14", "l14-336", "h14", "g14", "tiny"}) {
    ModelConfig config = named_model_config(name);
    config.untrained = true;
    save_model_config(config, folder / "a");
    save_model_config(load_model_config(folder / "a"), folder / "b");
    const auto text = [&](const std::filesystem::path& path) {
      std::stringstream stream;
      stream << std::ifstream(path).rdbuf();
      return stream.str();
    };
    EXPECT_EQ(text(folder / "a" / "config.json"), text(folder / "b" / "config.json")) << name;
    EXPECT_TRUE(load_model_config(folder / "b").untrained);
  }
}

TEST(ModelConfig, ParameterCountsOfThePublishedModels) {
  EXPECT_EQ(named_model_config("b32").parameter_count(), 151277313);  // as OpenAI's ViT-B/32 has
  EXPECT_EQ(named_model_config("l14").parameter_count(), 427616513);
  EXPECT_EQ(named_model_config("l14-336").parameter_count(), 427944193);
  EXPECT_EQ(named_model_config("h14").parameter_count(), 986109441);
  EXPECT_EQ(named_model_config("g14").vision.mlp_width, 6144);
}

TEST(ModelConfig, EachBadFileIsOneClearLine) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(static_cast<void>(load_model_config(folder.path())), Error);
  EXPECT_THAT(load_error(folder, "{\"text_config\": "), HasSubstr("not JSON"));
  EXPECT_THAT(load_error(folder, "[1]"), HasSubstr("expected an object"));
  EXPECT_THAT(load_error(folder, R"({"vision_config": {"hidden_size": "wide"}})"),
              HasSubstr("hidden_size: expected an integer"));
  EXPECT_THAT(load_error(folder, R"({"vision_config": {"hidden_size": 770}})"),
              HasSubstr("vision heads: expected a divisor"));
  EXPECT_THAT(load_error(folder, R"({"vision_config": {"patch_size": 0}})"), HasSubstr("patch size"));
  EXPECT_THAT(load_error(folder, R"({"vision_config": {"patch_size": 500}})"),
              HasSubstr("patch size: expected 1 to 224"));
  EXPECT_THAT(load_error(folder, R"({"text_config": {"num_hidden_layers": -1}})"), HasSubstr("text layers"));
  EXPECT_THAT(load_error(folder, R"({"text_config": {"vocab_size": 18446744073709551615}})"), HasSubstr("vocab_size"));
  EXPECT_THAT(load_error(folder, R"({"text_config": {"eos_token_id": 50000}})"), HasSubstr("eos token id"));
  EXPECT_THAT(load_error(folder, R"({"text_config": {"hidden_act": "gelu_new"}})", ErrorCode::kUnavailable),
              HasSubstr("hidden_act"));
  EXPECT_THAT(load_error(folder, R"({"model_type": "siglip"})", ErrorCode::kUnavailable), HasSubstr("siglip"));
  EXPECT_THROW(static_cast<void>(named_model_config("b33")), Error);
}

}  // namespace
}  // namespace imagerank::clip
