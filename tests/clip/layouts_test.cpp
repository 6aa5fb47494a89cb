// Every layout and size against float64 PyTorch (tests/testdata/clip/make.py), and what is wrong with a model folder.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "clip/encoder.h"
#include "clip/formula_model.h"
#include "clip/models.h"
#include "imagerank/error.h"

namespace imagerank::clip {
namespace {

using test::TemporaryFolder;
using test_models::Tensors;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kLargestError = 1e-4;

Encoder load(const std::filesystem::path& folder, Engine engine = Engine::kAuto) {
  EncoderOptions options;
  options.allow_untrained = true;
  options.need_tokenizer = false;
  options.engine = engine;
  return Encoder::load(folder.string(), options);
}

double relative_error(std::span<const float> found, const nlohmann::json& rows) {
  std::vector<double> expected;
  for (const auto& row : rows) {
    for (const double value : row) expected.push_back(value);
  }
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0.0, square = 0.0;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    square += expected[i] * expected[i];
  }
  return std::sqrt(difference / square);
}

/// Texts of a batch, filled up to the longest by `padding`.
std::vector<std::int64_t> padded(const nlohmann::json& texts, std::int64_t padding) {
  std::vector<std::int64_t> tokens;
  for (const auto& text : texts) {
    const auto ids = text.get<std::vector<std::int64_t>>();
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    tokens.resize((tokens.size() + 15) / 16 * 16, padding);
  }
  return tokens;
}

/// Both towers of a model of one of the reference's shapes.
void expect_reference(const Encoder& encoder, const std::string& name) {
  SCOPED_TRACE(name + " on " + encoder.engine());
  static const nlohmann::json reference = test_models::reference();
  const nlohmann::json& shape = reference["shapes"][name];
  const std::size_t size = encoder.image_size();
  std::vector<float> pixels = test_models::formula("pixels", 2 * 3 * size * size);
  for (float& pixel : pixels) pixel *= 2.0F;
  EXPECT_LT(relative_error(encoder.embed_pixels(pixels, 2), shape["images"]), kLargestError);
  // open_clip and OpenAI pad with 0, Hugging Face with the end of text.
  for (const std::int64_t padding : {0, 63}) {
    const auto tokens = padded(reference["tokens"], padding);
    EXPECT_LT(relative_error(encoder.embed_tokens(tokens, 3), shape["texts"]), kLargestError) << padding;
  }
}

void write_preprocessing(const std::filesystem::path& folder, const ModelConfig& config) {
  images::PreprocessOptions options;
  options.crop_size = options.resize_shortest_edge = static_cast<std::int32_t>(config.image_size);
  save_preprocess_options(options, folder);
}

void write_hugging_face(const std::filesystem::path& folder, const ModelConfig& config) {
  save_model_config(config, folder);
  write_preprocessing(folder, config);
  write_safetensors(folder / "model.safetensors", test_models::hugging_face_tensors(config));
}

void write_open_clip(const std::filesystem::path& folder, const ModelConfig& config, const Tensors& tensors) {
  test::write_text(folder / "open_clip_config.json", test_models::open_clip_config(config));
  write_safetensors(folder / "open_clip_model.safetensors", tensors);
}

ModelConfig small_config() { return test_models::config_of(test_models::reference()["shapes"]["small"]); }

TEST(Layouts, EveryShapeInBothLayoutsIsTheReference) {
  const auto reference = test_models::reference();
  EXPECT_EQ(reference["shapes"].size(), 7U);
  for (const auto& [name, shape] : reference["shapes"].items()) {
    const ModelConfig config = test_models::config_of(shape);
    const TemporaryFolder hugging_face, open_clip;
    write_hugging_face(hugging_face.path(), config);
    write_open_clip(open_clip.path(), config, test_models::open_clip_tensors(config));
    const auto read = load_model_config(open_clip.path());
    EXPECT_EQ(read.vision.heads, config.vision.heads) << name;
    EXPECT_EQ(read.vision.mlp_width, config.vision.mlp_width) << name;
    for (const Engine engine : {Engine::kAuto, Engine::kTorch}) {
      expect_reference(load(hugging_face.path(), engine), name);
      expect_reference(load(open_clip.path(), engine), name);
    }
  }
}

TEST(Layouts, FilesThatPyTorchAndTorchScriptWrote) {
  for (const char* name : {"hugging_face_bin", "open_clip_training", "openai"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    std::filesystem::copy(test::testdata("clip") / name, folder.path(), std::filesystem::copy_options::recursive);
    if (std::string(name) == "hugging_face_bin") write_preprocessing(folder.path(), small_config());
    expect_reference(load(folder.path()), "small");
  }
}

TEST(Layouts, OpenAisArchiveNeedsNoConfig) {
  const auto info = load_model_info(test::testdata("clip/openai").string());
  EXPECT_EQ(info.layout, "openai");
  EXPECT_EQ(info.config.vision.activation, Activation::kQuickGelu);
  EXPECT_EQ(info.config.vision.heads, 1);
  EXPECT_EQ(info.config.image_size, 4);
  EXPECT_EQ(info.config.pooling, TextPooling::kArgmax);
  EXPECT_EQ(info.config.parameter_count(), small_config().parameter_count());
  ASSERT_TRUE(info.has_preprocessing);
  EXPECT_EQ(info.preprocessing.resize, images::Resize::kShortestEdge);
  EXPECT_EQ(info.preprocessing.crop_rounding, images::CropRounding::kEven);
  EXPECT_EQ(info.preprocessing.crop_size, 4);
}

TEST(Layouts, OpenClipsConfigSaysThePreprocessing) {
  const auto info = load_model_info(test::testdata("clip/open_clip_training").string());
  EXPECT_EQ(info.layout, "open_clip");
  ASSERT_TRUE(info.has_preprocessing);
  EXPECT_EQ(info.preprocessing.resize, images::Resize::kSquash);
  EXPECT_EQ(info.preprocessing.crop_size, 4);
  EXPECT_THAT(info.preprocessing.std, testing::Each(0.25F));
}

TEST(Layouts, HpsV2IsKnownByItsName) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(test::testdata("clip/open_clip_training/epoch_1.pt"), folder / "HPS_v2.1_compressed.pt");
  const auto info = load_model_info(folder.path().string());
  EXPECT_EQ(info.config.vision.activation, Activation::kGelu);
  EXPECT_EQ(info.config.vision.heads, 16);
  ASSERT_TRUE(info.has_preprocessing);
  EXPECT_EQ(info.preprocessing.resize, images::Resize::kLongestEdge);
  EXPECT_FALSE(info.preprocessing.antialias);
  // A config of one's own goes before.
  test::write_text(folder / "preprocessor_config.json",
                   R"({"crop_size": 4, "imagerank_resize": "longest_edge", "imagerank_antialias": true})");
  EXPECT_TRUE(load_preprocessing(folder.path()).antialias);
}

TEST(Layouts, ShardsAreOneModel) {
  const TemporaryFolder folder;
  const ModelConfig config = small_config();
  write_hugging_face(folder.path(), config);
  std::filesystem::remove(folder / "model.safetensors");
  std::map<std::string, Tensors> shards;
  nlohmann::json index;
  std::size_t count = 0;
  for (const auto& [name, tensor] : test_models::hugging_face_tensors(config)) {
    const std::string shard = fmt::format("model-0000{}-of-00003.safetensors", count++ % 3 + 1);
    shards[shard][name] = tensor;
    index["weight_map"][name] = shard;
  }
  for (const auto& [name, tensors] : shards) write_safetensors(folder / name, tensors);
  test::write_text(folder / "model.safetensors.index.json", index.dump());
  EXPECT_EQ(shards.size(), 3U);
  expect_reference(load(folder.path()), "small");
  EXPECT_EQ(load_model_info(folder.path().string()).weights.filename(), "model.safetensors.index.json");
}

TEST(Layouts, WrappersAroundNamesAreStripped) {
  const ModelConfig config = small_config();
  const Tensors plain = test_models::open_clip_tensors(config);
  Tensors custom_text;  // open_clip's CustomTextCLIP
  for (const auto& [name, tensor] : plain) {
    custom_text[name.starts_with("visual.") || name == "logit_scale" ? name : "text." + name] = tensor;
  }
  custom_text["text.attn_mask"] = float_tensor(std::vector<float>(4), {2, 2});
  for (const Tensors& tensors :
       {custom_text, test_models::with_prefix("module.", custom_text), test_models::with_prefix("_orig_mod.", plain)}) {
    const TemporaryFolder folder;
    write_open_clip(folder.path(), config, tensors);
    expect_reference(load(folder.path()), "small");
  }
}

TEST(Layouts, AProjectionMayBeALinearLayer) {
  const ModelConfig config = small_config();
  Tensors tensors = test_models::open_clip_tensors(config);
  tensors["text_projection.weight"] = test_models::hugging_face_tensors(config).at("text_projection.weight");
  tensors.erase("text_projection");
  const TemporaryFolder folder;
  write_open_clip(folder.path(), config, tensors);
  expect_reference(load(folder.path()), "small");
}

TEST(Layouts, TimmsConfigGivesWayToOpenClips) {
  const TemporaryFolder folder;
  const ModelConfig config = small_config();
  write_open_clip(folder.path(), config, test_models::open_clip_tensors(config));
  test::write_text(folder / "config.json", R"({"architecture": "vit_base_patch32_clip_224", "num_features": 512})");
  expect_reference(load(folder.path()), "small");
}

TEST(Layouts, ANameFollowsTheWeights) {
  const TemporaryFolder a, b;
  const ModelConfig config = small_config();
  std::filesystem::create_directory(a / "m");
  std::filesystem::create_directory(b / "m");
  write_hugging_face(a / "m", config);
  write_hugging_face(b / "m", config);
  EXPECT_EQ(load(a / "m").name(), load(b / "m").name());
  Tensors tensors = test_models::hugging_face_tensors(config);
  tensors["logit_scale"].bytes[0] ^= std::byte{1};
  write_safetensors(b / "m" / "model.safetensors", tensors);
  EXPECT_NE(load(a / "m").name(), load(b / "m").name());
}

/// A small model's folder, and what loading it says after `change`.
class BadModel : public testing::Test {
 protected:
  BadModel() { write_hugging_face(folder_.path(), config_); }
  std::string error(ErrorCode code = ErrorCode::kCorruptData) {
    try {
      (void)load(folder_.path());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.what();
    }
    return "no error";
  }
  std::string error_after(const std::function<void(Tensors&)>& change) {
    Tensors tensors = test_models::hugging_face_tensors(config_);
    change(tensors);
    write_safetensors(folder_ / "model.safetensors", tensors);
    return error();
  }

