#include "reward/conv_plane.h"

#include <gtest/gtest.h>

#include <array>

#include "core/random.h"
#include "kernels/kernels.h"

namespace imagerank::reward {
namespace {

at::Tensor random_tensor(const std::vector<std::int64_t>& shape, std::uint64_t seed, double scale) {
  Random random(seed);
  at::Tensor tensor = at::empty(shape, at::kFloat);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<float>()[i] = static_cast<float>(scale * random.normal());
  }
  return tensor;
}

struct Case {
  at::Tensor input, mix;
  std::array<at::Tensor, 4> weights;

  explicit Case(std::int64_t columns)
      : input(random_tensor({3, 32 * columns}, 1, 1.0)),
        mix(random_tensor({3, 5 * 16 * columns / 2}, 2, 1.0)),
        weights{random_tensor({32, 1, 3, 3}, 3, 0.3), random_tensor({32}, 4, 0.3), random_tensor({5, 32, 3, 3}, 5, 0.1),
                random_tensor({5}, 6, 0.1)} {}
  void widen() {
    input = input.to(at::kDouble);
    mix = mix.to(at::kDouble);
    for (at::Tensor& weight : weights) weight = weight.to(at::kDouble);
  }
  [[nodiscard]] ConvPlaneWeights plane() const { return {weights[0], weights[1], weights[2], weights[3]}; }
};

class EveryWidth : public testing::TestWithParam<std::int64_t> {};

TEST_P(EveryWidth, OurPassesAgreeWithLibtorchsInFloat64) {
  if (!kernels::find_level()) GTEST_SKIP() << "this processor has no AVX2";
  Case ours(GetParam());
  Case theirs(GetParam());
  theirs.widen();
  for (Case* const one : {&ours, &theirs}) {
    for (at::Tensor& weight : one->weights) weight.requires_grad_(true);
  }
  const at::Tensor output = conv_plane(ours.input, ours.plane());
  const at::Tensor expected = conv_plane_reference(theirs.input, theirs.plane());
  ASSERT_EQ(output.sizes(), expected.sizes());
  EXPECT_GT((expected > 0).sum().item<std::int64_t>(), expected.numel() / 10);
  EXPECT_LT((output.to(at::kDouble) - expected).abs().max().item<double>(), 2e-5);
  (output * ours.mix).sum().backward();
  (expected * theirs.mix).sum().backward();
  for (std::size_t i = 0; i < 4; ++i) {
    const at::Tensor& exact = theirs.weights[i].grad();
    ASSERT_EQ(ours.weights[i].grad().sizes(), exact.sizes());
    const double scale = exact.abs().max().item<double>();
    EXPECT_LT((ours.weights[i].grad().to(at::kDouble) - exact).abs().max().item<double>(), 1e-4 * scale) << i;
  }
}

// Pooled rows of 1, 4, 12 numbers, which vectors of 8 take, and where there are vectors of 16, 17, 32 and 48, which
// those do: parts of a vector, odd and even numbers of them.
INSTANTIATE_TEST_SUITE_P(ConvPlane, EveryWidth, testing::Values(2, 8, 24, 34, 64, 96));

TEST(ConvPlane, EqualNumbersGoToTheFirstAsInLibtorch) {
  // A constant input ties all four of a pool away from the border.
  Case ours(8);
  ours.input.fill_(0.5F);
  Case theirs(8);
  theirs.input.fill_(0.5F);
  for (Case* const one : {&ours, &theirs}) {
    for (at::Tensor& weight : one->weights) weight.requires_grad_(true);
  }
  (conv_plane(ours.input, ours.plane()) * ours.mix).sum().backward();
  (conv_plane_reference(theirs.input, theirs.plane()) * theirs.mix).sum().backward();
  EXPECT_TRUE(at::allclose(ours.weights[0].grad(), theirs.weights[0].grad(), 1e-3, 1e-3));
}

}  // namespace
}  // namespace imagerank::reward
