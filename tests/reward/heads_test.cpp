#include "reward/heads.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "core/fail.h"
#include "reward/head_kinds.h"
#include "reward/lstm.h"
#include "reward/wide_linear.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

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

INSTANTIATE_TEST_SUITE_P(Heads, EveryHead,
                         testing::Values("mlp", "cnn", "lstm", "deep", "attention", "linear", "interaction", "clip"),
                         [](const auto& instance) { return instance.param; });

TEST(Heads, EveryKindHasANetworkAndIsTested) {
  for (const HeadKind& kind : head_kinds()) {
    EXPECT_NO_THROW((void)make_head({.head = std::string(kind.name), .dim = 4}, random_parameters(0))) << kind.name;
  }
  EXPECT_EQ(head_kinds().size(), 8U);  // those in INSTANTIATE_TEST_SUITE_P above
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

TEST(Heads, TheLstmsOwnPassesAreLibtorchs) {
  struct Found {
    at::Tensor states;
    std::vector<at::Tensor> gradients;
  };
  const auto run = [](std::int64_t rows, std::int64_t dim, std::int64_t hidden, float spread, bool ours) {
    at::manual_seed(5);
    const at::Tensor input = at::randn({rows, 2 * dim});
    const auto weight = [&](at::IntArrayRef shape) { return (spread * at::randn(shape)).set_requires_grad(true); };
    const LstmWeights weights{weight({4 * hidden, dim}), weight({4 * hidden, hidden}), weight({4 * hidden}),
                              weight({4 * hidden})};
    const at::Tensor states = ours ? two_step_lstm(input, weights) : two_step_lstm_reference(input, weights);
    (states * at::randn({rows, hidden})).sum().backward();
    return Found{states.detach(),
                 {weights.input_weight.grad(), weights.state_weight.grad(), weights.input_bias.grad(),
                  weights.state_bias.grad()}};
  };
  // Small, odd and saturated gates; a batch of one; the seed's sizes.
  for (const auto& [rows, dim, hidden, spread] :
       {std::tuple<int, int, int, float>{1, 3, 5, 0.3F}, {33, 8, 7, 3.0F}, {64, 1024, 100, 0.02F}, {5, 4, 16, 1e-4F}}) {
    const Found expected = run(rows, dim, hidden, spread, false), found = run(rows, dim, hidden, spread, true);
    EXPECT_TRUE(at::allclose(found.states, expected.states, 1e-5, 1e-6)) << rows << " x " << hidden;
    for (std::size_t i = 0; i < found.gradients.size(); ++i) {
      EXPECT_TRUE(at::allclose(found.gradients[i], expected.gradients[i], 1e-4, 1e-5)) << i << " of " << hidden;
    }
  }
}

struct LstmResult {
  at::Tensor state;
  std::vector<at::Tensor> gradients;
};

LstmResult run_lstm() {
  at::manual_seed(6);
  const std::int64_t rows = 70, dim = 72, hidden = 45;
  const at::Tensor input = at::randn({rows, 2 * dim});
  const auto weight = [](at::IntArrayRef shape) { return (0.1 * at::randn(shape)).set_requires_grad(true); };
  const LstmWeights weights{weight({4 * hidden, dim}), weight({4 * hidden, hidden}), weight({4 * hidden}),
                            weight({4 * hidden})};
  const at::Tensor state = two_step_lstm(input, weights);
  (state * at::randn({rows, hidden})).sum().backward();
  return {
      state.detach().contiguous(),
      {weights.input_weight.grad(), weights.state_weight.grad(), weights.input_bias.grad(), weights.state_bias.grad()}};
}

TEST(Heads, TheLstmIsTheSameOnAnyNumberOfThreads) {
  const LstmResult alone = run_lstm();
  for (const int threads : {2, 3, 4}) {
    const WorkCrew crew(threads);
    const LstmResult shared = run_lstm();
    EXPECT_TRUE(at::equal(shared.state, alone.state)) << threads;
    for (std::size_t i = 0; i < alone.gradients.size(); ++i) {
      EXPECT_TRUE(at::equal(shared.gradients[i], alone.gradients[i])) << i << " on " << threads;
    }
  }
}

TEST(Heads, TheLstmInBfloat16IsNearFloat32) {
  const LstmResult expected = run_lstm();
  const ProductsIn format(kernels::Format::kBf16);
  const LstmResult found = run_lstm();
  EXPECT_TRUE(at::allclose(found.state, expected.state, 0.0, 0.01));
  for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
    const double scale = expected.gradients[i].abs().max().item<double>();
    EXPECT_TRUE(at::allclose(found.gradients[i], expected.gradients[i], 0.0, 0.03 * scale)) << i;
  }
}

TEST(Heads, TheLstmsGradientsAreItsDifferences) {
  const auto values = [](std::vector<std::int64_t> shape, std::uint64_t seed) {
    Random random(seed);
    at::Tensor tensor = at::empty(shape, at::kDouble);
    for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data_ptr<double>()[i] = random.normal() * 0.5;
    return tensor;
  };
  const at::Tensor input = values({3, 8}, 1);
  const at::Tensor mix = values({3, 5}, 2);
  std::vector<at::Tensor> weights = {values({20, 4}, 3), values({20, 5}, 4), values({20}, 5), values({20}, 6)};
  const auto loss = [&] {
    return (two_step_lstm(input, {weights[0], weights[1], weights[2], weights[3]}) * mix).sum();
  };
  for (at::Tensor& weight : weights) weight.requires_grad_(true);
  loss().backward();
  const at::NoGradGuard guard;
  for (at::Tensor& weight : weights) {
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      double* const value = weight.data_ptr<double>() + i;
      const double start = *value;
      *value = start + 1e-5;
      const double up = loss().item<double>();
      *value = start - 1e-5;
      const double down = loss().item<double>();
      *value = start;
      EXPECT_NEAR(weight.grad().flatten()[i].item<double>(), (up - down) / 2e-5, 1e-8);
    }
  }
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
  EXPECT_NE(message([] {
              check_loss(head_kind("clip"), Loss::kCe, 3);
            }).find("clip takes bt, davidson, rao-kupper, plackett-luce, mse, bce"),
            std::string::npos);
  EXPECT_NE(message([] { check_loss(head_kind("mlp"), Loss::kBce, 3); }).find("drop-ties"), std::string::npos);
  EXPECT_NO_THROW(check_loss(head_kind("mlp"), Loss::kBce, 2));
  EXPECT_NE(message([] { (void)make_head({.head = "mlp", .dim = 0}, random_parameters(0)); }).find("found 0"),
            std::string::npos);
}

}  // namespace
}  // namespace imagerank::reward