  ModelConfig config_ = small_config();
  TemporaryFolder folder_;
};

TEST_F(BadModel, MissingAndSuperfluousTensorsAreToldAtOnce) {
  const std::string message = error_after([](Tensors& tensors) {
    tensors.erase("logit_scale");
    tensors.erase("vision_model.encoder.layers.0.mlp.fc2.weight");
    tensors["head.weight"] = float_tensor(std::vector<float>(6), {2, 3});
    tensors["head.bias"] = float_tensor(std::vector<float>(2), {2});
    tensors["text_projection.weight"].shape = {64, 32};
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("'logit_scale' []"), HasSubstr("'vision_model.encoder.layers.0.mlp.fc2.weight' [64, 64]"),
                    HasSubstr("found no such tensor")));
  EXPECT_THAT(message,
              HasSubstr("expected no tensor beside the config's model, found 'head.bias' [2], 'head.weight' [2, 3]"));
  EXPECT_THAT(message,
              HasSubstr("tensor 'text_projection.weight': expected [32, 64] as the config says, found [64, 32]"));
}

TEST_F(BadModel, NumbersThatAreNoneAreNamed) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(error_after([value](Tensors& tensors) {
                  std::vector<float> bias(64, 0.5F);
                  bias[63] = value;
                  tensors["text_model.encoder.layers.0.layer_norm2.bias"] = float_tensor(bias, {64});
                }),
                HasSubstr("tensor 'text_model.encoder.layers.0.layer_norm2.bias': expected finite numbers"));
  }
}

