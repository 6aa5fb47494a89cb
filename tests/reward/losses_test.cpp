#include "reward/losses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

namespace imagerank::reward {
namespace {

constexpr double kLn2 = std::numbers::ln2;
const double kLn3 = std::log(3.0);

at::Tensor tensor(const std::vector<double>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape).clone();
}
at::Tensor row(const std::vector<double>& values) { return tensor(values, {static_cast<std::int64_t>(values.size())}); }
double at_index(const at::Tensor& values, std::int64_t index) { return values[index].item<double>(); }

/// Largest difference between the gradient of sum(k_i * loss_i) at `point` and central differences.
double gradient_error(const std::function<at::Tensor(const at::Tensor&)>& loss, const at::Tensor& point) {
  const auto total = [&](const at::Tensor& at) {
    const at::Tensor rows = loss(at);
    return (rows * at::arange(1, rows.size(0) + 1, rows.options().requires_grad(false))).sum();
  };
  const at::Tensor variable = point.clone().requires_grad_(true);
  total(variable).backward();
  const at::Tensor gradient = variable.grad().flatten();
  constexpr double kStep = 1e-5;
  double worst = 0.0;
  const at::NoGradGuard guard;
  for (std::int64_t i = 0; i < point.numel(); ++i) {
    at::Tensor up = point.clone();
    at::Tensor down = point.clone();
    up.flatten()[i] += kStep;
    down.flatten()[i] -= kStep;
    const double difference = (total(up).item<double>() - total(down).item<double>()) / (2.0 * kStep);
    worst = std::max(worst, std::abs(difference - gradient[i].item<double>()));
  }
  return worst;
}

TEST(Losses, SquaredErrorByHand) {
  // (0.5 - 1)^2 and (2 - 0)^2
  const at::Tensor labels = row({1, 0});
  const at::Tensor outputs = tensor({0.5, 2}, {2, 1});
  EXPECT_NEAR(at_index(squared_error(outputs, labels), 0), 0.25, 1e-12);
  EXPECT_NEAR(at_index(squared_error(outputs, labels), 1), 4.0, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return squared_error(x, labels); }, outputs), 1e-8);
}

TEST(Losses, CrossEntropyByHandWithTwoAndThreeClasses) {
  // Logits 0, ln 3: p(1) = 3/4. Equal logits: p(0) = 1/2.
  const at::Tensor two = tensor({0, kLn3, 7, 7}, {2, 2});
  const at::Tensor of_two = at::tensor({1, 0}, at::kLong);
  EXPECT_NEAR(at_index(cross_entropy(two, of_two), 0), std::log(4.0 / 3.0), 1e-12);
  EXPECT_NEAR(at_index(cross_entropy(two, of_two), 1), kLn2, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return cross_entropy(x, of_two); }, two), 1e-8);
  // Logits 0, ln 2, ln 3: shares 1/6, 2/6, 3/6.
  const at::Tensor three = tensor({0, kLn2, kLn3, 0, kLn2, kLn3}, {2, 3});
  const at::Tensor of_three = at::tensor({2, 0}, at::kLong);
  EXPECT_NEAR(at_index(cross_entropy(three, of_three), 0), kLn2, 1e-12);
  EXPECT_NEAR(at_index(cross_entropy(three, of_three), 1), std::log(6.0), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return cross_entropy(x, of_three); }, three), 1e-8);
}

TEST(Losses, SmoothingGivesAShareToEveryClass) {
  // 0.7 of the weight on p = 1/2, 0.3 on the mean of ln 6, ln 3, ln 2.
  const at::Tensor logits = tensor({0, kLn2, kLn3}, {1, 3});
  const at::Tensor label = at::tensor({2}, at::kLong);
  const double expected = 0.7 * kLn2 + 0.3 * (std::log(6.0) + kLn3 + kLn2) / 3.0;
  EXPECT_NEAR(at_index(cross_entropy(logits, label, 0.3), 0), expected, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return cross_entropy(x, label, 0.3); }, logits), 1e-8);
  // sigmoid(ln 3) = 3/4, target 1 smoothed by 0.2 is 0.9.
  const at::Tensor binary = tensor({kLn3}, {1, 1});
  EXPECT_NEAR(at_index(binary_loss(binary, row({1}), 0.2), 0), 0.9 * std::log(4.0 / 3.0) + 0.1 * std::log(4.0), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return binary_loss(x, row({1}), 0.2); }, binary), 1e-8);
}

