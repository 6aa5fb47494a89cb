#include "reward/work_crew.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace imagerank::reward {
namespace {

thread_local WorkCrew* current = nullptr;

/// Waits while `value` is `old`: by looking, for about as long as a system call and a switch take twice, then asleep.
template <typename Number>
void wait_while(const std::atomic<Number>& value, Number old) {
  constexpr int kLooks = 1000;
  for (int look = 0; look < kLooks; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  value.wait(old);
}

}  // namespace

WorkCrew::WorkCrew(int threads) : outer_(std::exchange(current, this)) {
  const auto size = std::min(static_cast<std::size_t>(std::max(threads, 1)), kPieces);
  try {
    for (std::size_t member = 1; member < size; ++member) {
      threads_.emplace_back([this, member] { serve(member); });
    }
    // NOLINTNEXTLINE(bugprone-empty-catch): the system gives no more threads, and those that there are do
  } catch (const std::system_error&) {
  }
  errors_.resize(threads_.size() + 1);
}

WorkCrew::~WorkCrew() {
  over_ = true;
  ++round_;
  round_.notify_all();
  threads_.clear();
  current = outer_;
}

void WorkCrew::serve(std::size_t member) {
  at::set_num_threads(1);  // of this thread: a crew of crews would wait for itself
  for (std::uint32_t seen = 0;;) {
    wait_while(round_, seen);
    ++seen;
    if (over_) return;
    do_pieces(member);
    if (busy_.fetch_sub(1) == 1) busy_.notify_one();
  }
}

void WorkCrew::do_pieces(std::size_t member) {
  const at::NoGradGuard guard;
  WorkCrew* const outer = std::exchange(current, nullptr);  // what a piece shares is done where it is
  try {
    for (std::size_t piece = member; piece < kPieces; piece += errors_.size()) (*work_)(piece);
  } catch (...) {
    errors_[member] = std::current_exception();
  }
  current = outer;
}

void WorkCrew::run(const std::function<void(std::size_t)>& work) {
  work_ = &work;
  busy_ = threads_.size();
  ++round_;
  round_.notify_all();
  do_pieces(0);
  for (std::size_t left = busy_; left != 0; left = busy_) wait_while(busy_, left);
  for (std::exception_ptr& error : errors_) {
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }
}

void share(double microseconds, const std::function<void(std::size_t)>& work) {
  constexpr double kWorth = 15.0;
  if (current != nullptr && microseconds >= kWorth) return current->run(work);
  const at::NoGradGuard guard;
  for (std::size_t piece = 0; piece < WorkCrew::kPieces; ++piece) work(piece);
}

Piece piece_of(std::size_t size, std::size_t piece) noexcept {
  constexpr std::size_t kCut = 16;
  const auto edge = [&](std::size_t i) {
    return i == WorkCrew::kPieces ? size : size * i / WorkCrew::kPieces / kCut * kCut;
  };
  return {edge(piece), edge(piece + 1) - edge(piece)};
}

}  // namespace imagerank::reward
