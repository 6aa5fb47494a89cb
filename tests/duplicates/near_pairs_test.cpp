#include "duplicates/near_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>
#include <stop_token>
#include <tuple>
#include <vector>

#include "core/random.h"
#include "duplicates/groups.h"
#include "imagerank/error.h"

namespace imagerank::duplicates {
namespace {

using Pairs = std::vector<std::tuple<std::uint32_t, std::uint32_t, int>>;

Pairs found_pairs(const std::vector<std::uint64_t>& hashes, int distance, int threads = 2) {
  RunContext context;
  context.threads = threads;
  Pairs pairs;
  find_near_pairs(hashes, distance, context,
                  [&](const NearPair& pair) { pairs.emplace_back(pair.first, pair.second, pair.distance); });
  std::ranges::sort(pairs);
  return pairs;
}

/// Each with each.
Pairs all_pairs(const std::vector<std::uint64_t>& hashes, int distance) {
  Pairs pairs;
  for (std::uint32_t i = 0; i < hashes.size(); ++i) {
    for (std::uint32_t k = i + 1; k < hashes.size(); ++k) {
      const int found = std::popcount(hashes[i] ^ hashes[k]);
      if (found <= distance) pairs.emplace_back(i, k, found);
    }
  }
  return pairs;
}

/// `hash` with exactly so many bits changed.
std::uint64_t changed(std::uint64_t hash, int bits, Random& random) {
  const std::uint64_t before = hash;
  while (std::popcount(hash ^ before) < bits)
    hash = before ^ ((hash ^ before) | (std::uint64_t{1} << random.below(64)));
  return hash;
}

/// Random ones, and of the first few two neighbours each: at `distance` and one bit beyond.
std::vector<std::uint64_t> planted(std::size_t count, std::size_t few, int distance, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint64_t> hashes;
  for (std::size_t i = 0; i < count; ++i) hashes.push_back(random.next());
  for (std::size_t i = 0; i < few; ++i) {
    hashes.push_back(changed(hashes[i], distance, random));
    hashes.push_back(changed(hashes[i], distance + 1, random));
  }
  return hashes;
}

TEST(NearPairs, AsEachComparedWithEach) {
  // 20,000: enough that tables are cheaper than comparing all, for small distances; 300: never.
  for (const std::size_t count : {300U, 20000U}) {
    for (const int distance : {0, 1, 2, 5, 6, 7, 11, 16}) {
      if (count > 300 && distance > 7) continue;
      const auto hashes = planted(count, 200, distance, 7);
      const Pairs expected = all_pairs(hashes, distance);
      EXPECT_GE(expected.size(), distance > 0 ? 200U : 0U);
      EXPECT_EQ(found_pairs(hashes, distance), expected) << count << " hashes, distance " << distance;
    }
  }
}

TEST(NearPairs, PlantedNeighboursAtTheDistanceAndNotBeyond) {
  constexpr std::size_t kCount = 200000, kFew = 2000;
  for (const int distance : {2, 4, 6, 8}) {
    const auto hashes = planted(kCount, kFew, distance, 11);
    std::size_t near = 0, beyond = 0;
    for (const auto& [first, second, bits] : found_pairs(hashes, distance)) {
      EXPECT_EQ(std::popcount(hashes[first] ^ hashes[second]), bits);
      EXPECT_LE(bits, distance);
      if (second < kCount || (second - kCount) / 2 != first) continue;
      ++((second - kCount) % 2 == 0 ? near : beyond);
    }
    EXPECT_EQ(near, kFew) << distance;
    EXPECT_EQ(beyond, 0U) << distance;
  }
}

TEST(NearPairs, HashesThatShareMostBitsAreFoundOnceEach) {
  // All within a few bits of one: every part finds most pairs again.
  Random random(3);
  std::vector<std::uint64_t> hashes = {random.next()};
  for (int bit = 0; bit < 64; ++bit) hashes.push_back(hashes[0] ^ (std::uint64_t{1} << bit));
  for (int i = 0; i < 30000; ++i) hashes.push_back(random.next());
  const Pairs pairs = found_pairs(hashes, 2);
  EXPECT_EQ(pairs.size(), 65U * 64U / 2U);
  EXPECT_EQ(pairs, all_pairs(hashes, 2));
}

TEST(NearPairs, ACrowdGivesEveryPair) {
  // All 4,096 settings of 12 bits: each has C(12, 1) + ... + C(12, 6) others within 6 bits.
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t i = 0; i < 4096; ++i) hashes.push_back(0xabcdef0123456000U | i);
  Random random(9);
  for (int i = 0; i < 20000; ++i) hashes.push_back(random.next());
  std::size_t pairs = 0;
  find_near_pairs(hashes, 6, {}, [&](const NearPair& pair) { pairs += pair.second < 4096 ? 1 : 0; });
  EXPECT_EQ(pairs, 4096U / 2 * (12 + 66 + 220 + 495 + 792 + 924));
}

TEST(NearPairs, ThreadsMakeNoDifference) {
  const auto hashes = planted(30000, 500, 6, 5);
  EXPECT_EQ(found_pairs(hashes, 6, 1), found_pairs(hashes, 6, 4));
}

TEST(NearPairs, NothingIsNoError) {
  EXPECT_TRUE(found_pairs({}, 6).empty());
  EXPECT_TRUE(found_pairs({42}, 16).empty());
}

TEST(NearPairs, BadDistancesStopsAndWhatTheVisitorThrows) {
  EXPECT_THROW(found_pairs({1, 2}, -1), Error);
  EXPECT_THROW(found_pairs({1, 2}, kMaxDistance + 1), Error);
  const auto hashes = planted(30000, 10, 6, 5);
  std::stop_source source;
  source.request_stop();
  RunContext context;
  context.stop = source.get_token();
  EXPECT_THROW(find_near_pairs(hashes, 6, context, [](const NearPair&) {}), Error);
  EXPECT_THROW(find_near_pairs(hashes, 6, {}, [](const NearPair&) { throw std::runtime_error("enough"); }),
               std::runtime_error);
}

TEST(NearPairs, ChanceByHand) {
  // Two hashes of 32 of 64 bits are equal, or one exchange apart, in 1 + 32 * 32 of C(64, 32) cases.
  constexpr double kHashes = 1832624140942590534.0;
  EXPECT_NEAR(near_pairs_by_chance(2, 0) * kHashes, 1.0, 1e-9);
  EXPECT_NEAR(near_pairs_by_chance(2, 3) * kHashes, 1025.0, 1e-6);
  EXPECT_NEAR(near_pairs_by_chance(1000001, 2) * kHashes / (1025.0 * 500000.5e6), 1.0, 1e-9);
  EXPECT_EQ(near_pairs_by_chance(0, 6), 0.0);
}

TEST(Groups, ChainsJoinAndCopiesCostNothing) {
  // 0-1-2 a chain of 4 bits each; 3 far; 4 without a hash; then 50,000 copies of 3.
  ImageHashes hashes(50005);
  for (const auto& [image, bits] : std::array<std::pair<std::size_t, std::uint64_t>, 4>{
           {{0, 0x0f0f0f0f0f0f0f0fU}, {1, 0x0f0f0f0f0f0f0f00U}, {2, 0x0f0f0f0f0f0f0000U}, {3, 0xf0f0f0f0f0f0f0f0U}}})
    hashes.set(image, bits);
  for (std::size_t image = 5; image < hashes.bits.size(); ++image) hashes.set(image, hashes.bits[3]);
  ImageSets sets(hashes.bits.size());
  EXPECT_EQ(join_near(hashes, 4, {}, sets), 4U);
  const auto sizes = set_sizes(sets);
  EXPECT_EQ(sizes[0], 3U);
  EXPECT_EQ(sizes[3], 50001U);
  EXPECT_EQ(sizes[4], 1U);
  EXPECT_EQ(sizes[1], 0U);
  EXPECT_EQ(sets.root(2), 0U);

  ImageSets narrower(hashes.bits.size());
  join_near(hashes, 3, {}, narrower);
  EXPECT_EQ(set_sizes(narrower)[0], 1U);
}

TEST(Groups, EqualFilesShareAHash) {
  ImageHashes hashes(4);
  hashes.set(2, 99);
  ImageSets sets(4);
  sets.join(0, 2);
  sets.join(2, 3);
  share_hashes(sets, hashes);
  EXPECT_EQ(hashes.bits, (std::vector<std::uint64_t>{99, 0, 99, 99}));
  EXPECT_FALSE(hashes.known[1]);
}

}  // namespace
}  // namespace imagerank::duplicates
