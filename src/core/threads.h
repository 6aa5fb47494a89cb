#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace imagerank {

/// Runs `work` on `count` threads at once, the caller's among them, and returns when all have ended.
/// @throws what one of them threw first.
void run_on_threads(int count, const std::function<void()>& work);

/// Calls work(first, last) for shares of [0, count), as equal as whole turns of all threads make them, of `group` at
/// most. At least one thread. No share is begun after one has thrown. @throws what one of them threw first.
void share_range(std::size_t count, std::size_t group, std::size_t threads,
                 const std::function<void(std::size_t first, std::size_t last)>& work);

/// A value for each thread that asks.
template <typename Value>
class PerThread {
 public:
  /// The calling thread's own, made at first by make(), which gives a std::unique_ptr<Value>.
  template <typename Make>
  Value& get(const Make& make) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Value>& value = values_[std::this_thread::get_id()];
    if (value == nullptr) value = make();
    return *value;
  }
  /// When no thread asks any more.
  template <typename Visit>
  void for_each(const Visit& visit) {
    for (auto& [thread, value] : values_) visit(*value);
  }

 private:
  std::mutex mutex_;
  std::map<std::thread::id, std::unique_ptr<Value>> values_;
};

}  // namespace imagerank
