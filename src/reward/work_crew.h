#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace imagerank::reward {

/// Threads that share the wide products, convolutions and updates of a training's steps, a fraction of a millisecond
/// each: they look for the next, and sleep when it is long in coming, where libtorch's meet after every operation.
/// While one lives, the thread that made it shares its work (see share); elsewhere work runs where it is asked for.
class WorkCrew {
 public:
  /// What is shared is cut into so many pieces, whatever the number of threads: a result does not depend on it.
  static constexpr std::size_t kPieces = 4;

  /// @param threads  the calling one included; more than kPieces are not made.
  explicit WorkCrew(int threads);
  WorkCrew(const WorkCrew&) = delete;
  WorkCrew& operator=(const WorkCrew&) = delete;
  ~WorkCrew();

 private:
  friend void share(double microseconds, const std::function<void(std::size_t)>& work);
  void run(const std::function<void(std::size_t)>& work);
  void serve(std::size_t member);
  void do_pieces(std::size_t member);

  const std::function<void(std::size_t)>* work_ = nullptr;
  std::vector<std::exception_ptr> errors_;  ///< by member
  std::atomic<std::uint32_t> round_ = 0;    ///< goes up with each piece of shared work, and at the end
  std::atomic<std::size_t> busy_ = 0;       ///< members that have not finished the round
  bool over_ = false;
  std::chrono::microseconds patience_{};  ///< how long a member that waits looks before it sleeps
  WorkCrew* outer_;
  std::vector<std::jthread> threads_;
};

/// work(0), ..., work(WorkCrew::kPieces - 1), by the calling thread's crew; returns when all are done. Inside them
/// gradients are off and libtorch runs on one thread. @param microseconds  that one thread would take, about: what is
/// too short to wait for another is done by the calling thread. @throws what one of them threw.
void share(double microseconds, const std::function<void(std::size_t)>& work);

/// Piece `piece` of `size` things: first and number of it, cut at multiples of 16.
struct Piece {
  std::size_t begin, count;
};
[[nodiscard]] Piece piece_of(std::size_t size, std::size_t piece) noexcept;

}  // namespace imagerank::reward
