#include "onnx/export.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "clip/encoder.h"
#include "clip/weights.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "onnx/heads.h"
#include "onnx/onnx_runtime.h"
#include "reward/trainer.h"
#include "support/test_support.h"

namespace imagerank::onnx {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kTolerance = 1e-4;
/// Of a score whose vectors, equal but for their last bits, may have been rounded to neighbours in float16: 4e-7 where
/// they were not.
constexpr double kNeighbours = 1e-3;

struct Shape {
  std::string name;
  clip::Activation activation;
  clip::TextPooling pooling;
};

clip::ModelConfig config_of(const Shape& shape) {
  clip::ModelConfig config;
  config.vision = {32, 3, 2, 64, shape.activation, 1e-5};
  config.image_size = 20;
  config.patch_size = 6;  // the image's edge is no multiple of it
  config.text = {24, 2, 3, 48, shape.activation, 1e-5};
  config.vocabulary_size = 60;
  config.context_length = 9;
  config.projection_dim = 20;  // no multiple of the attention head's tokens
  config.bos_token_id = 58;
  config.eos_token_id = 59;
  config.pooling = shape.pooling;
  config.untrained = true;
  return config;
}

/// Biases and norms are told apart from their initial zeros and ones, so that one left out shows.
void write_model(const clip::ModelConfig& config, const std::filesystem::path& folder) {
  clip::ClipModel model(config);
  clip::initialize_weights(model, 5);
  {
    const torch::NoGradGuard no_grad;
    torch::Generator generator = at::detail::createCPUGenerator(6);
    for (auto& parameter : model->named_parameters()) {
      if (parameter.value().dim() == 1)
        parameter.value().add_(torch::randn(parameter.value().sizes(), generator) * 0.3);
      if (parameter.value().dim() > 1) parameter.value().mul_(4.0);  // attention that attends to something
    }
  }
  images::PreprocessOptions preprocessing;
  preprocessing.crop_size = preprocessing.resize_shortest_edge = static_cast<std::int32_t>(config.image_size);
  clip::save_preprocess_options(preprocessing, folder);
  clip::save_weights(model, folder);
  clip::save_model_config(config, folder);
}

std::vector<float> noise(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

/// The largest difference, relative to the largest number.
double difference(std::span<const float> found, std::span<const float> expected) {
  EXPECT_EQ(found.size(), expected.size());
  double worst = 0.0, largest = 1e-30;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    if (!std::isfinite(found[i])) return INFINITY;
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return worst / largest;
}

clip::Encoder load_encoder(const std::filesystem::path& folder) {
  clip::EncoderOptions options;
  options.allow_untrained = true;
  options.need_tokenizer = false;
  return clip::Encoder::load(folder.string(), options);
}

Source source_of(const std::filesystem::path& folder) {
  clip::EncoderOptions options;
  return {clip::load_model_info(folder.string()), clip::encoder_name(folder.string(), options), std::nullopt, ""};
}

class OnnxTowers : public testing::TestWithParam<Shape> {
 protected:
  test::TemporaryFolder folder_;
};

TEST_P(OnnxTowers, EqualOurs) {
  write_model(config_of(GetParam()), folder_ / "model");
  const clip::Encoder encoder = load_encoder(folder_ / "model");
  const Source source = source_of(folder_ / "model");
  EXPECT_EQ(source.encoder, encoder.name());
  std::filesystem::create_directories(folder_ / "out");
  const auto files = write_parts(source, folder_ / "out", {});
  EXPECT_THAT(files, ElementsAre(folder_ / "out/vision.onnx", folder_ / "out/text.onnx"));
  for (const std::int64_t count : {1, 5}) {  // any batch
    const std::vector<float> pixels = noise(static_cast<std::size_t>(count) * 3 * 20 * 20, 7);
    const auto vision = test::run_onnx(files[0], {{"pixels", {{count, 3, 20, 20}, pixels}}});
    EXPECT_THAT(vision.at("image_embedding").dims, ElementsAre(count, 20));
    EXPECT_LT(
        difference(vision.at("image_embedding").values, encoder.embed_pixels(pixels, static_cast<std::size_t>(count))),
        kTolerance);
  }
  // Padding behind the end: other words, which the causal mask and the pooling must not see.
  const std::vector<std::int64_t> tokens = {58, 3, 17, 4, 59, 2, 1, 58, 59, 0, 0, 0, 0, 5, 58, 8, 9, 40, 50, 57, 59};
  const auto text = test::run_onnx(files[1], {}, {{"tokens", {{3, 7}, tokens}}});
  EXPECT_THAT(text.at("text_embedding").dims, ElementsAre(3, 20));
  EXPECT_LT(difference(text.at("text_embedding").values, encoder.embed_tokens(tokens, 3)), kTolerance);
  const std::vector<std::int64_t> longest = {58, 1, 2, 3, 4, 5, 6, 7, 59};
  const auto whole = test::run_onnx(files[1], {}, {{"tokens", {{1, 9}, longest}}});
  EXPECT_LT(difference(whole.at("text_embedding").values, encoder.embed_tokens(longest, 1)), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Shapes, OnnxTowers,
                         testing::Values(Shape{"quick_gelu_first_eos", clip::Activation::kQuickGelu,
                                               clip::TextPooling::kFirstEos},
                                         Shape{"gelu_argmax", clip::Activation::kGelu, clip::TextPooling::kArgmax}),
                         [](const auto& instance) { return instance.param.name; });

/// Trained weights: attention that is sharp, numbers of the size that real ones have.
TEST(OnnxSample, EqualsOurs) {
  const test::TemporaryFolder folder;
  clip::EncoderOptions options;
  const clip::Encoder encoder = clip::Encoder::load("builtin/sample", options);
  const Source source{clip::load_model_info("builtin/sample"), encoder.name(), std::nullopt, ""};
  const auto files = write_whole(source, folder / "clip.onnx", {});
  const auto size = static_cast<std::int64_t>(encoder.image_size()), dim = static_cast<std::int64_t>(encoder.dim());
  const std::vector<float> pixels = noise(static_cast<std::size_t>(3 * 3 * size * size), 9);
  const clip::Tokenizer tokenizer = clip::Tokenizer::load(source.model.folder);
  for (const char* const text : {"a red circle above two blue squares", ""}) {
    const std::vector<std::int32_t> ids = tokenizer.tokenize(text);
    const std::vector<std::int64_t> tokens(ids.begin(), ids.end());
    const auto outputs = test::run_onnx(files[0], {{"pixels", {{3, 3, size, size}, pixels}}},
                                        {{"tokens", {{1, static_cast<std::int64_t>(tokens.size())}, tokens}}});
    EXPECT_THAT(outputs.at("text_embedding").dims, ElementsAre(1, dim));
    EXPECT_FALSE(outputs.contains("score"));
    EXPECT_LT(difference(outputs.at("image_embedding").values, encoder.embed_pixels(pixels, 3)), kTolerance);
    EXPECT_LT(difference(outputs.at("text_embedding").values, encoder.embed_tokens(tokens, 1)), kTolerance);
  }
}

struct HeadCase {
  std::string head;
  std::string loss;
  int ensemble = 1;
};

/// A model, and a reward of its encoder fitted to noise.
class OnnxReward : public testing::TestWithParam<HeadCase> {
 protected:
  void SetUp() override {
    write_model(config_of({"", clip::Activation::kGelu, clip::TextPooling::kFirstEos}), folder_ / "model");
    source_ = source_of(folder_ / "model");
    reward::Examples examples;
    examples.images = {kDim, noise(40 * kDim, 1)};
    examples.texts = {kDim, noise(40 * kDim, 2)};
    const int classes = GetParam().loss == "bce" ? 2 : 3;
    examples.class_count = classes;
    for (std::uint32_t i = 0; i < 40; ++i) {
      const float first = examples.images.values[i * kDim];
      const int label = first > 0.4F ? 2 : first > -0.4F ? 1 : 0;
      for (auto& split : examples.points) split.push_back({i, i, std::min(label, classes - 1)});
      for (auto& split : examples.pairs) split.push_back({i, (i + 1) % 40, i, first > 0.0F ? 1.0F : 0.0F, 1.0F});
    }
    reward::TrainOptions options;
    options.head = GetParam().head;
    options.loss = GetParam().loss;
    options.epochs = 3;
    options.learning_rate = 0.05;
    options.ensemble = GetParam().ensemble;
    reward::train_reward(examples, options, {{"encoder", source_.encoder}, {"model", (folder_ / "model").string()}},
                         folder_ / "reward", {});
    source_.reward = reward::Reward::load(folder_ / "reward");
    source_.reward_name = "reward";
    std::filesystem::create_directories(folder_ / "out");
  }

  static constexpr std::size_t kDim = 20;
  test::TemporaryFolder folder_;
  Source source_;
};

TEST_P(OnnxReward, TheHeadEqualsOurs) {
  const auto files = write_parts(source_, folder_ / "out", {});
  ASSERT_EQ(files.size(), 3U);
  const std::vector<float> images = noise(6 * kDim, 3), texts = noise(6 * kDim, 4);
  const auto outputs =
      test::run_onnx(files[2], {{"image_embedding", {{6, 20}, images}}, {"text_embedding", {{6, 20}, texts}}});
  const reward::Scores expected = source_.reward->score(images, texts, 6);
  EXPECT_THAT(outputs.at("score").dims, ElementsAre(6));
  EXPECT_LT(difference(outputs.at("score").values, expected.score), kTolerance);
  EXPECT_EQ(outputs.contains("probabilities"), source_.reward->is_classifier());
  if (source_.reward->is_classifier()) {
    EXPECT_LT(difference(outputs.at("probabilities").values, expected.probabilities), kTolerance);
  }
  EXPECT_EQ(outputs.contains("deviation"), GetParam().ensemble > 1);
  if (GetParam().ensemble > 1) {
    EXPECT_LT(difference(outputs.at("deviation").values, expected.deviation), kTolerance);
  }
}

TEST_P(OnnxReward, PixelsAndTokensToScoreInOneGraph) {
  const auto files = write_whole(source_, folder_ / "out/score.onnx", {});
  ASSERT_EQ(files.size(), 1U);
  const clip::Encoder encoder = load_encoder(folder_ / "model");
  const std::vector<float> pixels = noise(4 * 3 * 20 * 20, 8);
  const std::vector<std::int64_t> one = {58, 3, 17, 4, 59};
  std::vector<std::int64_t> each;
  for (int i = 0; i < 4; ++i) each.insert(each.end(), one.begin(), one.end());
  const std::vector<float> images = encoder.embed_pixels(pixels, 4), texts = encoder.embed_tokens(each, 4);
  // One prompt for all, or one each.
  for (const auto& [rows, tokens] : {std::pair(std::int64_t{1}, one), std::pair(std::int64_t{4}, each)}) {
    const auto outputs =
        test::run_onnx(files[0], {{"pixels", {{4, 3, 20, 20}, pixels}}}, {{"tokens", {{rows, 5}, tokens}}});
    EXPECT_THAT(outputs.at("score").dims, ElementsAre(4));
    EXPECT_LT(difference(outputs.at("image_embedding").values, images), kTolerance);
    // The same vectors: two that differ in the last bit may round to neighbours in float16.
    const std::vector<float> their_texts = [&] {
      std::vector<float> copies;
      const std::vector<float>& given = outputs.at("text_embedding").values;
      for (int i = 0; rows == 1 && i < 4; ++i) copies.insert(copies.end(), given.begin(), given.end());
      return rows == 1 ? copies : given;
    }();
    EXPECT_LT(difference(their_texts, texts), kTolerance);
    const reward::Scores expected = source_.reward->score(outputs.at("image_embedding").values, their_texts, 4);
    EXPECT_LT(difference(outputs.at("score").values, expected.score), kTolerance);
    EXPECT_LT(difference(outputs.at("score").values, source_.reward->score(images, texts, 4).score), kNeighbours);
  }
}

const std::vector<HeadCase> kHeadCases = {
    {"mlp", "mse"},        {"mlp", "ce"},     {"cnn", "ce"},     {"lstm", "ce"},   {"linear", "bce"},
    {"interaction", "bt"}, {"clip", "bt"},    {"deep", "bt"},    {"deep", "mse"},  {"attention", "ce"},
    {"attention", "bt"},   {"mlp", "mse", 3}, {"clip", "bt", 2}, {"mlp", "bt", 3}, {"lstm", "ce", 2}};

INSTANTIATE_TEST_SUITE_P(Heads, OnnxReward, testing::ValuesIn(kHeadCases), [](const auto& instance) {
  std::string name = instance.param.head + "_" + instance.param.loss;
  return instance.param.ensemble == 1 ? name : fmt::format("{}_of_{}", name, instance.param.ensemble);
});

TEST(OnnxHeads, EveryHeadOfTrainIsAmongTheCases) {
  for (const reward::HeadKind& kind : reward::head_kinds())
    EXPECT_TRUE(std::ranges::any_of(kHeadCases, [&](const HeadCase& one) { return one.head == kind.name; }))
        << kind.name;
}

TEST(OnnxHeads, OneWithoutAGraphIsNamed) {
  Graph graph("head");
  reward::HeadParts parts;
  parts.head = "oracle";
  parts.dim = 4;
  parts.scaling = reward::InputScaling::kUnitLength;
  try {
    (void)add_scores(graph, std::vector{parts}, "image_embedding", "text_embedding");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("found 'oracle'"));
  }
}

/// A published scorer on the test's model, or a published head's file on it.
class OnnxScorer : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    write_model(config_of({"", clip::Activation::kGelu, clip::TextPooling::kFirstEos}), folder_ / "model");
    std::string place = GetParam();
    if (place == "head") {
      place = folder_ / "head.safetensors";
      write_safetensors(place, {{"weight", float_tensor(noise(20, 11), {1, 20})},
                                {"bias", float_tensor(std::vector<float>{3.5F}, {1})}});
    }
    source_ = source_of(folder_ / "model");
    source_.reward = reward::Reward::load(place, {.model = (folder_ / "model").string(), .tokenizer = ""});
    source_.reward_name = GetParam();
    std::filesystem::create_directories(folder_ / "out");
  }
  test::TemporaryFolder folder_;
  Source source_;
};

