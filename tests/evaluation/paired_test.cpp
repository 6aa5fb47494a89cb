#include "evaluation/paired.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace imagerank::evaluation {
namespace {

using Doubles = std::vector<double>;

TEST(Paired, SignFlipsByHand) {
  // Of the eight signs of 2, 1, 1 only all + and all - reach 4.
  EXPECT_DOUBLE_EQ(sign_flip_p(Doubles{2, 1, 0, 1}), 2.0 / 8);
  EXPECT_DOUBLE_EQ(sign_flip_p(Doubles{1, -1}), 1.0);
  EXPECT_DOUBLE_EQ(sign_flip_p(Doubles{0, 0}), 1.0) << "the two never differ";
  EXPECT_DOUBLE_EQ(sign_flip_p({}), 1.0);
}

TEST(Paired, DrawnSignsComeCloseToAllOfThem) {
  // 20 prompts by one pair each, 15 for the first: the binomial's two-sided p is 0.0414.
  Doubles differences(20, 1.0);
  for (std::size_t i = 0; i < 5; ++i) differences[i] = -1.0;
  EXPECT_NEAR(sign_flip_p(differences), 0.0414, 0.006);
  EXPECT_GE(sign_flip_p(Doubles(40, 1.0)), 1e-4) << "never 0";
}

TEST(Paired, Holm) {
  // 0.01 * 4, 0.02 * 3, then 0.06 again (not 0.03 * 2), then 0.2.
  const auto adjusted = holm(Doubles{0.03, 0.01, 0.2, 0.02});
  EXPECT_DOUBLE_EQ(adjusted[1], 0.04);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.2);
  EXPECT_DOUBLE_EQ(holm(Doubles{0.7, 0.8})[0], 1.0);
}

/// `prompts` prompts of three pairs that a won; the judges answer right with the given chances.
struct TwoJudges {
  SplitTruth truth;
  Predictions first, second;
  TwoJudges(std::size_t prompts, double chance_first, double chance_second, std::uint64_t seed) {
    Random random(seed);
    truth.prompt_count = prompts;
    truth.ranking_begin = {0};
    for (std::uint32_t prompt = 0; prompt < prompts; ++prompt) {
      for (int pair = 0; pair < 3; ++pair) {
        truth.pair_prompt.push_back(prompt);
        truth.pair_p_a.push_back(1.0);
        first.pair_a.push_back(random.chance(chance_first) ? 1.0 : -1.0);
        second.pair_a.push_back(random.chance(chance_second) ? 1.0 : -1.0);
      }
    }
    first.pair_b.assign(truth.pairs(), 0.0);
    second.pair_b = first.pair_b;
  }
};

TEST(Paired, ABetterJudgeIsFoundAndThePairingReversed) {
  const TwoJudges judges(80, 0.85, 0.6, 1);
  const auto test = compare_strict(judges.truth, judges.first, judges.second, Bootstrap(80));
  EXPECT_GT(*test.difference.low, 0.0);
  EXPECT_LT(*test.p, 0.01);
  const auto other = compare_strict(judges.truth, judges.second, judges.first, Bootstrap(80));
  const auto back = reversed(other);
  EXPECT_NEAR(*back.difference.value, *test.difference.value, 1e-12);
  EXPECT_NEAR(*back.difference.low, *test.difference.low, 1e-9);
  EXPECT_DOUBLE_EQ(*back.p, *test.p);
}

TEST(Paired, AJudgeAgainstItself) {
  const TwoJudges judges(10, 0.7, 0.7, 2);
  const auto test = compare_strict(judges.truth, judges.first, judges.first, Bootstrap(10));
  EXPECT_DOUBLE_EQ(*test.difference.value, 0.0);
  EXPECT_DOUBLE_EQ(*test.difference.high, 0.0);
  EXPECT_DOUBLE_EQ(*test.p, 1.0);
}

TEST(Paired, EqualJudgesAreToldApartAsOftenAsTheLevelSays) {
  int rejected = 0;
  int outside = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const TwoJudges judges(30, 0.7, 0.7, seed);
    const auto test = compare_strict(judges.truth, judges.first, judges.second, Bootstrap(30, 300));
    if (*test.p < 0.05) ++rejected;
    if (*test.difference.low > 0.0 || *test.difference.high < 0.0) ++outside;
  }
  EXPECT_LE(rejected, 18) << "of 200 at 5 %";
  EXPECT_GE(rejected, 2) << "a test that never rejects is none";
  EXPECT_LE(outside, 18);
}

TEST(Paired, NothingToCompare) {
  TwoJudges judges(4, 0.7, 0.7, 3);
  EXPECT_FALSE(compare_strict(judges.truth, judges.first, {}, Bootstrap(4)).p);
  for (auto& p : judges.truth.pair_p_a) p = 0.5;
  const auto test = compare_strict(judges.truth, judges.first, judges.second, Bootstrap(4));
  EXPECT_FALSE(test.p);
  EXPECT_FALSE(test.difference.value);
}

}  // namespace
}  // namespace imagerank::evaluation
