#include "evaluation/slices.h"

#include <gtest/gtest.h>

#include "imagerank/error.h"

namespace imagerank::evaluation {
namespace {

/// Three prompts of two pairs; b wins none. The judge is wrong on pair 1 and undecided on pair 5, a tie.
struct Judged {
  SplitTruth truth;
  Predictions predictions;
  Judged() {
    truth.prompt_count = 3;
    truth.ranking_begin = {0};
    truth.pair_prompt = {0, 0, 1, 1, 2, 2};
    truth.pair_p_a = {1, 1, 1, 1, 1, 0.5};
    predictions.pair_a = {1, -1, 1, 1, 1, 0};
    predictions.pair_b = {0, 0, 0, 0, 0, 0};
  }
};

TEST(Slices, EachHasItsCountsAndItsAccuracy) {
  const Judged judged;
  const std::vector<Slice> slices = {
      {"half", "first", {0, 1, 2}}, {"half", "second", {3, 4, 5}}, {"none", "empty", {}}};
  const auto results = measure_slices(judged.truth, judged.predictions, {}, 0.0, Bootstrap(3), slices);
  ASSERT_EQ(results.size(), 2U) << "an empty slice is left out";
  EXPECT_EQ(results[0].name, "first");
  EXPECT_EQ(results[0].pairs, 3U);
  EXPECT_EQ(results[0].prompts, 2U);
  EXPECT_DOUBLE_EQ(*results[0].strict.value, 2.0 / 3);
  EXPECT_EQ(results[1].strict_pairs, 2U);
  EXPECT_DOUBLE_EQ(*results[1].strict.value, 1.0);
  EXPECT_DOUBLE_EQ(*results[1].pickscore.value, 1.0);
  EXPECT_LT(*results[1].strict.low, 1.0) << "two prompts, all right, are no certainty";
}

TEST(Slices, TiedPairsHaveNoStrictAccuracyAndOnePromptNoInterval) {
  const Judged judged;
  const std::vector<Slice> slices = {{"votes", "tied", {5}}};
  const auto results = measure_slices(judged.truth, judged.predictions, {}, 0.0, Bootstrap(3), slices);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_FALSE(results[0].strict.value);
  EXPECT_DOUBLE_EQ(*results[0].pickscore.value, 1.0);
  EXPECT_FALSE(results[0].pickscore.low);
}

TEST(Slices, AllPairsAreTheWhole) {
  const Judged judged;
  const std::vector<Slice> slices = {{"all", "all", {0, 1, 2, 3, 4, 5}}};
  const Bootstrap bootstrap(3);
  const auto slice = measure_slices(judged.truth, judged.predictions, {}, 0.0, bootstrap, slices).at(0);
  const auto whole = at(measure(judged.truth, judged.predictions, 0.0, bootstrap), Metric::kPairStrictMicro);
  EXPECT_DOUBLE_EQ(*slice.strict.value, *whole.value);
  EXPECT_DOUBLE_EQ(*slice.strict.low, *whole.low);
  EXPECT_DOUBLE_EQ(*slice.strict.high, *whole.high);
}

TEST(Slices, BaselinesStandBesideEach) {
  const Judged judged;
  BaselineResults baselines;
  auto& oracle = baselines[static_cast<std::size_t>(Baseline::kOracle)].predictions;
  oracle.pair_a = {1, 1, 1, 0, 1, 0};
  oracle.pair_b = {0, 0, 0, 1, 0, 0};
  const std::vector<Slice> slices = {{"half", "second", {3, 4, 5}}, {"votes", "tied", {5}}};
  const auto results = measure_slices(judged.truth, judged.predictions, baselines, 0.0, Bootstrap(3), slices);
  const auto value = [&](std::size_t slice, Baseline baseline) {
    return results[slice].baselines[static_cast<std::size_t>(baseline)];
  };
  EXPECT_EQ(value(0, Baseline::kOracle), 0.5) << "pair 3 wrong, 4 right, 5 a tie";
  EXPECT_EQ(value(0, Baseline::kRandom), 0.5);
  EXPECT_FALSE(value(0, Baseline::kClipCosine)) << "not known";
  EXPECT_FALSE(value(1, Baseline::kOracle)) << "no winner to find";
}

TEST(Slices, RefusesAPairThatIsNotThere) {
  const Judged judged;
  const std::vector<Slice> slices = {{"a", "b", {6}}};
  EXPECT_THROW((void)measure_slices(judged.truth, judged.predictions, {}, 0.0, Bootstrap(3), slices), Error);
}

}  // namespace
}  // namespace imagerank::evaluation