TEST(Losses, BinaryByHand) {
  // sigmoid(ln 3) = 3/4: label 1 costs ln(4/3), label 0 costs ln 4.
  const at::Tensor logits = tensor({kLn3, kLn3}, {2, 1});
  const at::Tensor labels = row({1, 0});
  EXPECT_NEAR(at_index(binary_loss(logits, labels), 0), std::log(4.0 / 3.0), 1e-12);
  EXPECT_NEAR(at_index(binary_loss(logits, labels), 1), std::log(4.0), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return binary_loss(x, labels); }, logits), 1e-8);
}

TEST(Losses, BradleyTerryByHandWithTiesAndSoftLabels) {
  // Differences ln 3, 0, ln 3 with p_a 1, 0.5, 0.25: ln(4/3); ln 2 less the tie's ln 2; and
  // 0.25 ln(4/3) + 0.75 ln 4 less the entropy of 1/4.
  const at::Tensor d = row({kLn3, 0, kLn3});
  const at::Tensor p = row({1, 0.5, 0.25});
  const at::Tensor loss = bradley_terry(d, p);
  EXPECT_NEAR(at_index(loss, 0), std::log(4.0 / 3.0), 1e-12);
  EXPECT_NEAR(at_index(loss, 1), 0.0, 1e-12);
  EXPECT_NEAR(at_index(loss, 2), 0.5 * kLn3, 1e-12);  // the divergence of (1/4, 3/4) from (3/4, 1/4)
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return bradley_terry(x, p); }, d), 1e-8);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return bradley_terry(x, p, 0.1); }, d), 1e-8);
}

TEST(Losses, ATieIsCheapestAtEqualUtilitiesAndCostsNothingThere) {
  const auto tie = [](double difference) { return at_index(bradley_terry(row({difference}), row({0.5})), 0); };
  EXPECT_NEAR(tie(0.0), 0.0, 1e-12);
  EXPECT_GT(tie(0.5), 0.01);
  EXPECT_DOUBLE_EQ(tie(0.5), tie(-0.5));
  // PickScore's constant is the same: half of each side's log, and log(1/2) added.
  EXPECT_NEAR(tie(0.7), 0.5 * std::log1p(std::exp(-0.7)) + 0.5 * std::log1p(std::exp(0.7)) - kLn2, 1e-12);
}

TEST(Losses, OutcomesOfSoftLabels) {
  const at::Tensor targets = outcome_targets(row({1, 0, 0.5, 0.75}));
  const std::vector<std::vector<double>> expected = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.5, 0, 0.5}};
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(targets[i][k].item<double>(), expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)],
                  1e-12);
    }
  }
  EXPECT_NEAR(outcome_targets(row({1}), 0.3)[0][2].item<double>(), 0.1, 1e-12);
}

TEST(Losses, DavidsonByHand) {
  // d = 2 ln 2, nu = 1/2: shares 2 : 1/2 : 1/2 of 3.
  const at::Tensor d = row({2 * kLn2, 2 * kLn2, 2 * kLn2, 0.3});
  const at::Tensor p = row({1, 0, 0.5, 0.8});
  const at::Tensor width = row({-kLn2});
  const at::Tensor loss = davidson(d, p, width);
  EXPECT_NEAR(at_index(loss, 0), std::log(1.5), 1e-12);
  EXPECT_NEAR(at_index(loss, 1), std::log(6.0), 1e-12);
  EXPECT_NEAR(at_index(loss, 2), std::log(6.0), 1e-12);
  for (const double smoothing : {0.0, 0.2}) {
    EXPECT_LT(gradient_error([&](const at::Tensor& x) { return davidson(x, p, width, smoothing); }, d), 1e-8);
    EXPECT_LT(gradient_error([&](const at::Tensor& x) { return davidson(d, p, x, smoothing); }, width), 1e-8);
  }
}

