#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/progress.h"
#include "core/union_find.h"

namespace imagerank::duplicates {

/// Sets of images, by their numbers.
using ImageSets = UnionFind<std::uint32_t>;

/// A hash for each image, 0 for those without.
struct ImageHashes {
  std::vector<std::uint64_t> bits;
  std::vector<bool> known;

  explicit ImageHashes(std::size_t count) : bits(count), known(count) {}
  void set(std::size_t image, std::uint64_t hash) {
    bits[image] = hash;
    known[image] = true;
  }
};

/// Images whose bytes are equal have one hash: gives those without one that of another of their set.
void share_hashes(ImageSets& sets, ImageHashes& hashes);

/// Joins all images whose hashes differ in at most `distance` bits, directly or through others. Equal hashes are joined
/// before the search, so that many copies of one picture cost nothing. Memory: about 30 bytes an image.
/// @return how many different hashes there are. @throws Error kInvalidArgument (distance), kCancelled.
std::size_t join_near(const ImageHashes& hashes, int distance, const RunContext& context, ImageSets& sets);

/// How many images each set holds, at its root; 0 elsewhere.
[[nodiscard]] std::vector<std::uint32_t> set_sizes(ImageSets& sets);

}  // namespace imagerank::duplicates
