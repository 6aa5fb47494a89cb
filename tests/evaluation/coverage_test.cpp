// Does a 95 % interval hold the truth as often as it says? Over 300 made-up data sets each, of 100 prompts or fewer,
// whose prompts differ in how easy they are and in how many pairs they have: rows are not independent.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>

#include "core/random.h"
#include "evaluation/measurement.h"

namespace imagerank::evaluation {
namespace {

constexpr int kDataSets = 300;
constexpr int kLeastCovered = 279;  // 93 %

struct World {
  const char* name;
  std::size_t prompts;
  double hardest, easiest;  // chance of a right answer, uniform between them by prompt
  std::function<std::uint64_t(Random&)> pairs;
};

std::uint64_t one_to_eight(Random& random) { return 1 + random.below(8); }
/// Geometric: many prompts of one or two pairs, few of many.
std::uint64_t uneven(Random& random) {
  return 1 + static_cast<std::uint64_t>(std::log(1.0 - random.uniform()) / std::log(0.7));
}
/// A tail as long as Pick-a-Pic's, where one prompt may have hundreds of pairs.
std::uint64_t long_tailed(Random& random) {
  return std::min<std::uint64_t>(300,
                                 1 + static_cast<std::uint64_t>(2.0 * (std::pow(1.0 - random.uniform(), -0.7) - 1)));
}

/// One data set of a world, whose true pair accuracy is the mean of the two chances.
struct DataSet {
  SplitTruth truth;
  Predictions predictions;

  DataSet(const World& world, std::uint64_t seed) {
    Random random(20240501, seed);
    truth.ranking_begin = {0};
    truth.prompt_count = world.prompts;
    for (std::uint32_t prompt = 0; prompt < world.prompts; ++prompt) {
      const double ease = random.uniform(world.hardest, world.easiest);
      for (std::uint64_t pairs = world.pairs(random); pairs > 0; --pairs) {
        truth.pair_prompt.push_back(prompt);
        truth.pair_p_a.push_back(1.0);
        predictions.pair_a.push_back(random.chance(ease) ? 1.0 : -1.0);
      }
    }
    predictions.pair_b.assign(truth.pairs(), 0.0);
  }
};

Estimate by_prompt(const DataSet& data, std::uint64_t seed) {
  const Bootstrap bootstrap(data.truth.prompt_count, 300, seed);
  return at(measure(data.truth, data.predictions, 0.0, bootstrap), Metric::kPairStrictMicro);
}

/// As if each pair were a prompt of its own.
Estimate by_row(const DataSet& data, std::uint64_t seed) {
  auto truth = data.truth;
  for (std::size_t i = 0; i < truth.pairs(); ++i) truth.pair_prompt[i] = static_cast<std::uint32_t>(i);
  truth.prompt_count = truth.pairs();
  const Bootstrap bootstrap(truth.prompt_count, 300, seed);
  return at(measure(truth, data.predictions, 0.0, bootstrap), Metric::kPairStrictMicro);
}

/// The 2.5 and 97.5 % quantiles of the same draws by prompt.
Estimate by_percentile(const DataSet& data, std::uint64_t seed) {
  std::vector<double> sums(data.truth.prompt_count * 2);
  for (std::size_t i = 0; i < data.truth.pairs(); ++i) {
    sums[data.truth.pair_prompt[i] * 2] += data.predictions.pair_a[i] > 0.0 ? 1.0 : 0.0;
    sums[data.truth.pair_prompt[i] * 2 + 1] += 1.0;
  }
  const Bootstrap bootstrap(data.truth.prompt_count, 300, seed);
  const auto resampled = bootstrap.resampled_sums(sums, 2);
  std::vector<double> shares;
  for (std::size_t draw = 0; draw < bootstrap.draws(); ++draw) {
    shares.push_back(resampled[2 * draw] / resampled[2 * draw + 1]);
  }
  std::ranges::sort(shares);
  return {0.0, quantile(shares, 0.025), quantile(shares, 0.975)};
}

int covered(const World& world, Estimate (*interval)(const DataSet&, std::uint64_t)) {
  const double truth = (world.hardest + world.easiest) / 2.0;
  int count = 0;
  for (std::uint64_t seed = 0; seed < kDataSets; ++seed) {
    const auto estimate = interval(DataSet(world, seed), seed);
    if (*estimate.low <= truth && truth <= *estimate.high) ++count;
  }
  return count;
}

const World kWorlds[] = {{"100 prompts", 100, 0.2, 1.0, one_to_eight},
                         {"100 uneven prompts", 100, 0.5, 1.0, uneven},
                         {"100 uneven prompts, a good judge", 100, 0.8, 1.0, uneven},
                         {"120 long-tailed prompts", 120, 0.4, 1.0, long_tailed},
                         {"400 prompts", 400, 0.4, 1.0, one_to_eight},
                         {"20 prompts, the test split of 100", 20, 0.4, 1.0, one_to_eight},
                         {"20 prompts, a good judge", 20, 0.8, 1.0, one_to_eight}};

TEST(Coverage, IntervalsHoldTheTruthIn93PercentOfDataSets) {
  for (const auto& world : kWorlds) {
    const int count = covered(world, by_prompt);
    std::cout << world.name << ": " << count << " of " << kDataSets << " (plain percentile "
              << covered(world, by_percentile) << ")\n";
    EXPECT_GE(count, kLeastCovered) << world.name << ", of " << kDataSets;
  }
}

// Neither would have passed above, so the test can fail.
TEST(Coverage, NeitherRowsNorThePlainPercentileWouldDo) {
  EXPECT_LT(covered({"100 prompts", 100, 0.0, 1.0, one_to_eight}, by_row), kLeastCovered);
  EXPECT_LT(covered({"10 uneven prompts, a good judge", 10, 0.8, 1.0, uneven}, by_percentile), kLeastCovered);
}

}  // namespace
}  // namespace imagerank::evaluation
