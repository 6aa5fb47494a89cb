#include "clip/pretrain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "clip/pretrain_batches.h"
#include "clip/retrieval.h"
#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Tokens = std::vector<std::vector<std::int32_t>>;

constexpr std::int32_t kStart = 100;
constexpr std::int32_t kEnd = 101;
constexpr std::size_t kSide = 8;

/// Solid colours with a caption of two tokens: 16 different pictures, each `copies` times with noise.
struct Colours {
  std::vector<std::uint8_t> pixels;
  Tokens tokens;

  explicit Colours(int copies) {
    std::uint32_t noise = 1;
    for (int copy = 0; copy < copies; ++copy) {
      for (int red = 0; red < 4; ++red) {
        for (int blue = 0; blue < 4; ++blue) {
          for (std::size_t i = 0; i < kSide * kSide; ++i) {
            noise = noise * 1664525U + 1013904223U;
            const auto jitter = static_cast<std::uint8_t>(noise >> 28);
            pixels.push_back(static_cast<std::uint8_t>(80 * red + jitter % 8));
            pixels.push_back(static_cast<std::uint8_t>(100 + jitter));
            pixels.push_back(static_cast<std::uint8_t>(80 * blue + jitter % 8));
          }
          tokens.push_back({kStart, red, 10 + blue, kEnd});
        }
      }
    }
  }
  [[nodiscard]] CaptionedImages view() const { return {pixels, tokens}; }
};

PretrainOptions small_options() {
  PretrainOptions options;
  ModelConfig& model = options.model;
  for (TowerConfig* tower : {&model.vision, &model.text}) {
    tower->width = 32;
    tower->layers = 1;
    tower->heads = 2;
    tower->mlp_width = 64;
  }
  model.image_size = kSide;
  model.patch_size = 4;
  model.vocabulary_size = 102;
  model.context_length = 8;
  model.projection_dim = 16;
  model.bos_token_id = kStart;
  model.eos_token_id = kEnd;
  options.steps = 120;
  options.batch = 32;
  options.learning_rate = 3e-3;
  options.checkpoint_steps = 10;
  return options;
}

RunContext two_threads() {
  RunContext context;
  context.threads = 2;
  return context;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Pretrain, LearnsWhichCaptionBelongsToWhichImage) {
  const test::TemporaryFolder folder;
  const Colours colours(8);
  const PretrainResult result = pretrain(colours.view(), small_options(), folder.path(), two_threads());
  EXPECT_EQ(result.steps, 120);
  EXPECT_EQ(result.resumed_at, 0);
  // 16 captions: ln 16 = 2.8 where nothing is learned. A batch of 32 holds each twice or so, and both are right.
  EXPECT_LT(result.loss, 1.5);
  EXPECT_GT(result.ngrams, 0U);
  EXPECT_FALSE(std::filesystem::exists(folder / "pretrain.checkpoint"));

  const Colours fresh(4);
  const Retrieval retrieval = measure_retrieval(fresh.view(), folder.path(), 16, 3, two_threads());
  EXPECT_EQ(retrieval.captions, 64U);
  EXPECT_GT(retrieval.top1, 0.8);  // chance: 1/16 and a little for equal captions
}

TEST(Pretrain, SameSeedSameBytes) {
  const test::TemporaryFolder first, second, third;
  const Colours colours(4);
  PretrainOptions options = small_options();
  options.steps = 5;
  pretrain(colours.view(), options, first.path(), two_threads());
  pretrain(colours.view(), options, second.path(), two_threads());
  options.seed = 1;
  pretrain(colours.view(), options, third.path(), two_threads());
  EXPECT_EQ(load_file(first / "model.safetensors"), load_file(second / "model.safetensors"));
  EXPECT_NE(load_file(first / "model.safetensors"), load_file(third / "model.safetensors"));
}

TEST(Pretrain, GoesOnFromItsCheckpointAsIfNothingHadHappened) {
  const test::TemporaryFolder whole, cut;
  const Colours colours(4);
  PretrainOptions options = small_options();
  options.steps = 30;
  pretrain(colours.view(), options, whole.path(), two_threads());

  std::stop_source stop;
  RunContext context = two_threads();
  context.stop = stop.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done == 17) stop.request_stop();
  };
  EXPECT_THROW(pretrain(colours.view(), options, cut.path(), context), Error);
  EXPECT_FALSE(std::filesystem::exists(cut / "model.safetensors"));
  const PretrainResult resumed = pretrain(colours.view(), options, cut.path(), two_threads());
  EXPECT_EQ(resumed.resumed_at, 17);
  EXPECT_EQ(load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors"));
}

