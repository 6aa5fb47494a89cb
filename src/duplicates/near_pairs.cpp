#include "duplicates/near_pairs.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "core/fail.h"

// The inner loop is compiled twice, and the machine picks: counting bits is one instruction, which a build for any
// x86-64 cannot take for granted.
#if defined(__x86_64__) && defined(__GNUC__)
#define IMAGERANK_HAS_POPCNT_CLONE 1
#define IMAGERANK_INLINE inline __attribute__((always_inline))
#else
#define IMAGERANK_HAS_POPCNT_CLONE 0
#define IMAGERANK_INLINE inline
#endif

namespace imagerank::duplicates {
namespace {

constexpr int kBits = 64;
constexpr int kMostTableBits = 22;
constexpr std::size_t kMostFound = 1 << 16;  ///< handed over when there are more: a crowd has a great many pairs

/// One part of all hashes, and how far off it may be.
struct Part {
  int shift = 0;
  int bits = 0;
  int radius = 0;

  [[nodiscard]] std::uint64_t of(std::uint64_t hash) const {
    return bits == kBits ? hash : (hash >> shift) & ((std::uint64_t{1} << bits) - 1);
  }
};

/// Hashes cut into `count` parts. With r = distance / count and a = distance % count, two near hashes differ in at most
/// r bits in one of the first a + 1 parts, or in at most r - 1 in one of the others (the source's proposition 2).
std::vector<Part> cut(int count, int distance) {
  std::vector<Part> parts;
  int shift = 0;
  for (int i = 0; i < count; ++i) {
    const int bits = kBits / count + (i < kBits % count ? 1 : 0);
    const int radius = distance / count - (i <= distance % count ? 0 : 1);
    if (radius >= 0) parts.push_back({shift, bits, radius});
    shift += bits;
  }
  return parts;
}

double choose(int n, int k) {
  double result = 1.0;
  for (int i = 1; i <= k; ++i) result = result * (n - k + i) / i;
  return result;
}

/// Comparisons and look-ups, in comparisons.
double cost(const std::vector<Part>& parts, double hashes) {
  constexpr double kLookup = 4.0;
  double sum = 0.0;
  for (const Part& part : parts) {
    double masks = 0.0;
    for (int k = 0; k <= part.radius; ++k) masks += choose(part.bits, k);
    const double buckets = std::exp2(part.bits);
    sum += masks * (kLookup * std::min(hashes, buckets) + hashes * hashes / buckets) / 2.0 + 4.0 * hashes + buckets;
  }
  return sum;
}

/// Empty: comparing all with all is cheapest.
std::vector<Part> choose_parts(std::size_t hashes, int distance) {
  std::vector<Part> best;
  double least = static_cast<double>(hashes) * static_cast<double>(hashes) / 2.0;
  for (int count = 1; count <= std::max(distance + 1, kBits / kMostTableBits + 1); ++count) {
    const std::vector<Part> parts = cut(count, distance);
    if (parts.front().bits > kMostTableBits) continue;
    const double found = cost(parts, static_cast<double>(hashes));
    if (found < least) {
      least = found;
      best = parts;
    }
  }
  return best;
}

/// All numbers of `bits` bits with `set` of them set, in order.
void append_masks(int bits, int set, std::vector<std::uint64_t>& masks) {
  if (set == 0) return masks.push_back(0);
  const std::uint64_t end = std::uint64_t{1} << bits;
  // The next larger number of as many bits: the lowest run of ones moves up by one, the rest of it falls to the bottom.
  for (std::uint64_t mask = (std::uint64_t{1} << set) - 1; mask < end;) {
    masks.push_back(mask);
    const std::uint64_t lowest = mask & (~mask + 1);
    const std::uint64_t carried = mask + lowest;
    mask = carried | (((mask ^ carried) >> 2) / lowest);
  }
}

/// Hashes sorted into buckets by one part.
struct Buckets {
  std::vector<std::uint32_t> begin;   ///< [2^bits + 1]
  std::vector<std::uint32_t> places;  ///< of the hashes, bucket by bucket
  std::vector<std::uint64_t> hashes;  ///< the same

  Buckets(std::span<const std::uint64_t> all, const Part& part)
      : begin((std::size_t{1} << part.bits) + 1), places(all.size()), hashes(all.size()) {
    for (const std::uint64_t hash : all) ++begin[part.of(hash) + 1];
    for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
    std::vector<std::uint32_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::uint32_t at = next[part.of(all[i])]++;
      places[at] = static_cast<std::uint32_t>(i);
      hashes[at] = all[i];
    }
  }
};

struct Found {
  std::uint32_t a = 0;  ///< places in Buckets
  std::uint32_t b = 0;
};

IMAGERANK_INLINE void compare_body(const std::uint64_t* hashes, std::uint32_t a, std::uint32_t begin, std::uint32_t end,
                                   int distance, std::vector<Found>& found) {
  const std::uint64_t hash = hashes[a];
  for (std::uint32_t b = begin; b < end; ++b) {
    if (std::popcount(hash ^ hashes[b]) <= distance) found.push_back({a, b});
  }
}

#if IMAGERANK_HAS_POPCNT_CLONE
__attribute__((target("popcnt"))) void compare_popcnt(const std::uint64_t* hashes, std::uint32_t a, std::uint32_t begin,
                                                      std::uint32_t end, int distance, std::vector<Found>& found) {
  compare_body(hashes, a, begin, end, distance, found);
}
bool has_popcnt() {
  static const bool kResult = __builtin_cpu_supports("popcnt");
  return kResult;
}
#endif

/// Which of hashes[begin, end) are near hashes[a].
void compare(const std::uint64_t* hashes, std::uint32_t a, std::uint32_t begin, std::uint32_t end, int distance,
             std::vector<Found>& found) {
#if IMAGERANK_HAS_POPCNT_CLONE
  if (has_popcnt()) return compare_popcnt(hashes, a, begin, end, distance, found);
#endif
  compare_body(hashes, a, begin, end, distance, found);
}

/// One search: parts one after the other, the buckets of each shared out among threads.
class Search {
 public:
  Search(std::span<const std::uint64_t> hashes, int distance, const RunContext& context,
         const std::function<void(const NearPair&)>& visit)
      : hashes_(hashes), distance_(distance), context_(context), visit_(visit) {}

