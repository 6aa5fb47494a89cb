#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "core/bounded_queue.h"

namespace imagerank::serving {

/// A few threads for what waits for a disk: it must hold up neither the network nor the parsing of requests.
/// Thread-safe. What is queued is done before it ends.
class Background {
 public:
  explicit Background(std::size_t threads, std::size_t capacity = 4096) : queue_(capacity) {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        while (const auto work = queue_.pop()) (*work)();
      });
    }
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() { queue_.close(); }

  /// @param work  must not throw.
  void run(std::function<void()> work) { queue_.push(std::move(work)); }

 private:
  BoundedQueue<std::function<void()>> queue_;
  std::vector<std::jthread> threads_;
};

}  // namespace imagerank::serving
