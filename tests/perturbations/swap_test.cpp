#include "perturbations/swap.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

namespace imagerank::perturbations {
namespace {

TEST(PromptIndex, DistanceByHand) {
  PromptIndex index;
  for (const char* text : {"a red apple", "a green apple", "a red, RED apple", "", "blue", "红色的猫", "红色的狗"})
    index.add(text);
  index.build(0);
  EXPECT_DOUBLE_EQ(index.distance(0, 1), 0.5);   // {a, apple} of {a, red, green, apple}
  EXPECT_DOUBLE_EQ(index.distance(0, 2), 0.25);  // texts come lower-cased: "RED" is another word here
  EXPECT_DOUBLE_EQ(index.distance(0, 4), 1.0);
  EXPECT_DOUBLE_EQ(index.distance(3, 3), 1.0);
  EXPECT_DOUBLE_EQ(index.distance(1, 1), 0.0);
  EXPECT_NEAR(index.distance(5, 6), 1.0 - 3.0 / 5.0, 1e-12);  // a sign is a word
}

TEST(PromptIndex, OnlyThoseInRangeAndNeverOneOfTheSameImage) {
  PromptIndex index;
  for (const char* text : {"a red apple", "a green apple", "a blue apple", "two dogs run", "a red pear"})
    index.add(text);
  index.set_shared_images({{0, 7}, {1, 7}, {1, 9}, {2, 9}});
  index.build(0);
  EXPECT_TRUE(index.share_image(0, 1));
  EXPECT_TRUE(index.share_image(2, 1));
  EXPECT_FALSE(index.share_image(0, 2));
  EXPECT_FALSE(index.share_image(3, 3));
  const auto all = index.choose(0, 10, {0.0, 1.0}, 5);
  std::set<std::uint32_t> found;
  for (const Swap& swap : all) found.insert(swap.prompt);
  EXPECT_EQ(found, (std::set<std::uint32_t>{2, 3, 4}));
  const auto near = index.choose(0, 10, {0.4, 0.6}, 5);
  ASSERT_EQ(near.size(), 2U);  // "a blue apple", "a red pear": 2 of 4 words
  EXPECT_DOUBLE_EQ(near[0].distance, 0.5);
  EXPECT_TRUE(index.choose(0, 10, {0.7, 0.9}, 5).empty());
}

/// Beyond the size at which every prompt is looked at: near ones must be found by their words.
TEST(PromptIndex, FindsNearPromptsAmongMany) {
  PromptIndex index;
  constexpr int kGroups = 3000;
  for (int i = 0; i < kGroups; ++i) {
    index.add(fmt::format("the lamp number{} of street{} glows", i, i));
    index.add(fmt::format("the lamp number{} of street{} fails", i, i));
  }
  index.build(1);
  for (std::uint32_t prompt = 0; prompt < 200; ++prompt) {
    const auto near = index.choose(prompt, 1, {0.1, 0.4}, prompt);
    ASSERT_EQ(near.size(), 1U) << prompt;
    EXPECT_EQ(near[0].prompt, prompt ^ 1U);  // 5 of 7 words
    const auto far = index.choose(prompt, 5, {0.5, 1.0}, prompt);
    EXPECT_EQ(far.size(), 5U);
    std::set<std::uint32_t> distinct;
    for (const Swap& swap : far) distinct.insert(swap.prompt);
    EXPECT_EQ(distinct.size(), 5U);
  }
}

}  // namespace
}  // namespace imagerank::perturbations
