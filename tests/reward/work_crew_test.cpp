#include "reward/work_crew.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "kernels/kernels.h"
#include "reward/wide_linear.h"

namespace imagerank::reward {
namespace {

constexpr double kLong = 1000.0;  // microseconds: worth sharing

TEST(WorkCrew, EveryPieceIsDoneOnceWhateverTheThreads) {
  for (const int threads : {0, 1, 2, 3, 4, 9}) {
    const WorkCrew crew(threads);
    for (int round = 0; round < 200; ++round) {
      std::array<std::atomic<int>, WorkCrew::kPieces> done{};
      share(kLong, [&](std::size_t piece) { ++done[piece]; });
      for (const auto& count : done) ASSERT_EQ(count, 1);
    }
  }
}

TEST(WorkCrew, AProblemComesBackAndTheCrewGoesOn) {
  const WorkCrew crew(3);
  const auto spoilt = [](std::size_t piece) {
    if (piece == 2) throw std::runtime_error("spoilt");
  };
  EXPECT_THROW(share(kLong, spoilt), std::runtime_error);
  int done = 0;
  share(kLong, [&](std::size_t piece) { done += piece == 0 ? 1 : 0; });
  EXPECT_EQ(done, 1);
}

TEST(WorkCrew, ShortWorkStaysWhereItIs) {
  const WorkCrew crew(4);
  const std::thread::id own = std::this_thread::get_id();
  int done = 0;
  share(1.0, [&](std::size_t piece) {
    EXPECT_EQ(std::this_thread::get_id(), own);
    EXPECT_EQ(done++, static_cast<int>(piece));
  });
  EXPECT_EQ(done, static_cast<int>(WorkCrew::kPieces));
}

TEST(WorkCrew, APieceMayShareItsOwnWork) {
  const WorkCrew crew(2);
  std::atomic<int> done = 0;
  share(kLong, [&](std::size_t) { share(kLong, [&](std::size_t) { ++done; }); });
  EXPECT_EQ(done, static_cast<int>(WorkCrew::kPieces * WorkCrew::kPieces));
}

TEST(WorkCrew, PiecesCoverEverythingInOrder) {
  for (const std::size_t size : {0, 1, 15, 16, 63, 400, 512, 513, 100000}) {
    std::size_t next = 0;
    for (std::size_t piece = 0; piece < WorkCrew::kPieces; ++piece) {
      const Piece own = piece_of(size, piece);
      EXPECT_EQ(own.begin, next) << size;
      next += own.count;
    }
    EXPECT_EQ(next, size);
  }
}

/// Values and gradients of a sum over a wide layer, by wide_linear or by libtorch.
std::array<at::Tensor, 4> layer(std::int64_t in, std::int64_t out, bool ours) {
  torch::manual_seed(3);
  at::Tensor x = torch::randn({33, in}, torch::requires_grad());
  at::Tensor w = torch::randn({out, in}, torch::requires_grad());
  at::Tensor b = torch::randn({out}, torch::requires_grad());
  const at::Tensor y = ours ? wide_linear(x, w, b) : at::linear(x, w, b);
  (y * torch::randn({33, out})).sum().backward();
  return {y.detach(), x.grad(), w.grad(), b.grad()};
}

TEST(WideLinear, IsALinearLayerAndItsGradients) {
  for (const auto& [in, out] : {std::pair<std::int64_t, std::int64_t>{70, 41}, {512, 400}, {16, 3}}) {
    const auto expected = layer(in, out, false);
    const auto found = layer(in, out, true);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(torch::allclose(found[i], expected[i], 1e-4, 1e-4)) << in << " x " << out << ", " << i;
    }
  }
}

TEST(WideLinear, HasTheSameBitsAtAnyNumberOfThreads) {
  const auto alone = layer(512, 400, true);
  for (const int threads : {2, 3, 4}) {
    const WorkCrew crew(threads);
    const auto shared = layer(512, 400, true);
    for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(torch::equal(alone[i], shared[i])) << i;
  }
}

TEST(WideLinear, InBfloat16ItsInputsAreRoundedAndItsSumsAreNot) {
  const auto exact = layer(512, 400, true);
  std::array<at::Tensor, 4> rounded;
  {
    const ProductsIn format(kernels::Format::kBf16);
    rounded = layer(512, 400, true);
  }
  const auto after = layer(512, 400, true);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(torch::equal(after[i], exact[i])) << "the format ends with its scope: " << i;
    const double scale = exact[i].abs().max().item<double>();
    EXPECT_LT((rounded[i] - exact[i]).abs().max().item<double>(), 0.01 * scale) << i;
  }
  if (!kernels::find_level()) GTEST_SKIP() << "this CPU has no AVX2";
  for (const std::size_t product : {0, 1, 2}) EXPECT_FALSE(torch::equal(rounded[product], exact[product])) << product;
  EXPECT_TRUE(torch::equal(rounded[3], exact[3])) << "the bias' gradient is a sum";
  // Numbers that bfloat16 holds exactly multiply exactly: only a float32 sum tells 256 + 1 from 256.
  const at::Tensor input = torch::full({1, 512}, 1.0F), weight = torch::zeros({256, 512}), bias = torch::zeros({256});
  weight[0][0] = 256.0F;
  weight[0][1] = 1.0F;
  const ProductsIn format(kernels::Format::kBf16);
  EXPECT_EQ(wide_product(input, weight, bias)[0][0].item<float>(), 257.0F);
}

}  // namespace
}  // namespace imagerank::reward
