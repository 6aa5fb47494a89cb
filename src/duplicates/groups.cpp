#include "duplicates/groups.h"

#include <algorithm>

#include "duplicates/near_pairs.h"

namespace imagerank::duplicates {

void share_hashes(ImageSets& sets, ImageHashes& hashes) {
  const auto count = static_cast<std::uint32_t>(sets.size());
  for (std::uint32_t image = 0; image < count; ++image) {
    const std::uint32_t root = sets.root(image);
    if (hashes.known[image] && !hashes.known[root]) hashes.set(root, hashes.bits[image]);
  }
  for (std::uint32_t image = 0; image < count; ++image) {
    const std::uint32_t root = sets.root(image);
    if (hashes.known[root] && !hashes.known[image]) hashes.set(image, hashes.bits[root]);
  }
}

std::size_t join_near(const ImageHashes& hashes, int distance, const RunContext& context, ImageSets& sets) {
  std::vector<std::uint64_t> distinct;
  std::vector<std::uint32_t> first;  ///< an image of each distinct hash
  {
    std::vector<std::uint32_t> order;
    for (std::size_t image = 0; image < hashes.known.size(); ++image) {
      if (hashes.known[image]) order.push_back(static_cast<std::uint32_t>(image));
    }
    std::ranges::sort(order, {}, [&](std::uint32_t image) { return hashes.bits[image]; });
    for (const std::uint32_t image : order) {
      if (!distinct.empty() && distinct.back() == hashes.bits[image]) {
        sets.join(first.back(), image);
      } else {
        distinct.push_back(hashes.bits[image]);
        first.push_back(image);
      }
    }
  }
  find_near_pairs(distinct, distance, context,
                  [&](const NearPair& pair) { sets.join(first[pair.first], first[pair.second]); });
  return distinct.size();
}

std::vector<std::uint32_t> set_sizes(ImageSets& sets) {
  std::vector<std::uint32_t> sizes(sets.size());
  for (std::uint32_t image = 0; image < sets.size(); ++image) ++sizes[sets.root(image)];
  return sizes;
}

}  // namespace imagerank::duplicates
