#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "fetch/transport.h"

namespace imagerank::fetch {

/// How long a host takes to answer.
class AnswerTimes {
 public:
  void add(milliseconds time) noexcept;
  /// Nine of ten of the last 64 answers came sooner; empty until there are 16.
  [[nodiscard]] std::optional<milliseconds> usual() const noexcept { return usual_; }

 private:
  std::array<milliseconds, 64> times_{};
  std::size_t count_ = 0;
  std::optional<milliseconds> usual_;
};

/// One host and port: what waits for it, and how it behaves.
struct Host {
  std::string key;
  std::deque<std::size_t> ready;   ///< tickets never tried
  std::deque<std::size_t> failed;  ///< tickets to try again: every fourth turn while there are others
  std::deque<std::size_t> silent;  ///< tickets to try again that waited in vain: first, as they take nobody's place
  unsigned turns = 0;
  int in_flight = 0;
  int quiet = 0;         ///< of these, those that wait for a byte
  std::size_t jobs = 0;  ///< of any state
  bool in_turn = false;
  Transport::Clock::time_point not_before;   ///< holds all of them back
  Transport::Clock::time_point last_answer;  ///< of any transfer
  AnswerTimes answers;
  int silent_in_a_row = 0;                    ///< tries that gave no answer, begun after the last answer
  Transport::Clock::time_point silent_since;  ///< when the first of them began
  bool down = false;
  std::string down_reason;
  Transport::Clock::time_point next_probe;  ///< while down

  [[nodiscard]] bool waiting() const noexcept { return !ready.empty() || !failed.empty() || !silent.empty(); }
};

/// How long the next try of a URL may wait for a byte, where its last try may wait `limit`: the first not much longer
/// than this host usually takes, each later one four times as long as the one before.
[[nodiscard]] milliseconds patience(const Host& host, int tries_before, int retries, milliseconds limit);

/// After so long without a byte a transfer counts as one that waits for its server: a second, or four times what the
/// host usually takes to answer.
[[nodiscard]] milliseconds quiet_after(const Host& host);

/// The queue that the host may be asked for one of now, null if there is none.
[[nodiscard]] std::deque<std::size_t>* next_queue(Host& host, const NetworkSettings& settings,
                                                  Transport::Clock::time_point now);

/// Whether a host gives no answer to anything: ten tries since its last answer, over 20 s, or 60 s where it gave
/// answers before.
[[nodiscard]] bool is_silent(const Host& host, Transport::Clock::time_point now);

}  // namespace imagerank::fetch
