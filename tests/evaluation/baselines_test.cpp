#include "evaluation/baselines.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "evaluation/warnings.h"
#include "imagerank/error.h"

namespace imagerank::evaluation {
namespace {

constexpr std::size_t kDim = 6;

/// A world in which the label follows the image's first coordinate, never the prompt.
struct World {
  std::vector<float> images;
  std::vector<float> texts;
  SplitData train, validation, test;
  [[nodiscard]] Vectors vectors() const { return {kDim, images, texts}; }
};

void add_prompt(World& world, SplitData& split, Random& random) {
  const auto text = static_cast<std::uint32_t>(world.texts.size() / kDim);
  for (std::size_t i = 0; i < kDim; ++i) world.texts.push_back(static_cast<float>(random.normal()));
  const auto prompt = static_cast<std::uint32_t>(split.truth.prompt_count++);
  const auto first = static_cast<std::uint32_t>(world.images.size() / kDim);
  std::uint32_t best = first;
  for (std::uint32_t image = first; image < first + 4; ++image) {
    for (std::size_t i = 0; i < kDim; ++i) world.images.push_back(static_cast<float>(random.normal()));
    if (world.images[image * kDim] > world.images[best * kDim]) best = image;
  }
  auto& truth = split.truth;
  auto& rows = split.rows;
  if (truth.ranking_begin.empty()) truth.ranking_begin.push_back(0);
  truth.ranking_prompt.push_back(prompt);
  truth.ranking_begin.push_back(truth.ranking_begin.back() + 4);
  for (std::uint32_t image = first; image < first + 4; ++image) {
    truth.point_prompt.push_back(prompt);
    truth.point_label.push_back(image == best ? 2 : 0);
    rows.point_image.push_back(image);
    rows.point_text.push_back(text);
    truth.relevance.push_back(image == best ? 1.0 : 0.0);
    rows.candidate_image.push_back(image);
    rows.candidate_text.push_back(text);
    if (image == best) continue;
    truth.pair_prompt.push_back(prompt);
    truth.pair_p_a.push_back(1.0);
    rows.pair_image_a.push_back(best);
    rows.pair_image_b.push_back(image);
    rows.pair_text.push_back(text);
  }
}

World make_world() {
  World world;
  Random random(3);
  for (int i = 0; i < 100; ++i) add_prompt(world, world.train, random);
  for (int i = 0; i < 30; ++i) add_prompt(world, world.validation, random);
  for (int i = 0; i < 50; ++i) add_prompt(world, world.test, random);
  return world;
}

double value(const BaselineResults& results, Baseline baseline, Metric metric) {
  return at(at(results, baseline).measurement, metric).value.value();
}

TEST(Ridge, RecoversALinearRule) {
  // On the unit circle's axis points, one-hot labels are an exact linear function.
  const std::vector<float> vectors = {1, 0, -1, 0, 0, 1, 0, -1};
  const LabelledRows train{{0, 1, 2, 3, 0, 1}, {1, 0, 1, 0, 1, 0}};
  const LabelledRows validation{{0, 1, 2, 3}, {1, 0, 1, 0}};
  const auto model = fit_ridge(vectors, 2, 2, train, validation);
  EXPECT_DOUBLE_EQ(model.penalty, 1e-3) << "nothing to gain from shrinking";
  const auto scores = model.scores(std::vector<float>{2, 0});
  EXPECT_NEAR(scores[1], 1.0, 0.01) << "vectors are normalised";
  EXPECT_NEAR(scores[0] + scores[1], 1.0, 1e-9);
}

TEST(Ridge, NoiseIsShrunkToTheShares) {
  Random random(11);
  std::vector<float> vectors;
  LabelledRows train;
  LabelledRows validation;
  for (std::uint32_t row = 0; row < 60; ++row) {
    for (int i = 0; i < 30; ++i) vectors.push_back(static_cast<float>(random.normal()));
    auto& side = row < 40 ? train : validation;
    side.rows.push_back(row);
    side.labels.push_back(random.chance(0.25) ? 1 : 0);
  }
  const auto model = fit_ridge(vectors, 30, 2, train, validation);
  EXPECT_GE(model.penalty, 1.0);
  double share = 0.0;
  for (const auto label : train.labels) share += label / 40.0;
  EXPECT_NEAR(model.scores(std::span(vectors).first(30))[1], share, 0.35);
}

TEST(Ridge, RepeatedRowsWeighAsOften) {
  const std::vector<float> vectors = {1, 0, 0, 1};
  const LabelledRows train{{0, 0, 0, 0, 1}, {1, 1, 1, 0, 0}};
  const auto model = fit_ridge(vectors, 2, 2, train, {});
  EXPECT_NEAR((4 * model.scores(std::vector<float>{1, 0})[1] + model.scores(std::vector<float>{0, 1})[1]) / 5, 0.6,
              1e-6)
      << "the mean prediction is the mean label";
}

TEST(Ridge, RefusesWhatItCannotFit) {
  const std::vector<float> vectors = {1, 0};
  EXPECT_THROW((void)fit_ridge(vectors, 2, 2, {}, {}), Error);
  EXPECT_THROW((void)fit_ridge(vectors, 2, 2, {{1}, {0}}, {}), Error);
  EXPECT_THROW((void)fit_ridge(vectors, 2, 2, {{0}, {2}}, {}), Error);
}

TEST(Baselines, NamesAreTheContract) {
  const std::array<std::string_view, 7> expected = {"majority",   "random",      "always_tie", "prompt_only",
                                                    "image_only", "clip_cosine", "oracle"};
  EXPECT_EQ(kBaselineNames, expected);
  for (std::size_t i = 0; i < kBaselineCount; ++i) {
    EXPECT_FALSE(baseline_definition(static_cast<Baseline>(i)).empty());
  }
}

TEST(Baselines, EachGetsWhatItCanKnow) {
  const auto world = make_world();
  const Bootstrap bootstrap(world.test.truth.prompt_count);
  const UtilityFunction oracle = [&](std::uint32_t image, std::uint32_t) { return world.images[image * kDim]; };
  const auto results = measure_baselines(world.vectors(), world.train, world.validation, world.test, oracle, bootstrap);

  EXPECT_DOUBLE_EQ(value(results, Baseline::kMajority, Metric::kAccuracy), 0.75);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kMajority, Metric::kPairStrictMicro), 0.0);
  EXPECT_NEAR(value(results, Baseline::kMajority, Metric::kR2), 0.0, 1e-9);
  EXPECT_NEAR(value(results, Baseline::kMajority, Metric::kLogLoss), -0.75 * std::log(0.75) - 0.25 * std::log(0.25),
              1e-9);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kAlwaysTie, Metric::kAccuracy), 0.0);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kAlwaysTie, Metric::kPairPickscore), 0.5);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kPromptOnly, Metric::kPairStrictMicro), 0.0) << "blind within a prompt";
  EXPECT_DOUBLE_EQ(value(results, Baseline::kPromptOnly, Metric::kRecallAt1), 0.25);
  EXPECT_GT(value(results, Baseline::kImageOnly, Metric::kPairStrictMicro), 0.8) << "all there is to know";
  EXPECT_GT(value(results, Baseline::kImageOnly, Metric::kR2), 0.2);
  EXPECT_NEAR(value(results, Baseline::kClipCosine, Metric::kPairStrictMicro), 0.5, 0.15) << "unrelated to the label";
  EXPECT_FALSE(at(at(results, Baseline::kClipCosine).measurement, Metric::kAccuracy).value);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kOracle, Metric::kPairStrictMicro), 1.0);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kOracle, Metric::kRecallAt1), 1.0);
}