TEST_F(BadModel, AConfigOfAnotherModelIsNamed) {
  config_.vision.layers = 2;
  config_.vocabulary_size = 65;
  save_model_config(config_, folder_.path());
  EXPECT_THAT(error(),
              AllOf(HasSubstr("'vision_model.encoder.layers.1.layer_norm1.weight' [64]"),
                    HasSubstr("token_embedding.weight': expected [65, 64] as the config says, found [64, 64]")));
}

TEST_F(BadModel, AMissingShardIsNamed) {
  std::filesystem::rename(folder_ / "model.safetensors", folder_ / "a.safetensors");
  const auto index = [&](const std::string& text) { test::write_text(folder_ / "model.safetensors.index.json", text); };
  index(R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"}})");
  EXPECT_THAT(error(ErrorCode::kNotFound),
              HasSubstr("shard b.safetensors: expected it beside the index, with 2 tensors"));
  index(R"({"weight_map": {"x": "../a.safetensors"}})");
  EXPECT_THAT(error(), HasSubstr("expected a file's name, found \"../a.safetensors\""));
  index(R"({"weight_map": [1]})");
  EXPECT_THAT(error(), HasSubstr("expected {\"weight_map\""));
  index("{");
  EXPECT_THAT(error(), HasSubstr("expected {\"weight_map\""));
}

