#include "clip/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "clip/models.h"
#include "core/npy.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

double relative_error(std::span<const float> found, std::span<const float> expected) {
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - static_cast<double>(expected[i]), 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return found.size() == expected.size() ? std::sqrt(difference / size) : 1.0;
}

/// A random model of 600 tokens and 16 context tokens, with a tokenizer learned on a few lines.
class EncoderOfRandomWeights : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    const std::vector<std::string> texts = {"a red circle on the left", "two blue squares",
                                            "a small green star above a red circle", "the large yellow square",
                                            "a star, a circle and a square"};
    train_tokenizer(texts, 560, *folder_ / "tokenizer");
    ModelConfig config = named_model_config("tiny");
    config.context_length = 16;
    write_random_model(config, *folder_ / "My Model_1", 3, *folder_ / "tokenizer");
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string model() { return (*folder_ / "My Model_1").string(); }
  static Encoder load(EncoderOptions options = {}) {
    options.allow_untrained = true;
    return Encoder::load(model(), options);
  }
  static std::vector<float> pixels(std::size_t count) {
    std::vector<float> values(count * 3 * 64 * 64);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t image = i / 12288;
      values[i] = std::sin(static_cast<float>(i) * 0.37F) + static_cast<float>(image) * 0.2F;
    }
    return values;
  }

  static std::optional<test::TemporaryFolder> folder_;
};
std::optional<test::TemporaryFolder> EncoderOfRandomWeights::folder_;

TEST_F(EncoderOfRandomWeights, NameIsSlugPrecisionAndHash) {
  const Encoder encoder = load();
  EXPECT_THAT(encoder.name(), ::testing::MatchesRegex("my-model-1-fp32-[0-9a-f]{8}"));
  EXPECT_TRUE(encoder.untrained());
  EXPECT_EQ(encoder.dim(), 48U);
  EXPECT_EQ(encoder.image_size(), 64U);
  EXPECT_EQ(encoder.context_length(), 16U);
  EXPECT_EQ(encoder.preprocessing().crop_size, 64);
  EncoderOptions bf16;
  bf16.precision = Precision::kBf16;
  EXPECT_THAT(load(bf16).name(), StartsWith("my-model-1-bf16-"));
  EncoderOptions without;
  without.need_tokenizer = false;
  EXPECT_EQ(load(without).name(), encoder.name());
  without.need.images = false;
  EXPECT_EQ(load(without).name(), encoder.name());
  EncoderOptions cleaned;
  cleaned.text_cleaning = TextCleaning::kOpenAi;
  EXPECT_NE(load(cleaned).name(), encoder.name());
}

TEST_F(EncoderOfRandomWeights, TowersThatAreNotNeededAreMissedByName) {
  const Encoder both = load();
  const std::vector<float> pixels(3 * both.image_size() * both.image_size(), 0.5F);
  const std::vector<std::string> texts = {"a cat"};
  EncoderOptions images, words;
  images.need.texts = images.need_tokenizer = false;
  words.need.images = false;
  for (const Engine engine : {Engine::kNative, Engine::kTorch}) {
    images.engine = words.engine = engine;
    const Encoder eyes = load(images), reader = load(words);
    std::vector<float> vector(eyes.dim());
    EXPECT_LT(relative_error(eyes.embed_pixels(pixels, 1), both.embed_pixels(pixels, 1)), 1e-5);
    EXPECT_LT(relative_error(reader.embed_texts(texts).values, both.embed_texts(texts).values), 1e-5);
    EXPECT_THROW((void)reader.embed_pixels(pixels, 1), Error);
    EXPECT_THROW(reader.embed_group(pixels, vector), Error);
    EXPECT_THROW((void)eyes.embed_tokens(std::vector<std::int64_t>{1}, 1), Error);
    try {
      (void)eyes.embed_texts(texts);
      FAIL() << "the text tower was not loaded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(error.what(), "encoder " + eyes.name() + ": texts need a tower that it was loaded without");
    }
  }
}

TEST_F(EncoderOfRandomWeights, TheHashFollowsEveryFile) {
  const std::string name = load().name();
  for (const char* file : {"config.json", "preprocessor_config.json", "tokenizer.json"}) {
    const test::TemporaryFolder copy;
    std::filesystem::copy(model(), copy / "My Model_1", std::filesystem::copy_options::recursive);
    EncoderOptions options;
    options.allow_untrained = true;
    ASSERT_EQ(Encoder::load(copy / "My Model_1", options).name(), name);
    std::ofstream(copy / "My Model_1" / file, std::ios::app) << '\n';
    EXPECT_NE(Encoder::load(copy / "My Model_1", options).name(), name) << file;
  }
}