TEST(Baselines, WithoutTrainingOrTruthTheyAreNull) {
  const auto world = make_world();
  SplitData none;
  none.truth.ranking_begin = {0};
  const auto results = measure_baselines(world.vectors(), none, none, world.test, {}, Bootstrap(50));
  for (const auto baseline : {Baseline::kPromptOnly, Baseline::kImageOnly, Baseline::kOracle}) {
    for (const auto& estimate : at(results, baseline).measurement) EXPECT_FALSE(estimate.value);
  }
  EXPECT_FALSE(at(at(results, Baseline::kMajority).measurement, Metric::kAccuracy).value);
  EXPECT_DOUBLE_EQ(value(results, Baseline::kRandom, Metric::kPairStrictMicro), 0.5);
}

TEST(Baselines, RandomIsWhatManyRandomAnswersGive) {
  const auto world = make_world();
  const auto& truth = world.test.truth;
  const auto expected = random_measurement(truth);
  Random random(8);
  std::array<double, kMetricCount> sums{};
  constexpr int kTimes = 300;
  const Bootstrap no_intervals(truth.prompt_count, 0);
  for (int time = 0; time < kTimes; ++time) {
    Predictions guess;
    for (std::size_t i = 0; i < truth.points(); ++i) {
      guess.classes.push_back(static_cast<std::int32_t>(random.below(3)));
      guess.values.push_back(guess.classes.back());
      for (int c = 0; c < 3; ++c) guess.class_scores.push_back(random.uniform());
    }
    for (std::size_t i = 0; i < truth.pairs(); ++i) {
      guess.pair_a.push_back(random.uniform());
      guess.pair_b.push_back(random.uniform());
    }
    for (std::size_t i = 0; i < truth.relevance.size(); ++i) guess.candidates.push_back(random.uniform());
    const auto measured = measure(truth, guess, 0.0, no_intervals);
    for (std::size_t i = 0; i < kMetricCount; ++i) sums[i] += measured[i].value.value_or(0.0) / kTimes;
  }
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    const auto metric = static_cast<Metric>(i);
    if (metric == Metric::kBrier || metric == Metric::kLogLoss || metric == Metric::kEce) continue;
    EXPECT_NEAR(*expected[i].value, sums[i], 0.02) << kMetricNames[i];
  }
  EXPECT_DOUBLE_EQ(*at(expected, Metric::kBrier).value, 2.0 / 3);
  EXPECT_NEAR(*at(expected, Metric::kLogLoss).value, std::log(3.0), 1e-12);
}