TEST_P(OnnxScorer, TheHeadEqualsOurs) {
  const auto files = write_parts(source_, folder_ / "out", {});
  const std::vector<float> images = noise(6 * 20, 3), texts = noise(6 * 20, 4);
  std::map<std::string, test::OnnxFloats> inputs = {{"image_embedding", {{6, 20}, images}}};
  if (source_.reward->reads_text()) inputs["text_embedding"] = {{6, 20}, texts};
  EXPECT_EQ(files.size(), inputs.size() + 1);  // a text that is not read has no graph
  const auto outputs = test::run_onnx(files.back(), inputs);
  const reward::Scores expected = source_.reward->score(images, texts, 6);
  EXPECT_THAT(outputs.at("score").dims, ElementsAre(6));
  EXPECT_LT(difference(outputs.at("score").values, expected.score), kTolerance);
  EXPECT_GT(difference(std::vector<float>(6, expected.score[0]), expected.score), 1e-2) << "it tells nothing apart";
}

TEST_P(OnnxScorer, PixelsToScoreInOneGraph) {
  const auto files = write_whole(source_, folder_ / "out/score.onnx", {});
  const clip::Encoder encoder = load_encoder(folder_ / "model");
  const std::vector<float> pixels = noise(4 * 3 * 20 * 20, 8);
  const std::vector<std::int64_t> tokens = {58, 3, 17, 4, 59};
  std::map<std::string, test::OnnxIntegers> integers;
  if (source_.reward->reads_text()) integers["tokens"] = {{1, 5}, tokens};
  const auto outputs = test::run_onnx(files[0], {{"pixels", {{4, 3, 20, 20}, pixels}}}, integers);
  EXPECT_EQ(outputs.contains("text_embedding"), source_.reward->reads_text());
  std::vector<float> texts;
  const std::vector<float> images = encoder.embed_pixels(pixels, 4);
  EXPECT_LT(difference(outputs.at("image_embedding").values, images), kTolerance);
  // The same vectors: two that differ in the last bit may round to neighbours in float16.
  if (source_.reward->reads_text()) {
    const std::vector<float>& theirs = outputs.at("text_embedding").values;
    for (int i = 0; i < 4; ++i) texts.insert(texts.end(), theirs.begin(), theirs.end());
    EXPECT_LT(difference(theirs, encoder.embed_tokens(tokens, 1)), kTolerance);
  }
  const reward::Scores same = source_.reward->score(outputs.at("image_embedding").values, texts, 4);
  EXPECT_LT(difference(outputs.at("score").values, same.score), kTolerance);
  std::vector<float> own_texts;
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> one = encoder.embed_tokens(tokens, 1);
    own_texts.insert(own_texts.end(), one.begin(), one.end());
  }
  const reward::Scores own = source_.reward->score(images, own_texts, 4);
  EXPECT_LT(difference(outputs.at("score").values, own.score), kNeighbours);
}

