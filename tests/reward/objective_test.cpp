#include "reward/objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reward/losses.h"
#include "reward/training_set.h"

namespace imagerank::reward {
namespace {

constexpr std::size_t kImages = 6;
constexpr std::size_t kTexts = 9;

/// Three prompts (0..2), the first two with wrong prompts: 3, 4, 5 and 6, 7.
Examples make_examples() {
  Examples examples;
  examples.images = {.dim = 1, .values = std::vector<float>(kImages, 1.0F)};
  examples.texts = {.dim = 1, .values = std::vector<float>(kTexts, 1.0F)};
  examples.wrong_begin = {0, 3, 5, 5, 5, 5, 5, 5, 5, 5};
  examples.wrong_texts = {3, 4, 5, 6, 7};
  examples.points[0] = {{0, 0, 2}, {1, 0, 0}, {2, 1, 2}, {3, 1, 1}, {4, 2, 2}};
  examples.pairs[0] = {{0, 1, 0, 1.0F, 1.0F}, {2, 3, 1, 0.0F, 2.0F}, {4, 5, 2, 0.5F, 1.0F}};
  examples.ranked = {{0, 1}, {1, 0}, {2, 0}, {3, RankedImage::kUnordered}, {4, RankedImage::kUnordered}};
  examples.lists[0] = {{0, 0, 2, 1.0F}, {1, 2, 3, 3.0F}};
  return examples;
}

/// A made-up score of each (image, prompt): a lookup, so that a row in the wrong place shows.
double score_of(std::uint32_t image, std::uint32_t text) { return std::sin(1.0 + 7.0 * image + 3.0 * text); }

at::Tensor outputs_of(const Batch& batch, std::size_t begin, std::size_t end) {
  at::Tensor outputs = at::empty({static_cast<std::int64_t>(end - begin), 1}, at::kDouble);
  for (std::size_t i = begin; i < end; ++i) {
    outputs[static_cast<std::int64_t>(i - begin)][0] = score_of(batch.images[i], batch.texts[i]);
  }
  return outputs;
}
at::Tensor outputs_of(const Batch& batch) { return outputs_of(batch, 0, batch.images.size()); }

Units units_of(const Examples& examples, Loss loss) {
  return make_training_set(examples, InputScaling::kUnitLength, loss, {}, 0, 0).train;
}

std::vector<std::uint32_t> all_of(const Units& units) {
  std::vector<std::uint32_t> order(units.size());
  std::iota(order.begin(), order.end(), 0U);
  return order;
}

Objective objective(Loss loss, const PromptClassification& prompts = {}) {
  return {{.loss = loss, .class_count = 3, .label_smoothing = 0.0, .prompts = prompts}, random_parameters(0)};
}

TEST(Objective, PairsCompareTheirOwnImagesAndCountByWeight) {
  const Examples examples = make_examples();
  const Units units = units_of(examples, Loss::kBt);
  const Batch batch = make_batch(examples, units, all_of(units));
  const Objective bt = objective(Loss::kBt);
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  const double first = softplus(score_of(1, 0) - score_of(0, 0));
  const double second = softplus(score_of(2, 1) - score_of(3, 1));
  const double d = score_of(4, 2) - score_of(5, 2);
  const double third = 0.5 * softplus(d) + 0.5 * softplus(-d) - std::log(2.0);
  EXPECT_NEAR(bt.total(outputs_of(batch), batch).item<double>(), (first + 2.0 * second + third) / 4.0, 1e-12);
}

TEST(Objective, ListsOfDifferentLengthsStayApart) {
  const Examples examples = make_examples();
  const Units units = units_of(examples, Loss::kPlackettLuce);
  const Batch batch = make_batch(examples, units, all_of(units));
  const Objective pl = objective(Loss::kPlackettLuce);
  const double first = std::log1p(std::exp(score_of(0, 0) - score_of(1, 0)));
  const double second =
      std::log1p(std::exp(score_of(3, 1) - score_of(2, 1)) + std::exp(score_of(4, 1) - score_of(2, 1)));
  EXPECT_NEAR(pl.total(outputs_of(batch), batch).item<double>(), (first + 3.0 * second) / 4.0, 1e-12);
}

TEST(Objective, WrongPromptsAreThoseOfGoodImagesThatHaveSome) {
  const Examples examples = make_examples();
  for (const auto& [loss, rows] :
       {std::pair{Loss::kMse, std::vector<std::uint32_t>{0, 2}}, std::pair{Loss::kBt, std::vector<std::uint32_t>{0, 4}},
        std::pair{Loss::kPlackettLuce, std::vector<std::uint32_t>{1, 2}}}) {
    const Units units = units_of(examples, loss);
    Batch batch = make_batch(examples, units, all_of(units));
    const std::size_t own = batch.images.size();
    Random random(1);
    add_wrong_prompts(examples, units, all_of(units), 3, random, batch);
    EXPECT_EQ(batch.right_rows, rows);
    ASSERT_EQ(batch.images.size(), own + 6);
    std::vector<std::uint32_t> first(batch.texts.begin() + static_cast<std::ptrdiff_t>(own),
                                     batch.texts.begin() + static_cast<std::ptrdiff_t>(own + 3));
    std::ranges::sort(first);
    EXPECT_EQ(first, (std::vector<std::uint32_t>{3, 4, 5}));
    EXPECT_EQ(batch.wrong_known, (std::vector<float>{1, 1, 1, 1, 1, 0}));
    for (std::size_t i = own; i < own + 3; ++i) EXPECT_EQ(batch.images[i], batch.images[rows[0]]);
  }
}

TEST(Objective, ABatchOfImagesGivesEachItsOwnWrongPrompts) {
  // A public implementation lays scores out by prompt and reads them by image: in a batch of more than one, images
  // then answer for each other's prompts. Each row's loss must be what it is alone.
  const Examples examples = make_examples();
  const Objective with = objective(Loss::kMse, {.weight = 0.5, .temperature = 0.7, .wrong_count = 3, .logits = false});
  const Units units = units_of(examples, Loss::kMse);
  Random random(5);
  Batch batch = make_batch(examples, units, all_of(units));
  add_wrong_prompts(examples, units, all_of(units), 3, random, batch);
  const at::Tensor together = with.prompt_losses(outputs_of(batch), batch);
  ASSERT_EQ(together.size(0), 2);
  const auto alone = [](std::uint32_t image, std::uint32_t text, const std::vector<std::uint32_t>& wrong) {
    double sum = 0.0;
    for (const std::uint32_t other : wrong) sum += std::exp((score_of(image, other) - score_of(image, text)) / 0.7);
    return std::log1p(sum);
  };
  EXPECT_NEAR(together[0].item<double>(), alone(0, 0, {3, 4, 5}), 1e-12);
  EXPECT_NEAR(together[1].item<double>(), alone(2, 1, {6, 7}), 1e-12);
  // The whole: both sums over the weights of all five points.
  double squares = 0.0;
  for (const LabelledPoint& point : examples.points[0]) {
    squares += std::pow(score_of(point.image, point.text) - point.label, 2) / 5.0;
  }
  const double prompts = (alone(0, 0, {3, 4, 5}) + alone(2, 1, {6, 7})) / 5.0;
  EXPECT_NEAR(with.total(outputs_of(batch), batch).item<double>(), squares + 0.5 * prompts, 1e-12);
}

TEST(Objective, TheAuxiliaryGradientReachesTheRightRow) {
  const Examples examples = make_examples();
  const Objective with = objective(Loss::kMse, {.weight = 1.0, .temperature = 1.0, .wrong_count = 3, .logits = false});
  const Units units = units_of(examples, Loss::kMse);
  Random random(5);
  Batch batch = make_batch(examples, units, all_of(units));
  add_wrong_prompts(examples, units, all_of(units), 3, random, batch);
  const at::Tensor outputs = outputs_of(batch).requires_grad_(true);
  with.prompt_losses(outputs, batch).sum().backward();
  for (const std::uint32_t right : batch.right_rows) EXPECT_LT(outputs.grad()[right][0].item<double>(), -0.1);
  EXPECT_EQ(outputs.grad()[1][0].item<double>(), 0.0) << "a bad image is no right answer";
}

TEST(Objective, ClassifiersCompareScoresOrLogOdds) {
  Batch batch;
  batch.images = batch.texts = {0, 0};
  batch.own_rows = 1;
  batch.right_rows = {0};
  batch.wrong_count = 1;
  batch.wrong_known = {1};
  // Shares 1/6, 2/6, 3/6 and 1/3 each: expected labels 4/3 and 1, log odds of the best class 0 and -ln 2.
  const at::Tensor outputs = at::tensor({0.0, std::log(2.0), std::log(3.0), 0.0, 0.0, 0.0}, at::kDouble).view({2, 3});
  const auto loss = [&](bool logits) {
    return objective(Loss::kCe, {.weight = 1.0, .temperature = 1.0, .wrong_count = 1, .logits = logits})
        .prompt_losses(outputs, batch)[0]
        .item<double>();
  };
  EXPECT_NEAR(loss(false), std::log1p(std::exp(-1.0 / 3.0)), 1e-12);
  EXPECT_NEAR(loss(true), std::log1p(0.5), 1e-12);
  EXPECT_EQ(objective(Loss::kCe).score_range(), 2.0);
  EXPECT_TRUE(std::isinf(objective(Loss::kBt).score_range()));
}

TEST(Objective, OnlyTieLossesHaveAParameterOfTheirOwn) {
  EXPECT_TRUE(objective(Loss::kBt).parameters().empty());
  for (const Loss loss : {Loss::kDavidson, Loss::kRaoKupper}) {
    Objective ties = objective(loss);
    ASSERT_EQ(ties.parameters().size(), 1U);
    const Examples examples = make_examples();
    const Units units = units_of(examples, loss);
    const Batch batch = make_batch(examples, units, all_of(units));
    ties.total(outputs_of(batch), batch).backward();
    EXPECT_NE(ties.parameters()[0].value.grad().item<float>(), 0.0F);
  }
}

TEST(Weighting, ClassesAndPrompts) {
  const Examples examples = make_examples();  // labels 2, 0, 2, 1, 2; prompts 0, 0, 1, 1, 2
  const auto weights = [&](const Weighting& weighting) {
    return make_training_set(examples, InputScaling::kUnitLength, Loss::kCe, weighting, 0, 0).train.weights;
  };
  EXPECT_EQ(weights({}), (std::vector<float>{1, 1, 1, 1, 1}));
  EXPECT_EQ(weights({.class_weights = {1, 2, 3}}), (std::vector<float>{3, 1, 3, 2, 3}));
  EXPECT_EQ(weights({.per_prompt = true}), (std::vector<float>{0.5, 0.5, 0.5, 0.5, 1}));
  const std::vector<float> balanced = weights({.balanced = true});  // 5 / (3 n): 5/9, 5/3, ...
  EXPECT_NEAR(balanced[0], 5.0 / 9.0, 1e-6);
  EXPECT_NEAR(balanced[1], 5.0 / 3.0, 1e-6);
  const Units pairs =
      make_training_set(examples, InputScaling::kUnitLength, Loss::kBt, {.per_prompt = true}, 0, 0).train;
  EXPECT_EQ(pairs.weights, (std::vector<float>{1, 2, 1}));
}

}  // namespace
}  // namespace imagerank::reward
