#include "simulation/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "imagerank/error.h"

namespace imagerank::simulation {
namespace {

WorldOptions options_of(std::uint64_t rankings, std::uint64_t seed, double noise = 1.0) {
  WorldOptions options;
  options.rankings = rankings;
  options.seed = seed;
  options.noise = noise;
  return options;
}

double share(std::uint64_t part, std::uint64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

class WorldOfSeed : public testing::TestWithParam<std::uint64_t> {};

TEST_P(WorldOfSeed, LooksLikePickAPic) {
  const World world = make_world(options_of(3000, GetParam()));
  const WorldStatistics statistics = measure(world);
  ASSERT_EQ(world.rankings.size(), 3000U);
  // Pick-a-Pic v0: 28 % ties, 46 % of the winners also lost, 3.06 rankings a prompt, 0.72 images a place.
  EXPECT_NEAR(share(statistics.ties, 3000), 0.28, 0.05);
  const double conflicts = share(statistics.winners_that_lost, statistics.winners);
  EXPECT_TRUE(conflicts > 0.3 && conflicts < 0.55) << conflicts;
  EXPECT_NEAR(3000.0 / static_cast<double>(statistics.prompts), 3.06, 0.8);
  EXPECT_NEAR(static_cast<double>(world.pictures.size()) / 12'000.0, 0.72, 0.06);
  EXPECT_EQ(statistics.strict_pairs, (3000 - statistics.ties) * 3);

  std::map<std::string, int> of_user;
  for (const auto& ranking : world.rankings) ++of_user[ranking.user_id];
  std::vector<int> counts;
  for (const auto& [user, count] : of_user) counts.push_back(count);
  std::ranges::sort(counts, std::greater{});
  int heavy = 0;
  for (std::size_t i = 0; i < 10; ++i) heavy += counts[i];
  EXPECT_NEAR(heavy / 3000.0, 0.56, 0.08);
  EXPECT_EQ(of_user.size(), world.users);
}

TEST_P(WorldOfSeed, TheOracleIsGoodAndTheImageAloneIsNotEnough) {
  const WorldStatistics statistics = measure(make_world(options_of(3000, GetParam())));
  EXPECT_GT(statistics.oracle_pair_accuracy, 0.75);
  EXPECT_LT(statistics.oracle_pair_accuracy, 0.90);
  const double way = (statistics.image_only_pair_accuracy - 0.5) / (statistics.oracle_pair_accuracy - 0.5);
  EXPECT_GT(way, 0.2) << "quality is to matter";
  EXPECT_LT(way, 0.6) << "so is the prompt";
}

INSTANTIATE_TEST_SUITE_P(Seeds, WorldOfSeed, testing::Range<std::uint64_t>(0, 8));

TEST(MakeWorld, EveryRankingIsWellFormed) {
  const World world = make_world(options_of(1000, 3));
  std::set<std::string> uids;
  for (const Picture& picture : world.pictures) EXPECT_TRUE(uids.insert(picture.uid).second);
  std::string last_time;
  std::set<std::string> ids;
  int empty = 0;
  int foreign = 0;
  std::map<std::string, int> shown;
  for (const workspace::Ranking& ranking : world.rankings) {
    EXPECT_TRUE(ids.insert(ranking.ranking_id).second);
    EXPECT_EQ(ranking.dataset, "simulation");
    EXPECT_LE(last_time, ranking.created_at);
    EXPECT_EQ(ranking.created_at.size(), std::string("2023-11-14 22:13:20.000000").size());
    last_time = ranking.created_at;
    ASSERT_EQ(ranking.image_uids.size(), 4U);
    EXPECT_EQ(std::set<std::string>(ranking.image_uids.begin(), ranking.image_uids.end()).size(), 4U);
    for (const std::string& uid : ranking.image_uids) {
      EXPECT_TRUE(uids.contains(uid));
      ++shown[uid];
    }
    if (ranking.best_image_uid) {
      EXPECT_EQ(std::ranges::count(ranking.image_uids, *ranking.best_image_uid), 1);
    }
    empty += ranking.prompt.empty() ? 1 : 0;
    foreign += std::ranges::any_of(ranking.prompt, [](char c) { return static_cast<unsigned char>(c) > 127; }) ? 1 : 0;
  }
  EXPECT_EQ(shown.size(), uids.size()) << "every picture is shown";
  EXPECT_TRUE(std::ranges::any_of(shown, [](const auto& entry) { return entry.second > 3; }));
  EXPECT_TRUE(empty > 0 && empty < 40) << empty;
  EXPECT_TRUE(foreign > 10 && foreign < 150) << foreign;
}

TEST(MakeWorld, TheTruthCoversWhatOccursAndNothingElse) {
  const World world = make_world(options_of(400, 5));
  std::set<std::pair<std::string, std::string>> occurring;
  for (const workspace::Ranking& ranking : world.rankings) {
    for (const std::string& uid : ranking.image_uids) occurring.emplace(uid, ranking.prompt);
  }
  std::set<std::pair<std::string, std::string>> known;
  for (const workspace::Truth& truth : world.truth) {
    EXPECT_TRUE(truth.utility >= 0.0 && truth.utility <= 1.0) << truth.utility;
    EXPECT_TRUE(known.emplace(truth.image_uid, truth.prompt).second);
  }
  EXPECT_EQ(known, occurring);
  EXPECT_EQ(world.image_utility.size(), world.truth.size());
}

TEST(MakeWorld, WithoutNoiseTheOracleIsAlwaysRight) {
  EXPECT_DOUBLE_EQ(measure(make_world(options_of(500, 1, 0.0))).oracle_pair_accuracy, 1.0);
  const double loud = measure(make_world(options_of(2000, 1, 20.0))).oracle_pair_accuracy;
  EXPECT_TRUE(loud > 0.45 && loud < 0.6) << loud;
}

TEST(MakeWorld, SameSeedSameWorld) {
  const World a = make_world(options_of(200, 9));
  const World b = make_world(options_of(200, 9));
  const World c = make_world(options_of(200, 10));
  ASSERT_EQ(a.pictures.size(), b.pictures.size());
  for (std::size_t i = 0; i < a.rankings.size(); ++i) {
    EXPECT_EQ(a.rankings[i].image_uids, b.rankings[i].image_uids);
    EXPECT_EQ(a.rankings[i].best_image_uid, b.rankings[i].best_image_uid);
    EXPECT_EQ(a.rankings[i].prompt, b.rankings[i].prompt);
  }
  EXPECT_NE(a.pictures.front().uid, c.pictures.front().uid);
  EXPECT_NE(a.rankings.front().prompt, c.rankings.front().prompt);
}

TEST(MakeWorld, HoldOutIsKept) {
  WorldOptions options = options_of(300, 2);
  options.hold_out = HoldOut::kExclude;
  for (const Picture& picture : make_world(options).pictures) ASSERT_FALSE(has_held_out(picture.scene));
}

TEST(MakeWorld, RefusesOptionsOutOfRange) {
  const auto code_of = [](const WorldOptions& options) {
    try {
      (void)make_world(options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kIo;
  };
  EXPECT_EQ(code_of(options_of(0, 1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(options_of(10, 1, -1.0)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(options_of(10, 1, std::nan(""))), ErrorCode::kInvalidArgument);
  WorldOptions small = options_of(10, 1);
  small.image_size = 8;
  EXPECT_EQ(code_of(small), ErrorCode::kInvalidArgument);
}

TEST(Measure, WorkedExample) {
  World world;
  workspace::Ranking first;
  first.prompt = "p";
  first.image_uids = {"a", "b", "c", "d"};
  first.best_image_uid = "a";
  workspace::Ranking second = first;
  second.best_image_uid = "b";
  workspace::Ranking tie = first;
  tie.best_image_uid.reset();
  world.rankings = {first, second, tie};
  world.truth = {{"a", "p", 0.9}, {"b", "p", 0.5}, {"c", "p", 0.5}, {"d", "p", 0.1}};
  world.image_utility = {0.1, 0.2, 0.3, 0.4};
  const WorldStatistics statistics = measure(world);
  EXPECT_EQ(statistics.prompts, 1U);
  EXPECT_EQ(statistics.ties, 1U);
  EXPECT_EQ(statistics.strict_pairs, 6U);
  EXPECT_EQ(statistics.winners, 2U);
  EXPECT_EQ(statistics.winners_that_lost, 2U);
  // First: a beats all, 3 of 3. Second: b over a wrong, over c half, over d right: 1.5 of 3.
  EXPECT_DOUBLE_EQ(statistics.oracle_pair_accuracy, 4.5 / 6.0);
  // By the image alone a loses to all; b beats a only.
  EXPECT_DOUBLE_EQ(statistics.image_only_pair_accuracy, 1.0 / 6.0);
}

TEST(Measure, WithoutPairsThereIsNoAccuracy) { EXPECT_TRUE(std::isnan(measure(World{}).oracle_pair_accuracy)); }

}  // namespace
}  // namespace imagerank::simulation