ResultFacts good_facts() {
  ResultFacts facts;
  facts.split = "test";
  facts.prompts = 100;
  facts.labels = {60, 40};
  facts.predicted = {55, 45};
  return facts;
}

Measurement with_strict(double value, double low, double high) {
  Measurement measurement;
  at(measurement, Metric::kPairStrictMicro) = {value, low, high};
  at(measurement, Metric::kAccuracy).value = 0.6;
  return measurement;
}

/// The one warning that a change to good facts brings.
std::string only_warning(const ResultFacts& facts, const Measurement& measurement = with_strict(0.7, 0.6, 0.8)) {
  const auto warnings = find_warnings(facts, measurement);
  EXPECT_EQ(warnings.size(), 1U);
  return warnings.empty() ? "" : warnings.front();
}

TEST(Warnings, NoneWhereAllIsWell) { EXPECT_TRUE(find_warnings(good_facts(), with_strict(0.7, 0.6, 0.8)).empty()); }

TEST(Warnings, EachTroubleIsNamed) {
  auto facts = good_facts();
  facts.predicted = {100, 0};
  EXPECT_EQ(only_warning(facts),
            "one class predicted: the head answers class 0 for 100.0 % of the rows, so its accuracy 60.0 % is that "
            "class's share of the labels (60.0 %)");
  facts = good_facts();
  facts.labels = {5, 95};
  EXPECT_NE(only_warning(facts).find("labels nearly of one class: 95.0 %"), std::string::npos);
  facts = good_facts();
  facts.all_labels = {290, 710};
  EXPECT_NE(only_warning(facts).find("60.0 % of the test rows have label 0, 71.0 % of all rows label 1"),
            std::string::npos);
  facts = good_facts();
  facts.prompts = 29;
  EXPECT_NE(only_warning(facts).find("fewer than 30 prompts: the test split has 29"), std::string::npos);
  EXPECT_NE(only_warning(good_facts(), with_strict(0.55, 0.49, 0.61)).find("interval spans chance"), std::string::npos);
  facts = good_facts();
  facts.image_overlap = 0.25;
  EXPECT_NE(only_warning(facts).find("leaking split: 0.0 % of the test rows have a prompt and 25.0 % an image"),
            std::string::npos);
  facts = good_facts();
  facts.untrained_encoder = true;
  EXPECT_NE(only_warning(facts).find("untrained encoder"), std::string::npos);
  facts = good_facts();
  facts.constant_utility = true;
  EXPECT_NE(only_warning(facts).find("one score for all"), std::string::npos);
}

