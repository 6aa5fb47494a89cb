#include "core/union_find.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/random.h"

namespace imagerank {
namespace {

TEST(UnionFind, TheSmallestMemberIsTheRootWhateverTheOrder) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> joins = {{5, 3}, {3, 8}, {1, 9}, {8, 2}, {7, 7}};
  Random random(1);
  for (int order = 0; order < 20; ++order) {
    random.shuffle(joins);
    UnionFind<std::uint32_t> sets(10);
    for (const auto& [a, b] : joins) sets.join(a, b);
    std::vector<std::uint32_t> roots;
    for (std::uint32_t i = 0; i < sets.size(); ++i) roots.push_back(sets.root(i));
    EXPECT_EQ(roots, (std::vector<std::uint32_t>{0, 1, 2, 2, 4, 2, 6, 7, 2, 1}));
  }
}

}  // namespace
}  // namespace imagerank