/// What a published scorer changes is another encoder; what it only repeats is the same one.
TEST_F(EncoderOfRandomWeights, RulesOfAScorerAreInVectorsAndName) {
  const Encoder plain = load();
  EncoderOptions prefixed;
  prefixed.rules.text_prefix = "a red circle ";
  const Encoder with_prefix = load(prefixed);
  EXPECT_NE(with_prefix.name(), plain.name());
  const std::vector<std::string> rest = {"on the left"}, whole = {"a red circle on the left"};
  EXPECT_EQ(with_prefix.embed_texts(rest).values, plain.embed_texts(whole).values);
  EncoderOptions same;
  same.rules.crop_rounding = images::CropRounding::kDown;  // as its preprocessor_config.json says
  EXPECT_EQ(load(same).name(), plain.name());
  EncoderOptions other = same;
  other.rules.crop_rounding = images::CropRounding::kEven;
  EXPECT_NE(load(other).name(), plain.name());
  EXPECT_EQ(load(other).preprocessing().crop_rounding, images::CropRounding::kEven);
  other.allow_untrained = true;
  EXPECT_EQ(encoder_name(model(), other), load(other).name());
  // Without files of its own it is prepared as CLIP is, but only where a scorer says how.
  const auto bare = *folder_ / "bare";
  std::filesystem::copy(model(), bare);
  std::filesystem::remove(bare / "preprocessor_config.json");
  EXPECT_THROW((void)Encoder::load(bare.string(),
                                   [] {
                                     EncoderOptions options;
                                     options.allow_untrained = true;
                                     return options;
                                   }()),
               Error);
  EXPECT_EQ(Encoder::load(bare.string(), other).preprocessing().crop_size, 64);
}

TEST_F(EncoderOfRandomWeights, OneImageIsLikeTheSameInABatch) {
  const Encoder encoder = load();
  const std::vector<float> input = pixels(4);
  const std::vector<float> batch = encoder.embed_pixels(input, 4);
  ASSERT_EQ(batch.size(), 4U * 48U);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::vector<float> alone = encoder.embed_pixels(std::span(input).subspan(i * 12288, 12288), 1);
    EXPECT_LT(relative_error(alone, std::span(batch).subspan(i * 48, 48)), 1e-5) << i;
  }
  EXPECT_GT(relative_error(std::span(batch).first(48), std::span(batch).subspan(48, 48)), 1e-3) << "different images";
  EXPECT_TRUE(encoder.embed_pixels({}, 0).empty());
  EXPECT_THROW(static_cast<void>(encoder.embed_pixels(input, 3)), Error);
}

/// The towers' threads for the time of a test.
class TowerThreads {
 public:
  explicit TowerThreads(int threads) : before_(tower_threads()) { set_tower_threads(threads); }
  TowerThreads(const TowerThreads&) = delete;
  TowerThreads& operator=(const TowerThreads&) = delete;
  ~TowerThreads() { set_tower_threads(before_); }

 private:
  int before_;
};

TEST_F(EncoderOfRandomWeights, ThreadsBatchesAndOrderChangeNoBit) {
  const std::vector<float> images = pixels(23);
  std::vector<std::string> texts;
  for (int i = 0; i < 90; ++i)
    texts.push_back(std::string("a red circle on the left two blue squares").substr(0, 1 + i % 40));
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    EncoderOptions options;
    options.precision = precision;
    const Encoder encoder = load(options);
    if (!encoder.engine().starts_with("native")) GTEST_SKIP() << encoder.engine();
    const TowerThreads one(1);
    const std::vector<float> expected = encoder.embed_pixels(images, 23);
    const std::vector<float> expected_texts = encoder.embed_texts(texts).values;
    for (const int threads : {2, 5}) {
      const TowerThreads several(threads);
      EXPECT_EQ(encoder.embed_pixels(images, 23), expected);
      EXPECT_EQ(encoder.embed_texts(texts).values, expected_texts);
    }
    std::vector<float> group(23 * encoder.dim());
    encoder.embed_group(images, group);
    EXPECT_EQ(group, expected);
    std::vector<std::string> reversed(texts.rbegin(), texts.rend());
    const std::vector<float> backwards = encoder.embed_texts(reversed).values;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_TRUE(std::equal(backwards.begin() + static_cast<std::ptrdiff_t>((texts.size() - 1 - i) * encoder.dim()),
                             backwards.begin() + static_cast<std::ptrdiff_t>((texts.size() - i) * encoder.dim()),
                             expected_texts.begin() + static_cast<std::ptrdiff_t>(i * encoder.dim())));
    }
  }
}