TEST(Losses, RaoKupperByHand) {
  // theta = 2 (width ln 2), d = ln 4: p(a) = 4 / (4 + 2), p(b) = 1 / (1 + 8), a tie the other 2/9.
  const at::Tensor d = row({2 * kLn2, 2 * kLn2, 2 * kLn2, -0.4});
  const at::Tensor p = row({1, 0, 0.5, 0.3});
  const at::Tensor raw = row({std::log(std::exp(kLn2) - 1.0)});  // softplus(raw) = ln 2
  const at::Tensor loss = rao_kupper(d, p, raw);
  EXPECT_NEAR(at_index(loss, 0), std::log(1.5), 1e-12);
  EXPECT_NEAR(at_index(loss, 1), std::log(9.0), 1e-12);
  EXPECT_NEAR(at_index(loss, 2), std::log(4.5), 1e-12);
  for (const double smoothing : {0.0, 0.2}) {
    EXPECT_LT(gradient_error([&](const at::Tensor& x) { return rao_kupper(x, p, raw, smoothing); }, d), 1e-8);
    EXPECT_LT(gradient_error([&](const at::Tensor& x) { return rao_kupper(d, p, x, smoothing); }, raw), 1e-8);
  }
}

TEST(Losses, PlackettLuceOfARankingByHand) {
  // Weights 4, 2, 1 ranked in that order: (4/7) (2/3); in reverse (1/7) (2/6).
  const at::Tensor u = tensor({2 * kLn2, kLn2, 0, 2 * kLn2, kLn2, 0}, {2, 3});
  const at::Tensor levels = tensor({0, 1, 2, 2, 1, 0}, {2, 3});
  const at::Tensor loss = plackett_luce(u, levels);
  EXPECT_NEAR(at_index(loss, 0), std::log(7.0 / 4.0) + std::log(1.5), 1e-12);
  EXPECT_NEAR(at_index(loss, 1), std::log(7.0) + std::log(3.0), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return plackett_luce(x, levels); }, u), 1e-8);
}

TEST(Losses, PlackettLuceOfABestOneTiesAndShorterListsByHand) {
  // Weights 1, 2, 3, 4. Best of four: 2/10. Two tied for the best, two for the rest: for 1/7 of level 1, see below.
  // A list of two in four places: 2/3. Four that tie at different utilities.
  const std::vector<double> weights = {0, kLn2, kLn3, 2 * kLn2};
  std::vector<double> all;
  for (int i = 0; i < 4; ++i) all.insert(all.end(), weights.begin(), weights.end());
  const at::Tensor u = tensor(all, {4, 4});
  const double no = kNoImage;
  const double other = kUnordered;
  const at::Tensor levels = tensor({other, 0, other, other,  //
                                    0, 1, 1, 0,              //
                                    1, 0, no, no,            //
                                    0, 0, 0, 0},
                                   {4, 4});
  const at::Tensor loss = plackett_luce(u, levels);
  EXPECT_NEAR(at_index(loss, 0), std::log(5.0), 1e-12);
  const double best = std::numbers::ln10 - 0.5 * std::log(1.0 * 4.0) - kLn2;
  const double rest = std::log(5.0) - 0.5 * std::log(2.0 * 3.0) - kLn2;
  EXPECT_NEAR(at_index(loss, 1), best + rest, 1e-12);
  EXPECT_NEAR(at_index(loss, 2), std::log(1.5), 1e-12);
  EXPECT_NEAR(at_index(loss, 3), std::log(10.0) - 0.25 * std::log(24.0) - std::log(4.0), 1e-12);
  for (const double smoothing : {0.0, 0.2}) {
    EXPECT_LT(gradient_error([&](const at::Tensor& x) { return plackett_luce(x, levels, smoothing); }, u), 1e-8);
  }
  EXPECT_NEAR(at_index(plackett_luce(tensor({5, 5, 5}, {1, 3}), tensor({0, 0, 0}, {1, 3})), 0), 0.0, 1e-12);
}

