// The search for near hashes that `duplicates --perceptual` makes: random hashes of 32 set bits, some of them with a
// planted neighbour at exactly DISTANCE and one at DISTANCE + 2 bits.
// usage: near_pairs [HASHES=1000000] [DISTANCE=6] [PLANTED=10000] [THREADS=0, all cores]
#include "duplicates/near_pairs.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "core/random.h"

namespace {

using imagerank::Random;

std::uint64_t random_hash(Random& random) {
  std::uint64_t hash = 0;
  while (std::popcount(hash) < 32) hash |= std::uint64_t{1} << random.below(64);
  return hash;
}

/// `hash` with so many of its ones and zeros exchanged.
std::uint64_t with_swaps(std::uint64_t hash, int swaps, Random& random) {
  const std::uint64_t before = hash;
  while (std::popcount(hash ^ before) < 2 * swaps) {
    const std::uint64_t one = std::uint64_t{1} << random.below(64), zero = std::uint64_t{1} << random.below(64);
    if ((before & hash & one) != 0 && ((before | hash) & zero) == 0) hash ^= one | zero;
  }
  return hash;
}

std::int64_t peak_kib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) { return argc > index ? std::atoi(argv[index]) : otherwise; };
  const auto count = static_cast<std::size_t>(argument(1, 1000000));
  const int distance = argument(2, 6);
  const auto planted = static_cast<std::size_t>(argument(3, 10000));
  imagerank::RunContext context;
  context.threads = argument(4, 0);
  Random random(1);
  std::vector<std::uint64_t> hashes;
  hashes.reserve(count);
  while (hashes.size() + 2 * planted < count) hashes.push_back(random_hash(random));
  for (std::size_t i = 0; i < planted; ++i) {
    hashes.push_back(with_swaps(hashes[i], distance / 2, random));
    hashes.push_back(with_swaps(hashes[i], distance / 2 + 1, random));
  }
  const std::size_t first_planted = hashes.size() - 2 * planted;
  const std::int64_t before_kib = peak_kib();
  std::uint64_t pairs = 0, found = 0, too_far = 0;
  const auto start = std::chrono::steady_clock::now();
  imagerank::duplicates::find_near_pairs(hashes, distance, context, [&](const imagerank::duplicates::NearPair& pair) {
    ++pairs;
    if (pair.second < first_planted || pair.first != (pair.second - first_planted) / 2) return;
    ++((pair.second - first_planted) % 2 == 0 ? found : too_far);
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << fmt::format(
      "{} hashes, distance {}: {:.2f} s ({} threads), {:.1f} MiB more; {} pairs, {} of {} planted found, {} beyond; "
      "{:.1f} "
      "by chance\n",
      hashes.size(), distance, seconds, context.thread_count(), static_cast<double>(peak_kib() - before_kib) / 1024.0,
      pairs, found, planted, too_far, imagerank::duplicates::near_pairs_by_chance(first_planted, distance));
  return found == planted && too_far == 0 ? 0 : 1;
}
