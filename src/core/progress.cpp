#include "core/progress.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace imagerank {

int RunContext::thread_count() const noexcept {
  if (threads > 0) return threads;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace imagerank
