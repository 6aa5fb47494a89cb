#include "reward/reward.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/random.h"
#include "reward/trainer.h"
#include "support/test_support.h"

namespace imagerank::reward {
namespace {

constexpr std::size_t kDim = 40;

std::vector<float> random_rows(std::size_t rows, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(rows * kDim);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

class TrainedReward : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    Examples examples;
    examples.images = {.dim = kDim, .values = random_rows(50, 1)};
    examples.texts = {.dim = kDim, .values = random_rows(50, 2)};
    for (std::uint32_t i = 0; i < 50; ++i) {
      const float first = examples.images.values[i * kDim];
      for (auto& split : examples.points) split.push_back({i, i, first > 0.4F ? 2 : first > -0.4F ? 1 : 0});
      for (auto& split : examples.pairs) split.push_back({i, (i + 1) % 50, i, first > 0.0F ? 1.0F : 0.0F, 1.0F});
    }
    TrainOptions options;
    options.head = GetParam();
    options.loss = GetParam() == "clip" ? "bt" : "ce";
    options.epochs = 2;
    RunContext context;
    context.threads = 2;
    train_reward(examples, options, {{"encoder", "test-fp32-0"}, {"model", "builtin/test"}}, path(), context);
  }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "reward"; }
  test::TemporaryFolder folder_;
};

TEST_P(TrainedReward, ARowScoresTheSameBitsAloneAndInAnyBatch) {
  const Reward reward = Reward::load(path());
  constexpr std::size_t kCount = 200;
  const std::vector<float> images = random_rows(kCount, 3);
  const std::vector<float> texts = random_rows(kCount, 4);
  const Scores whole = reward.score(images, texts, kCount);
  ASSERT_EQ(whole.score.size(), kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const Scores alone =
        reward.score(std::span(images).subspan(i * kDim, kDim), std::span(texts).subspan(i * kDim, kDim), 1);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(alone.score[0]), std::bit_cast<std::uint32_t>(whole.score[i]))
        << "row " << i << ": " << alone.score[0] << " and " << whole.score[i];
  }
  for (const std::size_t size : {3U, 63U, 65U}) {
    const Scores part =
        reward.score(std::span(images).subspan(kDim, size * kDim), std::span(texts).subspan(kDim, size * kDim), size);
    EXPECT_EQ(std::memcmp(part.score.data(), whole.score.data() + 1, size * sizeof(float)), 0) << size;
  }
}

TEST_P(TrainedReward, FreshVectorsAgreeWithCachedOnes) {
  const Reward reward = Reward::load(path());
  const std::vector<float> images = random_rows(10, 5);
  const std::vector<float> texts = random_rows(10, 6);
  std::vector<float> cached_images = images;
  std::vector<float> cached_texts = texts;
  for (float& value : cached_images) value = float_from_half(half_from_float(value));
  for (float& value : cached_texts) value = float_from_half(half_from_float(value));
  EXPECT_NE(images, cached_images);
  EXPECT_EQ(reward.score(images, texts, 10).score, reward.score(cached_images, cached_texts, 10).score);
}

TEST_P(TrainedReward, AClassifiersScoreIsItsExpectedLabel) {
  const Reward reward = Reward::load(path());
  const Scores scores = reward.score(random_rows(10, 7), random_rows(10, 8), 10);
  if (!reward.is_classifier()) {
    EXPECT_TRUE(scores.probabilities.empty());
    return;
  }
  ASSERT_EQ(scores.probabilities.size(), 30U);
  for (std::size_t i = 0; i < 10; ++i) {
    const float* const p = scores.probabilities.data() + 3 * i;
    EXPECT_NEAR(p[0] + p[1] + p[2], 1.0, 1e-5);
    EXPECT_NEAR(scores.score[i], p[1] + 2.0F * p[2], 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, TrainedReward,
                         testing::Values("mlp", "cnn", "lstm", "deep", "attention", "linear", "interaction", "clip"),
                         [](const auto& instance) { return instance.param; });

class BadReward : public TrainedReward {
 protected:
  [[nodiscard]] std::string load_error(ErrorCode code) const {
    try {
      (void)Reward::load(path());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "nothing thrown";
  }
  void replace_in_record(const std::string& field, const nlohmann::json& value) const {
    auto record = nlohmann::json::parse(load_file(path() / "reward.json"));
    record[field] = value;
    test::write_text(path() / "reward.json", record.dump());
  }
};

TEST_P(BadReward, WrongSizesOfVectorsAreRefused) {
  const Reward reward = Reward::load(path());
  EXPECT_THROW((void)reward.score(random_rows(2, 1), random_rows(1, 1), 2), Error);
}

TEST_P(BadReward, MissingOrDamagedFilesAreNamed) {
  replace_in_record("dim", 60000);  // would reserve gigabytes if it were believed
  replace_in_record("hidden", 60000);
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("expected"), std::string::npos);
  replace_in_record("dim", kDim);
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("hidden.weight"), std::string::npos);
  replace_in_record("hidden", 512);
  EXPECT_NO_THROW((void)Reward::load(path()));
  replace_in_record("head", "mpl");
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("'mpl'"), std::string::npos);
  replace_in_record("head", 3);
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("'head'"), std::string::npos);
  replace_in_record("head", "mlp");
  replace_in_record("key", "another");
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("two trainings"), std::string::npos);
  const std::string weights = load_file(path() / "reward.safetensors");
  test::write_text(path() / "reward.safetensors", weights.substr(0, weights.size() / 2));
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("reward.safetensors"), std::string::npos);
  std::filesystem::remove(path() / "reward.safetensors");
  EXPECT_NE(load_error(ErrorCode::kNotFound).find("reward.safetensors"), std::string::npos);
  test::write_text(path() / "reward.json", "{");
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("reward.json"), std::string::npos);
  std::filesystem::remove_all(path());
  EXPECT_NE(load_error(ErrorCode::kNotFound).find("found nothing"), std::string::npos);
  test::write_text(path(), "x");
  EXPECT_NE(load_error(ErrorCode::kCorruptData).find("a published head's file"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Heads, BadReward, testing::Values("mlp"));

}  // namespace
}  // namespace imagerank::reward
