#include "reward/heads.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "core/fail.h"
#include "reward/head_kinds.h"
#include "reward/losses.h"

namespace imagerank::reward {
namespace {

at::Tensor tensor(const std::vector<double>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape).clone();
}

/// Largest difference between the gradient of `loss` at `point` and central differences.
double gradient_error(const std::function<at::Tensor(const at::Tensor&)>& loss, const at::Tensor& point) {
  const at::Tensor variable = point.clone().requires_grad_(true);
  loss(variable).backward();
  const at::Tensor gradient = variable.grad().flatten();
  constexpr double kStep = 1e-5;
  double worst = 0.0;
  const at::NoGradGuard guard;
  for (std::int64_t i = 0; i < point.numel(); ++i) {
    at::Tensor up = point.clone();
    at::Tensor down = point.clone();
    up.flatten()[i] += kStep;
    down.flatten()[i] -= kStep;
    const double difference = (loss(up).item<double>() - loss(down).item<double>()) / (2.0 * kStep);
    worst = std::max(worst, std::abs(difference - gradient[i].item<double>()));
  }
  return worst;
}

TEST(Losses, SquaredErrorByHand) {
  // ((0.5 - 1)^2 + (2 - 0)^2) / 2 = 2.125
  const at::Tensor labels = tensor({1, 0}, {2});
  EXPECT_NEAR(squared_error(tensor({0.5, 2}, {2, 1}), labels).item<double>(), 2.125, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return squared_error(x, labels); }, tensor({0.5, 2}, {2, 1})),
            1e-8);
}

TEST(Losses, CrossEntropyByHand) {
  // Row 1: logits 0, ln 3 -> p(1) = 3/4; row 2: equal logits -> p(0) = 1/2. Mean of ln(4/3) and ln 2.
  const at::Tensor logits = tensor({0, std::log(3.0), 7, 7}, {2, 2});
  const at::Tensor labels = at::tensor({1, 0}, at::kLong);
  EXPECT_NEAR(cross_entropy(logits, labels).item<double>(), 0.5 * (std::log(4.0 / 3.0) + std::log(2.0)), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return cross_entropy(x, labels); }, logits), 1e-8);
}

TEST(Losses, BinaryByHand) {
  // sigmoid(ln 3) = 3/4: label 1 costs ln(4/3), label 0 costs ln 4.
  const at::Tensor logits = tensor({std::log(3.0), std::log(3.0)}, {2, 1});
  const at::Tensor labels = tensor({1, 0}, {2});
  EXPECT_NEAR(binary_loss(logits, labels).item<double>(), 0.5 * (std::log(4.0 / 3.0) + std::log(4.0)), 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return binary_loss(x, labels); }, logits), 1e-8);
}

TEST(Losses, BradleyTerryByHandWithTiesAndWeights) {
  // Differences ln 3, 0, ln 3 with p_a 1, 0.5, 0.25 and weights 1, 1, 2:
  // ln(4/3), ln 2, 0.25 ln(4/3) + 0.75 ln 4.
  const at::Tensor a = tensor({std::log(3.0), 5, 1 + std::log(3.0)}, {3, 1});
  const at::Tensor b = tensor({0, 5, 1}, {3, 1});
  const at::Tensor p = tensor({1, 0.5, 0.25}, {3});
  const at::Tensor weights = tensor({1, 1, 2}, {3});
  const double expected =
      (std::log(4.0 / 3.0) + std::numbers::ln2 + 2.0 * (0.25 * std::log(4.0 / 3.0) + 0.75 * std::log(4.0))) / 4.0;
  EXPECT_NEAR(bradley_terry(a, b, p, weights).item<double>(), expected, 1e-12);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return bradley_terry(x, b, p, weights); }, a), 1e-8);
  EXPECT_LT(gradient_error([&](const at::Tensor& x) { return bradley_terry(a, x, p, weights); }, b), 1e-8);
}

TEST(Losses, ATieIsCheapestAtEqualUtilities) {
  const auto tie = [](double difference) {
    return bradley_terry(tensor({difference}, {1, 1}), tensor({0}, {1, 1}), tensor({0.5}, {1}), tensor({1}, {1}))
        .item<double>();
  };
  EXPECT_NEAR(tie(0.0), std::log(2.0), 1e-12);
  EXPECT_GT(tie(0.5), tie(0.0));
  EXPECT_DOUBLE_EQ(tie(0.5), tie(-0.5));
}

