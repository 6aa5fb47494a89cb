#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace imagerank {

/// Sets of the numbers 0 to count - 1, joined two at a time (path halving). A set's root is its smallest member, so
/// that it does not depend on the order of the joins. Not thread-safe.
/// @tparam Index  an integer that holds `count`; the memory is one of it for each number.
template <typename Index>
class UnionFind {
 public:
  explicit UnionFind(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), Index{0}); }

  [[nodiscard]] Index root(Index node) {
    while (parent(node) != node) node = parent(node) = parent(parent(node));
    return node;
  }
  void join(Index a, Index b) {
    a = root(a);
    b = root(b);
    if (a != b) parent(std::max(a, b)) = std::min(a, b);
  }
  [[nodiscard]] std::size_t size() const noexcept { return parent_.size(); }

 private:
  Index& parent(Index node) { return parent_[static_cast<std::size_t>(node)]; }
  std::vector<Index> parent_;
};

}  // namespace imagerank