INSTANTIATE_TEST_SUITE_P(Scorers, OnnxScorer, testing::Values("clipscore", "pickscore", "hpsv2", "head"));

class OnnxExport : public OnnxReward {};

TEST_P(OnnxExport, SaysWhatItIsAndHowImagesArePrepared) {
  const auto files = write_whole(source_, folder_ / "out/score.onnx", {});
  const std::string bytes = load_file(files[0]);
  for (const std::string& text :
       {source_.encoder, std::string(R"("crop_size":20)"), std::string(R"("resample":"bicubic")"),
        std::string(R"("mean":[0.48145)"), std::string(R"("pooling":"first_eos")"), std::string(R"("end_of_text":59)"),
        std::string(R"("resize":"shortest_edge")"), std::string(R"("prefix":"")"),
        std::string(R"("cleaning":"huggingface")"), std::string("imagerank.reward"),
        std::string("imagerank.untrained")})
    EXPECT_THAT(bytes, HasSubstr(text));
}

TEST_P(OnnxExport, LargeModelsHaveTheirWeightsBesideThem) {
  const auto files = write_whole(source_, folder_ / "out/score.onnx", {}, {.max_inline_bytes = 1000});
  EXPECT_THAT(files, ElementsAre(folder_ / "out/score.onnx", folder_ / "out/score.onnx.data"));
  EXPECT_LT(std::filesystem::file_size(files[0]), std::filesystem::file_size(files[1]));
  const std::map<std::string, test::OnnxFloats> pixels = {{"pixels", {{2, 3, 20, 20}, noise(2 * 3 * 20 * 20, 8)}}};
  const std::map<std::string, test::OnnxIntegers> tokens = {{"tokens", {{1, 3}, {58, 7, 59}}}};
  const auto inside = write_whole(source_, folder_ / "out/one.onnx", {});
  EXPECT_EQ(test::run_onnx(files[0], pixels, tokens).at("score").values,
            test::run_onnx(inside[0], pixels, tokens).at("score").values);
}

TEST_P(OnnxExport, AStopLeavesNothing) {
  RunContext context;
  std::stop_source stop;
  stop.request_stop();
  context.stop = stop.get_token();
  EXPECT_THROW((void)write_parts(source_, folder_ / "out", context), Error);
  EXPECT_THROW((void)write_whole(source_, folder_ / "out/m.onnx", context), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "out"));
}

INSTANTIATE_TEST_SUITE_P(Heads, OnnxExport, testing::Values(HeadCase{"mlp", "mse"}));

}  // namespace
}  // namespace imagerank::onnx