struct Judged {
  Verdict verdict;
  BaselineResults baselines;
};

Judged judge_utility(const World& world, const UtilityFunction& utility) {
  const Bootstrap bootstrap(world.test.truth.prompt_count);
  const UtilityFunction oracle = [&](std::uint32_t image, std::uint32_t) { return world.images[image * kDim]; };
  Judged result;
  result.baselines = measure_baselines(world.vectors(), world.train, world.validation, world.test, oracle, bootstrap);
  const auto predictions = predict_preferences(world.test, utility);
  const auto measurement = measure(world.test.truth, predictions, 0.0, bootstrap);
  result.verdict = judge(world.test.truth, predictions, measurement, result.baselines, bootstrap);
  return result;
}

TEST(Verdict, FollowsTheIntervals) {
  const auto world = make_world();
  const auto chance = judge_utility(world, [](std::uint32_t image, std::uint32_t) { return mix64(image) % 1000; });
  EXPECT_EQ(chance.verdict.kind, VerdictKind::kAtChance) << chance.verdict.sentence;
  const auto best =
      judge_utility(world, [&](std::uint32_t image, std::uint32_t) { return world.images[image * kDim]; });
  EXPECT_EQ(best.verdict.kind, VerdictKind::kBetterThanNoSkill) << best.verdict.sentence;
  EXPECT_NE(best.verdict.sentence.find("100.0 % of the way from 50 % to the oracle's 100.0 %"), std::string::npos);
  const auto worst =
      judge_utility(world, [&](std::uint32_t image, std::uint32_t) { return -world.images[image * kDim]; });
  EXPECT_EQ(worst.verdict.kind, VerdictKind::kBelowChance);
  const auto constant = judge_utility(world, [](std::uint32_t, std::uint32_t) { return 1.0; });
  EXPECT_EQ(constant.verdict.kind, VerdictKind::kBelowChance) << "a constant wins no pair";
  // Knows the image as well as the image-only baseline, no better.
  const auto noisy = judge_utility(world, [&](std::uint32_t image, std::uint32_t) {
    return world.images[image * kDim] + static_cast<double>(mix64(image) % 1000) / 1000.0;
  });
  EXPECT_EQ(noisy.verdict.kind, VerdictKind::kAboveChance) << noisy.verdict.sentence;
  EXPECT_NE(noisy.verdict.sentence.find("image_only"), std::string::npos);
}

TEST(Verdict, SaysNothingOfNothing) {
  SplitTruth empty;
  empty.ranking_begin = {0};
  EXPECT_EQ(judge(empty, {}, {}, {}, Bootstrap(0)).kind, VerdictKind::kNothingToJudge);
}

}  // namespace
}  // namespace imagerank::evaluation