class EveryHead : public testing::TestWithParam<std::string> {
 protected:
  static constexpr std::int64_t kDim = 20;  // 2 * dim is no multiple of 64: the CNN has to pad
  [[nodiscard]] static std::unique_ptr<Head> make(std::int64_t outputs, std::uint64_t seed = 7) {
    return make_head({.head = GetParam(), .dim = kDim, .outputs = outputs, .hidden = 16, .rank = 4},
                     random_parameters(seed));
  }
};

TEST_P(EveryHead, GivesItsOutputsForEveryRow) {
  const auto head = make(1);
  EXPECT_EQ(head->forward(at::randn({5, 2 * kDim}), {}).sizes(), (std::vector<std::int64_t>{5, 1}));
  if (GetParam() != "clip") {
    EXPECT_EQ(make(3)->forward(at::randn({5, 2 * kDim}), {}).sizes(), (std::vector<std::int64_t>{5, 3}));
  }
}

TEST_P(EveryHead, StartsFromItsSeed) {
  const auto first = make(1);
  const auto again = make(1);
  const auto other = make(1, 8);
  bool differs = false;
  std::set<std::string> names;
  for (std::size_t i = 0; i < first->parameters().size(); ++i) {
    EXPECT_TRUE(first->parameters()[i].value.equal(again->parameters()[i].value));
    differs = differs || !first->parameters()[i].value.equal(other->parameters()[i].value);
    names.insert(first->parameters()[i].name);
  }
  EXPECT_TRUE(differs);
  EXPECT_EQ(names.size(), first->parameters().size());
}

TEST_P(EveryHead, ARowDoesNotSeeItsNeighbours) {
  const auto head = make(1);
  const at::NoGradGuard guard;
  const at::Tensor rows = at::randn({6, 2 * kDim});
  at::Tensor others = at::randn({6, 2 * kDim});
  others[2].copy_(rows[2]);
  const at::Tensor one = head->forward(rows, {})[2];
  const at::Tensor two = head->forward(others, {})[2];
  EXPECT_LT((one - two).abs().max().item<float>(), 1e-6F);
  // And the test could have seen it: another row gives another number.
  EXPECT_GT((head->forward(rows, {})[1] - one).abs().max().item<float>(), 1e-6F);
}

TEST_P(EveryHead, EveryParameterLearns) {
  const auto head = make(1);
  {  // clip starts with zero `up`, which stops the gradient of `down` at the first step only
    const at::NoGradGuard guard;
    for (Parameter& parameter : head->parameters()) parameter.value.add_(0.01F);
  }
  (head->forward(at::randn({8, 2 * kDim}), {}) * at::randn({8, 1})).sum().backward();
  for (const Parameter& parameter : head->parameters()) {
    ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
    EXPECT_GT(parameter.value.grad().abs().max().item<float>(), 0.0F) << parameter.name;
  }
}

TEST_P(EveryHead, DropoutIsDrawnFromItsGeneratorOnly) {
  const auto head = make(1);
  {
    const at::NoGradGuard guard;
    for (Parameter& parameter : head->parameters()) parameter.value.add_(0.05F);
  }
  const at::Tensor rows = at::randn({8, 2 * kDim});
  Random first(3);
  Random again(3);
  const at::Tensor dropped = head->forward(rows, {0.5, &first});
  EXPECT_TRUE(dropped.equal(head->forward(rows, {0.5, &again})));
  EXPECT_FALSE(dropped.equal(head->forward(rows, {})));
}

INSTANTIATE_TEST_SUITE_P(Heads, EveryHead, testing::Values("mlp", "cnn", "lstm", "linear", "interaction", "clip"),
                         [](const auto& instance) { return instance.param; });

TEST(Heads, EveryKindHasANetworkAndIsTested) {
  for (const HeadKind& kind : head_kinds()) {
    EXPECT_NO_THROW((void)make_head({.head = std::string(kind.name), .dim = 4}, random_parameters(0))) << kind.name;
  }
  EXPECT_EQ(head_kinds().size(), 6U);  // those in INSTANTIATE_TEST_SUITE_P above
}

