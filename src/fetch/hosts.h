#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "fetch/transport.h"

namespace imagerank::fetch {

/// How long a host usually takes to answer: the longest of its last 64 answers, once there are 16.
class AnswerTimes {
 public:
  void add(milliseconds time) noexcept { times_[count_++ % times_.size()] = time; }
  [[nodiscard]] std::optional<milliseconds> longest() const noexcept;

 private:
  std::array<milliseconds, 64> times_{};
  std::size_t count_ = 0;
};

/// One host and port: what waits for it, and how it behaves.
struct Host {
  std::string key;
  std::deque<std::size_t> ready;   ///< tickets never tried
  std::deque<std::size_t> failed;  ///< tickets to try again: every fourth turn while there are others
  unsigned turns = 0;
  int in_flight = 0;
  int quiet = 0;         ///< of these, those that wait for a byte
  std::size_t jobs = 0;  ///< of any state
  bool in_turn = false;
  Transport::Clock::time_point not_before;   ///< holds all of them back
  Transport::Clock::time_point last_answer;  ///< of any transfer
  AnswerTimes answers;
  int silent_in_a_row = 0;  ///< tries that gave no answer, since the last that did
  bool down = false;
  std::string down_reason;
  Transport::Clock::time_point next_probe;  ///< while down

  [[nodiscard]] bool waiting() const noexcept { return !ready.empty() || !failed.empty(); }
  [[nodiscard]] std::size_t take_next();
};

/// How long the next try of a URL may wait for an answer's first byte.
[[nodiscard]] milliseconds first_byte_limit(const Host& host, int tries_before, const NetworkSettings& settings);

/// After so long without a byte a transfer counts as one that waits for its server.
[[nodiscard]] milliseconds quiet_after(const Host& host);

/// Whether the host may be asked for one more now.
[[nodiscard]] bool has_room(const Host& host, const NetworkSettings& settings, Transport::Clock::time_point now);

}  // namespace imagerank::fetch