TEST_F(EncoderOfRandomWeights, BothEnginesAgree) {
  EncoderOptions torch;
  torch.engine = Engine::kTorch;
  const Encoder reference = load(torch), encoder = load();
  EXPECT_EQ(reference.engine(), "libtorch (asked for)");
  EXPECT_EQ(reference.name(), encoder.name()) << "one cache serves both";
  const std::vector<float> images = pixels(7);
  EXPECT_LT(relative_error(encoder.embed_pixels(images, 7), reference.embed_pixels(images, 7)), 1e-5);
  const std::vector<std::string> texts = {"a red circle", "", "two blue squares and a small green star above"};
  EXPECT_LT(relative_error(encoder.embed_texts(texts).values, reference.embed_texts(texts).values), 1e-5);
}

TEST_F(EncoderOfRandomWeights, TextsShareWorkButNotResults) {
  const Encoder encoder = load();
  const std::vector<std::string> texts = {
      "a red circle", "", "two blue squares", "a red circle",
      "a star above a circle above a square above a star above a circle above a red square"};
  const TextEmbeddings all = encoder.embed_texts(texts);
  ASSERT_EQ(all.values.size(), texts.size() * 48);
  EXPECT_EQ(all.truncated, (std::vector<bool>{false, false, false, false, true}));
  EXPECT_EQ(all.tokens[1], 2U) << "both ends";
  EXPECT_GT(all.tokens[0], 2U);
  EXPECT_EQ(all.tokens[4], encoder.context_length());
  const auto row = [&](std::size_t i) { return std::span(all.values).subspan(i * 48, 48); };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const TextEmbeddings alone = encoder.embed_texts(std::span(texts).subspan(i, 1));
    EXPECT_LT(relative_error(alone.values, row(i)), 1e-5) << texts[i];
    EXPECT_EQ(alone.truncated[0], all.truncated[i]);
  }
  EXPECT_TRUE(std::ranges::equal(row(0), row(3))) << "each unique text is run once";
  EXPECT_GT(relative_error(row(0), row(2)), 1e-3);
}

TEST_F(EncoderOfRandomWeights, TextsEqualTheirTokensTruncatedAndPadded) {
  const Encoder encoder = load();
  const Tokenizer tokenizer = Tokenizer::load(model());
  for (const std::string text :
       {"a red circle", "a star above a circle above a square above a star above a circle above a red square"}) {
    const std::vector<std::int32_t> ids = tokenizer.tokenize(text);
    std::vector<std::int64_t> tokens(ids.begin(), ids.end());
    if (tokens.size() > 16) tokens[15] = tokenizer.end_of_text();
    tokens.resize(16, 0);
    EXPECT_LT(relative_error(encoder.embed_tokens(tokens, 1), encoder.embed_texts(std::vector{text}).values), 1e-5)
        << text;
  }
}

