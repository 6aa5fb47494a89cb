#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace imagerank::serving {

/// A vector and, of a text, whether it was cut to the encoder's context, and its tokens then.
struct CachedVector {
  std::vector<float> values;
  bool truncated = false;
  std::size_t tokens = 0;
};

/// The most recently used vectors by key, at most `capacity` of them. Thread-safe.
class VectorCache {
 public:
  using Vector = std::shared_ptr<const CachedVector>;
  explicit VectorCache(std::size_t capacity) : capacity_(capacity) {}

  /// Null if it is not there.
  [[nodiscard]] Vector find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  void put(const std::string& key, Vector vector) {
    const std::lock_guard lock(mutex_);
    if (capacity_ == 0 || places_.contains(key)) return;
    if (order_.size() == capacity_) {
      places_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, std::move(vector));
    places_.emplace(key, order_.begin());
  }

 private:
  using Order = std::list<std::pair<std::string, Vector>>;  // most recent first
  const std::size_t capacity_;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, Order::iterator> places_;
};

}  // namespace imagerank::serving