TEST_F(BadModel, AGitLfsPointerIsCalledThat) {
  test::write_text(folder_ / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n");
  EXPECT_THAT(error(), HasSubstr("model.safetensors: expected weights, found git-LFS's pointer file"));
}

TEST_F(BadModel, AHalfPulledFileIsCalledThat) {
  std::filesystem::rename(folder_ / "model.safetensors", folder_ / "model.safetensors.incomplete");
  EXPECT_THAT(error(ErrorCode::kNotFound), HasSubstr("a download that was not finished"));
  std::filesystem::remove(folder_ / "model.safetensors.incomplete");
  EXPECT_THAT(error(ErrorCode::kNotFound),
              AllOf(HasSubstr("model.safetensors, model.safetensors.index.json"), HasSubstr("found none of them")));
  // As it lies in the cache that Hugging Face's tools share.
  const TemporaryFolder cache;
  std::filesystem::create_directories(cache / "blobs");
  std::filesystem::create_directories(cache / "snapshots/1");
  save_model_config(config_, cache / "snapshots/1");
  test::write_text(cache / "blobs/0123.incomplete", "half");
  try {
    (void)load(cache / "snapshots/1");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("blobs/0123.incomplete"));
  }
}

TEST_F(BadModel, ACheckpointThatCallsIsRefused) {
  std::filesystem::remove(folder_ / "model.safetensors");
  std::filesystem::copy_file(test::testdata("torch/harm_inside.pt"), folder_ / "pytorch_model.bin");
  EXPECT_THAT(error(), AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("refused")));
}

TEST_F(BadModel, WeightsWithoutAConfigAreNotGuessed) {
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_THAT(error(ErrorCode::kNotFound),
              HasSubstr("expected config.json or open_clip_config.json beside the weights"));
}

TEST_F(BadModel, ATokenizerOfAnotherVocabularyIsRefused) {
  const TemporaryFolder tokenizer;
  train_tokenizer(std::vector<std::string>{"a red circle"}, 530, tokenizer.path());
  const std::int32_t size = Tokenizer::load(tokenizer.path()).vocabulary_size();
  const auto error_with = [&](const std::filesystem::path& folder) {
    EncoderOptions options;
    options.allow_untrained = true;
    options.tokenizer_dir = tokenizer.path();
    try {
      (void)Encoder::load(folder.string(), options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_with(folder_.path()),
              HasSubstr(fmt::format("expected at most the 64 tokens of the model, found {}", size)));
  // Where texts are pooled at the largest id, an end of text that is another one would pool elsewhere.
  config_.vocabulary_size = 600;
  const TemporaryFolder open_clip;
  write_open_clip(open_clip.path(), config_, test_models::open_clip_tensors(config_));
  EXPECT_THAT(error_with(open_clip.path()), HasSubstr("expected end of text to be token 599"));
  config_.vocabulary_size = size;
  write_open_clip(open_clip.path(), config_, test_models::open_clip_tensors(config_));
  EXPECT_EQ(error_with(open_clip.path()), "no error");
}

TEST_F(BadModel, SeveralCheckpointsAreNotChosenFrom) {
  std::filesystem::remove(folder_ / "model.safetensors");
  for (const char* name : {"epoch_1.pt", "epoch_2.pt"}) {
    std::filesystem::copy_file(test::testdata("clip/open_clip_training/epoch_1.pt"), folder_ / name);
  }
  EXPECT_THAT(error(), HasSubstr("expected one checkpoint, found epoch_1.pt and epoch_2.pt"));
}

TEST_F(BadModel, OtherArchitecturesAreNamed) {
  const auto refused = [&](const std::string& vision, const std::string& text) {
    nlohmann::json document = nlohmann::json::parse(test_models::open_clip_config(config_));
    document["model_cfg"]["vision_cfg"].update(nlohmann::json::parse(vision));
    document["model_cfg"]["text_cfg"].update(nlohmann::json::parse(text));
    std::filesystem::remove(folder_ / "config.json");
    test::write_text(folder_ / "open_clip_config.json", document.dump());
    return error(ErrorCode::kUnavailable);
  };
  EXPECT_THAT(refused(R"({"timm_model_name": "vit_base_patch16_siglip_224"})", "{}"),
              HasSubstr("timm_model_name: expected none (CLIP's own tower), found \"vit_base_patch16_siglip_224\""));
  EXPECT_THAT(refused(R"({"pool_type": "avg"})", "{}"), HasSubstr("pool_type: expected \"tok\""));
  EXPECT_THAT(refused("{}", R"({"no_causal_mask": true})"), HasSubstr("no_causal_mask: expected false"));
  EXPECT_THAT(refused("{}", R"({"hf_model_name": "roberta-base"})"), HasSubstr("hf_model_name"));
  test::write_text(folder_ / "config.json", R"({"model_type": "siglip", "vision_config": {}})");
  EXPECT_THAT(error(ErrorCode::kUnavailable), HasSubstr("model_type: expected clip, found siglip"));
}

}  // namespace
}  // namespace imagerank::clip
