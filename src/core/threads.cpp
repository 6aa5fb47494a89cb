#include "core/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <vector>

namespace imagerank {

void run_on_threads(int count, const std::function<void()>& work) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < count; ++i) others.emplace_back(guarded);
    guarded();
  }
  if (error) std::rethrow_exception(error);
}

void share_range(std::size_t count, std::size_t group, std::size_t threads,
                 const std::function<void(std::size_t first, std::size_t last)>& work) {
  const auto parts = [](std::size_t whole, std::size_t part) { return (whole + part - 1) / part; };
  const std::size_t turns = std::max<std::size_t>(1, parts(count, group * threads));
  const std::size_t most = std::max<std::size_t>(1, parts(count, turns * threads));
  std::atomic<std::size_t> next = 0;
  run_on_threads(static_cast<int>(std::min(threads, parts(count, most))), [&] {
    try {
      for (std::size_t first = next.fetch_add(most); first < count; first = next.fetch_add(most)) {
        work(first, std::min(first + most, count));
      }
    } catch (...) {
      next = count;
      throw;
    }
  });
}

}  // namespace imagerank
