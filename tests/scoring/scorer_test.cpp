#include "imagerank/scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "clip/encoder.h"
#include "clip/model_config.h"
#include "clip/models.h"
#include "core/atomic_file.h"
#include "core/random.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "reward/reward.h"
#include "reward/trainer.h"
#include "support/test_support.h"

namespace imagerank {
namespace {

std::string noisy_png(std::uint64_t seed) {
  Random random(seed);
  images::Image image{40, 30, {}};
  for (int i = 0; i < 40 * 30 * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return images::encode_png(image);
}

/// A random tiny encoder, a reward trained on noise in its space, and six pictures: made once.
class ScorerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    const std::vector<std::string> words = {"a red car", "a blue circle", "two green squares"};
    clip::train_tokenizer(words, 520, path("tokenizer"));
    clip::write_random_model(clip::named_model_config("tiny"), path("tiny"), 1, path("tokenizer"));
    clip::write_random_model(clip::named_model_config("tiny"), path("other"), 2, path("tokenizer"));
    const auto encoder = tiny_encoder();
    Random random(3);
    reward::Examples examples;
    for (auto* const table : {&examples.images, &examples.texts}) {
      table->dim = encoder.dim();
      for (std::size_t i = 0; i < 40 * encoder.dim(); ++i) table->values.push_back(static_cast<float>(random.normal()));
    }
    for (std::uint32_t i = 0; i < 40; ++i) {
      for (auto& split : examples.pairs) split.push_back({i, (i + 7) % 40, i, random.chance(0.5) ? 1.0F : 0.0F, 1.0F});
    }
    reward::TrainOptions options;
    options.head = "mlp";
    options.loss = "bt";
    options.epochs = 1;
    reward::train_reward(examples, options, {{"encoder", encoder.name()}, {"model", path("tiny").string()}},
                         path("reward"), {});
    for (std::uint64_t i = 0; i < 6; ++i) write_file_atomically(picture(i), noisy_png(i));
    test::write_text(path("broken.png"), "\x89PNG\r\n\x1a\n and no more");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::filesystem::path path(const std::string& name) { return folder_->path() / name; }
  static std::filesystem::path picture(std::uint64_t index) { return path("p" + std::to_string(index) + ".png"); }

  static clip::Encoder tiny_encoder() {
    clip::EncoderOptions options;
    options.allow_untrained = true;
    return clip::Encoder::load(path("tiny").string(), options);
  }
  static ScorerOptions with_model(const std::string& model) {
    ScorerOptions options;
    options.model = model;
    return options;
  }
  static ScorerOptions with_batch(std::size_t batch) {
    ScorerOptions options;
    options.threads = 1;
    options.batch = batch;
    return options;
  }
  static ErrorCode load_error(const std::filesystem::path& reward, const ScorerOptions& options, std::string& message) {
    try {
      (void)Scorer::load(reward, options);
    } catch (const Error& error) {
      message = error.what();
      return error.code();
    }
    message = "nothing thrown";
    return ErrorCode::kCancelled;
  }

 private:
  static inline test::TemporaryFolder* folder_ = nullptr;
};

TEST_F(ScorerTest, IsTheEncoderThenTheHead) {
  const Scorer scorer = Scorer::load(path("reward"));
  const auto encoder = tiny_encoder();
  const auto head = reward::Reward::load(path("reward"));
  const std::string prompt = "a red car";
  const auto image =
      encoder.embed_pixels(images::preprocess(images::load_image(picture(0)), encoder.preprocessing()), 1);
  const auto text = encoder.embed_texts(std::span(&prompt, 1)).values;
  const std::vector<std::filesystem::path> files = {picture(0)};
  const auto scored = scorer.score(prompt, files);
  ASSERT_EQ(scored.size(), 1U);
  EXPECT_TRUE(scored[0].ok());
  EXPECT_EQ(scored[0].score, head.score(image, text, 1).score[0]);
  EXPECT_EQ(scored[0].score, scorer.score_embeddings(image, text, 1)[0]);
  EXPECT_EQ(scorer.encoder(), encoder.name());
  EXPECT_EQ(scorer.dim(), encoder.dim());
  EXPECT_EQ(scorer.head(), "mlp");
  EXPECT_EQ(scorer.loss(), "bt");
  EXPECT_TRUE(scorer.untrained());
}

TEST_F(ScorerTest, FilesBytesAndPairsAgreeAtAnyBatch) {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> contents;
  std::vector<ImagePrompt> items;
  for (std::uint64_t i = 0; i < 6; ++i) {
    files.push_back(picture(i));
    contents.push_back(load_file(picture(i)));
    items.push_back({picture(i), "a red car"});
  }
  std::vector<std::span<const std::byte>> bytes;
  for (const std::string& content : contents) bytes.push_back(std::as_bytes(std::span(content)));
  const Scorer scorer = Scorer::load(path("reward"));
  const auto by_file = scorer.score("a red car", files);
  const auto by_bytes = scorer.score("a red car", bytes);
  const auto by_pair = scorer.score(items);
  const auto small_batches = Scorer::load(path("reward"), with_batch(1)).score(items);
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(by_file[i].score, by_bytes[i].score);
    EXPECT_EQ(by_file[i].score, by_pair[i].score);
    // The tower's own float32 rounding may differ with its batch, and float16 may show it.
    EXPECT_NEAR(by_file[i].score, small_batches[i].score, 2e-3);
  }
  EXPECT_NE(by_file[0].score, by_file[1].score);
  EXPECT_NE(scorer.score("two green squares", files)[0].score, by_file[0].score);
}

TEST_F(ScorerTest, ABrokenImageIsAResultWithAReason) {
  const Scorer scorer = Scorer::load(path("reward"));
  const std::vector<std::filesystem::path> files = {picture(0), path("broken.png"), path("gone.png"), picture(1)};
  const auto scored = scorer.score("x", files);
  EXPECT_TRUE(scored[0].ok());
  EXPECT_EQ(scored[1].reason, "corrupt");
  EXPECT_TRUE(std::isnan(scored[1].score));
  EXPECT_NE(scored[1].detail.find("broken.png"), std::string::npos);
  EXPECT_EQ(scored[2].reason, "missing");
  EXPECT_TRUE(scored[3].ok());
  EXPECT_TRUE(scorer.score("x", std::span<const std::filesystem::path>()).empty());
}

TEST_F(ScorerTest, AnotherEncoderIsRefusedNamingBoth) {
  std::string message;
  EXPECT_EQ(load_error(path("reward"), with_model(path("other").string()), message), ErrorCode::kRefused);
  EXPECT_NE(message.find("tiny-fp32-"), std::string::npos) << message;
  EXPECT_NE(message.find("other-fp32-"), std::string::npos) << message;
  EXPECT_EQ(load_error(path("nowhere"), {}, message), ErrorCode::kNotFound);
  EXPECT_EQ(load_error(path("reward"), with_model(path("nowhere").string()), message), ErrorCode::kNotFound);
  EXPECT_EQ(load_error(path("reward"), with_batch(4097), message), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace imagerank