  void run() {
    parts_ = choose_parts(hashes_.size(), distance_);
    if (parts_.empty()) return compare_all();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      search_part(i);
      context_.report({"compare hashes", i + 1, parts_.size(), ""});
    }
  }

 private:
  void compare_all() {
    share_out(hashes_.size(), [&](std::size_t i, std::vector<Found>& found) {
      const auto a = static_cast<std::uint32_t>(i);
      compare(hashes_.data(), a, a + 1, static_cast<std::uint32_t>(hashes_.size()), distance_, found);
      give(found, [](std::uint32_t place) { return place; }, 0);
    });
  }

  void search_part(std::size_t index) {
    const Part& part = parts_[index];
    const Buckets buckets(hashes_, part);
    std::vector<std::uint64_t> masks;
    for (int k = 0; k <= part.radius; ++k) append_masks(part.bits, k, masks);
    const auto place_of = [&](std::uint32_t place) { return buckets.places[place]; };
    share_out(buckets.begin.size() - 1, [&](std::size_t key, std::vector<Found>& found) {
      const std::uint32_t begin = buckets.begin[key], end = buckets.begin[key + 1];
      if (begin == end) return;
      for (const std::uint64_t mask : masks) {
        const std::size_t other = key ^ mask;
        if (other < key) continue;  // that bucket looks here
        for (std::uint32_t a = begin; a < end; ++a) {
          compare(buckets.hashes.data(), a, mask == 0 ? a + 1 : buckets.begin[other], buckets.begin[other + 1],
                  distance_, found);
          if (found.size() >= kMostFound) give(found, place_of, index);
        }
      }
      give(found, place_of, index);
    });
  }

  /// Hands over what was found, but for pairs that an earlier part has found already.
  template <typename PlaceOf>
  void give(std::vector<Found>& found, const PlaceOf& place_of, std::size_t part) {
    if (found.empty()) return;
    const std::lock_guard lock(mutex_);
    for (const Found& pair : found) {
      const auto [first, second] = std::minmax({place_of(pair.a), place_of(pair.b)});
      const std::uint64_t difference = hashes_[first] ^ hashes_[second];
      const auto is_near = [&](const Part& earlier) { return std::popcount(earlier.of(difference)) <= earlier.radius; };
      if (std::any_of(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(part), is_near)) continue;
      visit_({first, second, std::popcount(difference)});
    }
    found.clear();
  }

  /// Calls work(i, scratch) for i in [0, count) on several threads. @throws what the first to fail threw.
  template <typename Work>
  void share_out(std::size_t count, const Work& work) {
    constexpr std::size_t kGrain = 64;
    std::atomic<std::size_t> next = 0;
    std::exception_ptr failure;
    const auto run = [&] {
      std::vector<Found> found;
      try {
        for (std::size_t first = next.fetch_add(kGrain); first < count; first = next.fetch_add(kGrain)) {
          context_.check_stop();
          for (std::size_t i = first; i < std::min(count, first + kGrain); ++i) work(i, found);
        }
      } catch (...) {
        next = count;  // the others end too
        const std::lock_guard lock(mutex_);
        if (!failure) failure = std::current_exception();
      }
    };
    {
      std::vector<std::jthread> workers;
      for (int i = 1; i < context_.thread_count(); ++i) workers.emplace_back(run);
      run();
    }
    if (failure) std::rethrow_exception(failure);
  }

  std::span<const std::uint64_t> hashes_;
  int distance_;
  const RunContext& context_;
  const std::function<void(const NearPair&)>& visit_;
  std::vector<Part> parts_;
  std::mutex mutex_;
};

}  // namespace

void find_near_pairs(std::span<const std::uint64_t> hashes, int distance, const RunContext& context,
                     const std::function<void(const NearPair&)>& visit) {
  if (distance < 0 || distance > kMaxDistance)
    fail(ErrorCode::kInvalidArgument, "near pairs: expected a distance of 0 to {}, found {}", kMaxDistance, distance);
  if (hashes.size() >= std::numeric_limits<std::uint32_t>::max())
    fail(ErrorCode::kInvalidArgument, "near pairs: expected fewer than 2^32 - 1 hashes, found {}", hashes.size());
  Search(hashes, distance, context, visit).run();
}

double near_pairs_by_chance(std::size_t count, int distance) {
  constexpr int kSet = kBits / 2;
  double near = 0.0;
  for (int k = 0; k <= distance / 2; ++k) near += choose(kSet, k) * choose(kSet, k);
  const auto hashes = static_cast<double>(count);
  return hashes * (hashes - 1.0) / 2.0 * near / choose(kBits, kSet);
}

}  // namespace imagerank::duplicates