TEST(Heads, TheSeedsLayouts) {
  const auto sizes = [](const char* name, std::int64_t outputs) {
    std::map<std::string, std::vector<std::int64_t>> found;
    const auto head = make_head({.head = name, .dim = 1024, .outputs = outputs}, random_parameters(0));
    for (const Parameter& parameter : head->parameters()) found[parameter.name] = parameter.value.sizes().vec();
    return found;
  };
  const auto mlp = sizes("mlp", 1);
  EXPECT_EQ(mlp.at("hidden.weight"), (std::vector<std::int64_t>{512, 2048}));
  EXPECT_EQ(mlp.at("output.weight"), (std::vector<std::int64_t>{1, 512}));
  const auto cnn = sizes("cnn", 3);
  EXPECT_EQ(cnn.at("conv1.weight"), (std::vector<std::int64_t>{32, 1, 3, 3}));
  EXPECT_EQ(cnn.at("conv2.weight"), (std::vector<std::int64_t>{5, 32, 3, 3}));
  EXPECT_EQ(cnn.at("hidden.weight"), (std::vector<std::int64_t>{512, 2560}));
  EXPECT_EQ(cnn.at("output.weight"), (std::vector<std::int64_t>{3, 512}));
  const auto lstm = sizes("lstm", 3);
  EXPECT_EQ(lstm.at("lstm.input_weight"), (std::vector<std::int64_t>{400, 1024}));
  EXPECT_EQ(lstm.at("lstm.state_weight"), (std::vector<std::int64_t>{400, 100}));
  EXPECT_EQ(lstm.at("output.weight"), (std::vector<std::int64_t>{3, 100}));
}

TEST(Heads, TheLstmReadsImageThenText) {
  // One step by hand from the gates' definition: i, f, g, o; c' = s(f) c + s(i) tanh(g); h' = s(o) tanh(c').
  const auto head = make_head({.head = "lstm", .dim = 4}, random_parameters(1));
  const at::NoGradGuard guard;
  const auto parameter = [&](const char* name) {
    for (const Parameter& candidate : head->parameters()) {
      if (candidate.name == name) return candidate.value;
    }
    throw std::runtime_error(name);
  };
  const at::Tensor row = at::randn({1, 8});
  at::Tensor hidden = at::zeros({1, 100});
  at::Tensor cell = at::zeros({1, 100});
  for (const std::int64_t step : {0, 1}) {
    const at::Tensor gates =
        at::linear(row.narrow(1, 4 * step, 4), parameter("lstm.input_weight"), parameter("lstm.input_bias")) +
        at::linear(hidden, parameter("lstm.state_weight"), parameter("lstm.state_bias"));
    const auto parts = gates.chunk(4, 1);
    cell = at::sigmoid(parts[1]) * cell + at::sigmoid(parts[0]) * at::tanh(parts[2]);
    hidden = at::sigmoid(parts[3]) * at::tanh(cell);
  }
  const at::Tensor expected = at::linear(hidden, parameter("output.weight"), parameter("output.bias"));
  EXPECT_NEAR(head->forward(row, {}).item<float>(), expected.item<float>(), 1e-5F);
}

TEST(Heads, ClipStartsAsTheScaledCosine) {
  const auto head = make_head({.head = "clip", .dim = 3, .rank = 2}, random_parameters(1));
  const at::NoGradGuard guard;
  // cos of (1, 0, 0) and (0.6, 0.8, 0) is 0.6, times the scale's start of 5.
  const at::Tensor row = at::tensor({1.0F, 0.0F, 0.0F, 0.6F, 0.8F, 0.0F}).view({1, 6});
  EXPECT_NEAR(head->forward(row, {}).item<float>(), 3.0F, 1e-5F);
}

TEST(Heads, WhatDoesNotFitIsRefusedByName) {
  const auto message = [](const std::function<void()>& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_NE(message([] { (void)head_kind("mpl"); }).find("mlp, cnn, lstm"), std::string::npos);
  EXPECT_NE(message([] { (void)parse_loss("l2"); }).find("mse, ce, bce, bt"), std::string::npos);
  EXPECT_NE(message([] { check_loss(head_kind("clip"), Loss::kCe, 3); }).find("clip takes bt, mse, bce"),
            std::string::npos);
  EXPECT_NE(message([] { check_loss(head_kind("mlp"), Loss::kBce, 3); }).find("drop-ties"), std::string::npos);
  EXPECT_NO_THROW(check_loss(head_kind("mlp"), Loss::kBce, 2));
  EXPECT_NE(message([] { (void)make_head({.head = "mlp", .dim = 0}, random_parameters(0)); }).find("found 0"),
            std::string::npos);
}

}  // namespace
}  // namespace imagerank::reward