TEST(Losses, PlackettLuceOfTwoIsBradleyTerry) {
  const at::Tensor u = tensor({0.3, -1.2, 0.3, -1.2, 0.3, -1.2}, {3, 2});
  const at::Tensor levels = tensor({0, 1, 1, 0, 0, 0}, {3, 2});
  const at::Tensor pairs = bradley_terry(u.select(1, 0) - u.select(1, 1), row({1, 0, 0.5}));
  EXPECT_TRUE(at::allclose(plackett_luce(u, levels), pairs, 1e-12, 1e-12));
}

TEST(Losses, PromptClassificationByHand) {
  // Temperature 1/2 doubles the scores: weights 4 against 1, 2 -> 4/7. In the second row one wrong prompt is unknown.
  const at::Tensor right = row({kLn2, 0});
  const at::Tensor wrong = tensor({0, 0.5 * kLn2, 0, 50}, {2, 2});
  const at::Tensor known = tensor({1, 1, 1, 0}, {2, 2});
  const at::Tensor loss = prompt_classification(right, wrong, known, 0.5);
  EXPECT_NEAR(at_index(loss, 0), std::log(7.0 / 4.0), 1e-12);
  EXPECT_NEAR(at_index(loss, 1), kLn2, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return prompt_classification(x, wrong, known, 0.5); }, right),
            1e-8);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return prompt_classification(right, x, known, 0.5); }, wrong),
            1e-8);
}

TEST(Losses, TheRightPromptsScoreHasAGradient) {
  // A public implementation puts the constant 1 in its place: raising the right score then does nothing.
  const at::Tensor right = row({0.3}).requires_grad_(true);
  const at::Tensor wrong = tensor({0.1, 0.2}, {1, 2});
  const at::Tensor loss = prompt_classification(right, wrong, at::ones_like(wrong), 1.0);
  loss.sum().backward();
  const double p = std::exp(0.3) / (std::exp(0.3) + std::exp(0.1) + std::exp(0.2));
  EXPECT_NEAR(right.grad()[0].item<double>(), p - 1.0, 1e-12);
  EXPECT_LT(at_index(prompt_classification(row({0.9}), wrong, at::ones_like(wrong), 1.0), 0),
            at_index(loss.detach(), 0));
}

TEST(Losses, TheFloorOfBoundedScores) {
  EXPECT_NEAR(prompt_classification_floor(1.0, 1.0, 10), 1.543, 5e-4);
  EXPECT_NEAR(prompt_classification_floor(1.0, 2.0, 10), 1.955, 5e-4);
  // It is reached by the best that a score in 0..1 can do.
  const at::Tensor best =
      prompt_classification(row({1}), at::zeros({1, 10}, at::kDouble), at::ones({1, 10}, at::kDouble), 2.0);
  EXPECT_NEAR(at_index(best, 0), prompt_classification_floor(1.0, 2.0, 10), 1e-12);
  EXPECT_EQ(prompt_classification_floor(std::numeric_limits<double>::infinity(), 2.0, 10), 0.0);
}

TEST(Losses, WeightsAreNormalisedInsideTheBatch) {
  EXPECT_NEAR(weighted_mean(row({1, 4}), row({1, 2})).item<double>(), 3.0, 1e-12);
  EXPECT_NEAR(weighted_mean(row({1, 4}), row({0.1, 0.2})).item<double>(), 3.0, 1e-12);
  EXPECT_LT(
      gradient_error([](const at::Tensor& x) { return weighted_mean(x, row({0.1, 0.2})).unsqueeze(0); }, row({1, 4})),
      1e-8);
}

}  // namespace
}  // namespace imagerank::reward
