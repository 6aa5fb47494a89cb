#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/bounded_queue.h"

namespace imagerank::clip {

/// Threads that all do the same on their own share of a batch, one after the other's word. libtorch's own threads meet
/// after every operation, which costs more than it gains in a model this small, and far more on a busy machine.
class Crew {
 public:
  explicit Crew(std::size_t size) : errors_(size) {
    for (std::size_t i = 0; i < size; ++i) queues_.push_back(std::make_unique<BoundedQueue<Task>>(1));
    for (std::size_t i = 0; i < size; ++i) {
      threads_.emplace_back([this, i] {
        while (const auto task = queues_[i]->pop()) {
          try {
            (*task->work)(i);
          } catch (...) {
            errors_[i] = std::current_exception();
          }
          task->done->count_down();
        }
      });
    }
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    for (auto& queue : queues_) queue->close();
  }

  [[nodiscard]] std::size_t size() const noexcept { return queues_.size(); }
  /// Calls work(i) on thread i, for all, and waits. @throws what a call threw.
  void run(const std::function<void(std::size_t)>& work) {
    std::latch done(static_cast<std::ptrdiff_t>(size()));
    for (auto& queue : queues_) queue->push({&work, &done});
    done.wait();
    for (std::exception_ptr& error : errors_) {
      if (error) std::rethrow_exception(std::exchange(error, nullptr));
    }
  }

 private:
  struct Task {
    const std::function<void(std::size_t)>* work;
    std::latch* done;
  };
  std::vector<std::exception_ptr> errors_;
  std::vector<std::unique_ptr<BoundedQueue<Task>>> queues_;
  std::vector<std::jthread> threads_;
};

}  // namespace imagerank::clip