TEST_F(EncoderOfRandomWeights, BadTokensAreRefused) {
  const Encoder encoder = load();
  const std::int64_t end = Tokenizer::load(model()).end_of_text();
  const auto message = [&](const std::vector<std::int64_t>& tokens, std::size_t count) -> std::string {
    try {
      static_cast<void>(encoder.embed_tokens(tokens, count));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({1, 2, end}, 1), "no error");
  EXPECT_THAT(message({1, 2, end, 1, 2, 3}, 2), HasSubstr("row 1: expected an end of text"));
  EXPECT_THAT(message({1, 100000, end}, 1), HasSubstr("found 100000"));
  EXPECT_THAT(message({1, -1, end}, 1), HasSubstr("found -1"));
  EXPECT_THAT(message({1, 2, end}, 2), HasSubstr("expected 2 rows"));
  EXPECT_THAT(message(std::vector<std::int64_t>(17, end), 1), HasSubstr("at most 16"));
}

TEST_F(EncoderOfRandomWeights, Refusals) {
  const auto code = [](const EncoderOptions& options, const std::string& name) -> std::optional<ErrorCode> {
    try {
      static_cast<void>(Encoder::load(name, options));
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  };
  EncoderOptions options;
  EXPECT_EQ(code(options, model()), ErrorCode::kRefused);
  options.allow_untrained = true;
  EXPECT_EQ(code(options, model()), std::nullopt);
  EXPECT_EQ(code(options, "no/such/model"), ErrorCode::kNotFound);
  options.precision = Precision::kInt8;
  options.engine = Engine::kTorch;
  EXPECT_EQ(code(options, model()), ErrorCode::kUnavailable);
  options.precision = Precision::kFp32;
  EXPECT_EQ(code(options, model()), std::nullopt);
  options.engine = Engine::kNative;
  options.device = Device::kCuda;
  EXPECT_EQ(code(options, model()), ErrorCode::kUnavailable);
  options = EncoderOptions();
  options.allow_untrained = true;
  options.tokenizer_dir = *folder_ / "nowhere";
  EXPECT_EQ(code(options, model()), ErrorCode::kNotFound);
}

TEST_F(EncoderOfRandomWeights, ATokenizerOfAnotherModelIsRefused) {
  const test::TemporaryFolder other;
  train_tokenizer(std::vector<std::string>{"a red circle"}, 530, other.path());
  EncoderOptions options;
  options.tokenizer_dir = other.path();
  EXPECT_THROW(static_cast<void>(load(options)), Error) << "its end of text is another id";
}

TEST_F(EncoderOfRandomWeights, PreprocessingOfAnotherSizeIsRefused) {
  const test::TemporaryFolder copy;
  std::filesystem::copy(model(), copy / "m", std::filesystem::copy_options::recursive);
  images::PreprocessOptions preprocessing;
  save_preprocess_options(preprocessing, copy / "m");
  EncoderOptions options;
  options.allow_untrained = true;
  try {
    static_cast<void>(Encoder::load(copy / "m", options));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("crop_size: expected 64"));
  }
}

TEST_F(EncoderOfRandomWeights, TheSameSeedGivesTheSameModel) {
  const test::TemporaryFolder other;
  ModelConfig config = named_model_config("tiny");
  config.context_length = 16;
  write_random_model(config, other / "My Model_1", 3, *folder_ / "tokenizer");
  EncoderOptions options;
  options.allow_untrained = true;
  EXPECT_EQ(Encoder::load(other / "My Model_1", options).name(), load().name());
  write_random_model(config, other / "b" / "My Model_1", 4, *folder_ / "tokenizer");
  EXPECT_NE(Encoder::load(other / "b" / "My Model_1", options).name(), load().name());
  EXPECT_THROW(write_random_model(config, other / "My Model_1", 3, std::nullopt), Error) << "never over a model";
}

TEST(Encoder, ReferenceModelsTextsAndPixels) {
  IMAGERANK_SHARED_DATA(fixture, "fixtures/clip_tiny_quickgelu");
  EncoderOptions options;
  options.need_tokenizer = false;
  const Encoder encoder = Encoder::load(fixture, options);
  const NpyFile pixels(fixture / "pixels.npy"), tokens(fixture / "tokens.npy");
  const std::size_t count = pixels.shape()[0];
  EXPECT_LT(
      relative_error(encoder.embed_pixels(pixels.to_float(), count), NpyFile(fixture / "image_embeds.npy").to_float()),
      1e-5);
  EXPECT_LT(
      relative_error(encoder.embed_tokens(tokens.to_int64(), count), NpyFile(fixture / "text_embeds.npy").to_float()),
      1e-5);
  EXPECT_TRUE(encoder.untrained()) << "its config does not say so, its weights do";
  EXPECT_THROW(static_cast<void>(encoder.embed_texts(std::vector<std::string>{"a"})), Error)
      << "loaded without tokenizer";
}

TEST(Models, BuiltinSampleFollowsTheEnvironment) {
  const test::TemporaryFolder assets;
  write_random_model(named_model_config("tiny"), assets / "sample", 0, std::nullopt);
  ::setenv("IMAGERANK_ASSETS", assets.path().c_str(), 1);
  EXPECT_EQ(resolve_model("builtin/sample"), assets / "sample");
  const std::vector<ModelInfo> models = list_builtin_models();
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models[0].name, "builtin/sample");
  EXPECT_EQ(models[0].layout, "hugging_face");
  EXPECT_TRUE(models[0].config.untrained);
  ::setenv("IMAGERANK_ASSETS", (assets / "nothing").c_str(), 1);
  EXPECT_TRUE(list_builtin_models().empty());
  try {
    static_cast<void>(resolve_model("builtin/sample"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("nothing/sample"));
  }
  ::unsetenv("IMAGERANK_ASSETS");
}

TEST(Models, ReferenceBlasIsToldFromTheOthers) {
  EXPECT_EQ(slow_blas_warning("/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3"), std::nullopt);
  EXPECT_EQ(slow_blas_warning("/usr/lib/x86_64-linux-gnu/libopenblas.so.0"), std::nullopt);
  EXPECT_EQ(slow_blas_warning("/opt/libtorch/lib/libtorch_cpu.so"), std::nullopt) << "a BLAS of its own inside";
  const auto warning = slow_blas_warning("/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0");
  ASSERT_TRUE(warning.has_value());
  EXPECT_THAT(*warning, HasSubstr("libopenblas0"));
  EXPECT_EQ(slow_blas_warning(), std::nullopt) << "this machine's";
}

}  // namespace
}  // namespace imagerank::clip
