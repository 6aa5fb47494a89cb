#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "imagerank/error.h"

namespace imagerank {

/// Where long work stands. The library never prints: whoever called decides what to show.
struct Progress {
  std::string stage;  ///< "encode images"
  std::uint64_t done = 0;
  std::uint64_t total = 0;  ///< 0 where unknown
  std::string note;         ///< short extra, such as "loss 0.412"
};
using ProgressCallback = std::function<void(const Progress&)>;

/// What every long operation takes beside its own options.
struct RunContext {
  ProgressCallback progress;  ///< may be empty
  std::stop_token stop;       ///< polled between items
  int threads = 0;            ///< 0: all cores

  void report(const Progress& value) const {
    if (progress) progress(value);
  }
  /// @throws Error kCancelled once a stop was requested.
  void check_stop() const {
    if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped; run the same command again to resume");
  }
  /// `threads`, or the number of cores this process may use.
  [[nodiscard]] int thread_count() const noexcept;
};

}  // namespace imagerank
