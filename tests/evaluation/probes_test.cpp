#include "evaluation/probes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "imagerank/error.h"

namespace imagerank::evaluation {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kItems = 40;

/// Scores 0, 1, 0, 1, ... of one image a prompt, and what `change` makes of them.
struct Probed {
  std::vector<double> scores;
  std::vector<std::uint32_t> prompts;
  Probed() {
    for (std::uint32_t i = 0; i < kItems; ++i) {
      scores.push_back(i % 2);
      prompts.push_back(i);
    }
  }
  [[nodiscard]] Probe probe(Expectation expectation, double change) const {
    Probe probe{"p", "changed", expectation, scores};
    for (auto& score : probe.scores) score += change;
    return probe;
  }
  [[nodiscard]] ProbeResult result(const Probe& probe) const {
    return measure_probes(scores, prompts, kItems, std::vector{probe}, 500).results.at(0);
  }
};

TEST(Probes, ChangesAreInDeviationsOfTheUnchangedScores) {
  const Probed probed;
  const auto result = probed.result(probed.probe(Expectation::kFall, -1.0));
  const double deviation = std::sqrt(10.0 / 39.0);  // forty times 0.5 squared, over 39
  EXPECT_NEAR(*result.mean_change.value, -1.0 / deviation, 1e-12);
  EXPECT_DOUBLE_EQ(*result.share_rising.value, 0.0);
  EXPECT_EQ(result.n, kItems);
  EXPECT_EQ(result.verdict, ProbeVerdict::kAsItShould);
}

TEST(Probes, VerdictsFollowTheInterval) {
  EXPECT_EQ(judge_probe(Expectation::kFall, {-0.5, -0.9, -0.1}), ProbeVerdict::kAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kFall, {-0.5, -0.9, 0.1}), ProbeVerdict::kUnclear);
  EXPECT_EQ(judge_probe(Expectation::kFall, {0.5, 0.1, 0.9}), ProbeVerdict::kNotAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kNotRise, {0.0, -0.1, 0.1}), ProbeVerdict::kAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kNotRise, {0.5, 0.3, 0.7}), ProbeVerdict::kNotAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kNotRise, {0.2, 0.1, 0.3}), ProbeVerdict::kUnclear);
  EXPECT_EQ(judge_probe(Expectation::kStay, {0.0, -0.1, 0.1}), ProbeVerdict::kAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kStay, {-0.5, -0.7, -0.3}), ProbeVerdict::kNotAsItShould);
  EXPECT_EQ(judge_probe(Expectation::kStay, {-0.2, -0.3, -0.1}), ProbeVerdict::kUnclear);
  EXPECT_EQ(judge_probe(Expectation::kStay, {0.0, {}, {}}), ProbeVerdict::kNothingToJudge);
}

TEST(Probes, ItemsThatCannotBeChangedAreLeftOut) {
  const Probed probed;
  auto probe = probed.probe(Expectation::kStay, 0.0);
  for (std::size_t i = 0; i < 10; ++i) probe.scores[i] = kNone;
  const auto some = probed.result(probe);
  EXPECT_EQ(some.n, 30U);
  EXPECT_DOUBLE_EQ(*some.mean_change.value, 0.0);
  EXPECT_EQ(some.verdict, ProbeVerdict::kAsItShould);
  probe.scores.assign(kItems, kNone);
  const auto none = probed.result(probe);
  EXPECT_EQ(none.n, 0U);
  EXPECT_FALSE(none.mean_change.value);
  EXPECT_EQ(none.verdict, ProbeVerdict::kNothingToJudge);
}

TEST(Probes, AConstantHeadHasNoDeviation) {
  Probed probed;
  probed.scores.assign(kItems, 3.0);
  const auto result = probed.result(probed.probe(Expectation::kFall, -1.0));
  EXPECT_FALSE(result.mean_change.value);
  EXPECT_EQ(result.verdict, ProbeVerdict::kNothingToJudge);
}

TEST(Probes, RefusesWhatDoesNotFit) {
  Probed probed;
  auto probe = probed.probe(Expectation::kFall, 0.0);
  probe.scores.pop_back();
  EXPECT_THROW((void)probed.result(probe), Error);
  probed.scores[3] = kNone;
  EXPECT_THROW((void)probed.result(probed.probe(Expectation::kFall, 0.0)), Error);
  EXPECT_EQ(measure_probes({}, {}, 0, {}, 100).items, 0U);
}

}  // namespace
}  // namespace imagerank::evaluation
