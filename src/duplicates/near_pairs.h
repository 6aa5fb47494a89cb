#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "core/progress.h"

namespace imagerank::duplicates {

/// The largest distance that is searched for: beyond, unlike pictures are as near as like ones.
inline constexpr int kMaxDistance = 16;

/// Two places of the hashes that were searched, first < second.
struct NearPair {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  int distance = 0;  ///< bits in which their hashes differ
};

/// Calls `visit` once for each two hashes that differ in at most `distance` bits, in no order; never from two threads
/// at once. What it throws ends the search. Exact: no near pair is missed.
/// The hashes are cut into m parts; of two that are near, some part differs in at most distance / m bits, so that only
/// hashes whose parts are that close are compared. m is chosen by what the search will cost for hashes that are spread
/// evenly; a crowd of hashes that share all parts is compared each with each. Memory: 12 bytes a hash and up to 32 MiB
/// for the table of one part, parts one after the other. Source: Norouzi, Punjani, Fleet, Fast Search in Hamming Space
/// with Multi-Index Hashing, CVPR 2012, section 3.
/// @param hashes  all different: many equal ones would be compared each with each. At most 2^32 - 1.
/// @throws Error kInvalidArgument (a distance outside 0..kMaxDistance, too many hashes), kCancelled.
void find_near_pairs(std::span<const std::uint64_t> hashes, int distance, const RunContext& context,
                     const std::function<void(const NearPair&)>& visit);

/// How many pairs of `count` unrelated pictures are that near by chance, if each hash has 32 of its 64 bits set and all
/// such are as likely: count (count - 1) / 2 * sum over k <= distance / 2 of C(32, k)^2 / C(64, 32).
[[nodiscard]] double near_pairs_by_chance(std::size_t count, int distance);

}  // namespace imagerank::duplicates