TEST(Pretrain, RefusesACheckpointOfOtherOptionsOrABrokenOne) {
  const test::TemporaryFolder folder;
  const Colours colours(4);
  PretrainOptions options = small_options();
  options.steps = 30;
  std::stop_source stop;
  stop.request_stop();
  RunContext context = two_threads();
  context.stop = stop.get_token();
  EXPECT_THROW(pretrain(colours.view(), options, folder.path(), context), Error);
  ASSERT_TRUE(std::filesystem::exists(folder / "pretrain.checkpoint"));
  options.seed = 7;
  const auto again = [&] { pretrain(colours.view(), options, folder.path(), two_threads()); };
  EXPECT_THAT(message_of(again), HasSubstr("found one of others"));
  std::filesystem::resize_file(folder / "pretrain.checkpoint", 1000);
  EXPECT_THAT(message_of(again), HasSubstr("expected a checkpoint"));
}

TEST(Pretrain, NamesBadOptionsAndPairs) {
  const test::TemporaryFolder folder;
  const Colours colours(1);
  const auto error = [&](const CaptionedImages& pairs, const PretrainOptions& options) {
    return message_of([&] { pretrain(pairs, options, folder.path(), two_threads()); });
  };
  PretrainOptions options = small_options();
  options.batch = 1;
  EXPECT_THAT(error(colours.view(), options), HasSubstr("batch: expected 2..65536, found 1"));
  options = small_options();
  CaptionedImages pairs = colours.view();
  pairs.pixels = pairs.pixels.first(100);
  EXPECT_THAT(error(pairs, options), HasSubstr("found 100"));
  Tokens wrong = colours.tokens;
  wrong[3][1] = 102;
  EXPECT_THAT(error({colours.pixels, wrong}, options), HasSubstr("0..101"));
  EXPECT_THAT(error({}, options), HasSubstr("two or more"));
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors"));
}

TEST(CaptionNgrams, CountsTokensAndPairsOfThem) {
  Tokens tokens;
  for (int i = 0; i < 40; ++i) tokens.push_back({kStart, 1, i < 20 ? 2 : 3, kEnd});
  const CaptionNgrams ngrams = find_caption_ngrams(tokens, 100);
  // 1 stands in all, which tells nothing; 2, 3, (1 2) and (1 3) in half each.
  EXPECT_THAT(ngrams.frequency, ElementsAre(0.5F, 0.5F, 0.5F, 0.5F));
  EXPECT_EQ(ngrams.of_caption.front().size(), 2U);
  EXPECT_EQ(find_caption_ngrams(tokens, 1).frequency.size(), 1U);
  tokens.resize(19);
  EXPECT_THAT(find_caption_ngrams(tokens, 100).frequency, IsEmpty());
}

TEST(CaptionNgrams, NumbersEqualCaptionsAlike) {
  const Tokens tokens = {{1, 2}, {3, 4}, {1, 2}, {5, 6}};
  EXPECT_THAT(number_captions(tokens), ElementsAre(0, 1, 0, 2));
}

TEST(OrderEpoch, HoldsEveryPairOnceAndGroupsSimilarOnes) {
  Tokens tokens;
  for (int i = 0; i < 400; ++i) tokens.push_back({kStart, i % 10, kEnd});
  const CaptionNgrams ngrams = find_caption_ngrams(tokens, 100);
  ASSERT_EQ(ngrams.frequency.size(), 10U);
  const auto order = order_epoch(ngrams, 8, 5, 0);
  EXPECT_EQ(std::set<std::uint32_t>(order.begin(), order.end()).size(), 400U);
  int alike = 0;
  for (std::size_t i = 1; i < order.size(); ++i) alike += order[i] % 10 == order[i - 1] % 10 ? 1 : 0;
  EXPECT_GT(alike, 300);  // in random order one in ten
  EXPECT_EQ(order, order_epoch(ngrams, 8, 5, 0));
  EXPECT_NE(order, order_epoch(ngrams, 8, 5, 1));
}

}  // namespace
}  // namespace imagerank::clip
