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
  int asked_again = 0;   ///< of these, those of `silent`
  std::size_t jobs = 0;  ///< of any state
  bool in_turn = false;
  Transport::Clock::time_point not_before;   ///< holds all of them back
  Transport::Clock::time_point last_answer;  ///< of any transfer
  AnswerTimes answers;
  float waits = 0;  ///< of its last first tries, some 32, those that had to wait for an answer or its rest: 0..1
  int silent_in_a_row = 0;                    ///< tries that gave no answer, begun after the last answer
  Transport::Clock::time_point silent_since;  ///< when the first of them began
  bool down = false;
  std::string down_reason;
  Transport::Clock::time_point next_probe;   ///< while down
  bool answers_late = false;                 ///< the last URL that kept us waiting was answered in the end
  unsigned silent_to_the_end = 0;            ///< URLs in a row that kept us waiting in all their tries
  Transport::Clock::time_point last_silent;  ///< when the last of them ended
  Transport::Clock::time_point last_prompt;  ///< when a try last ended with an answer that did not stop on its way
  unsigned not_tried_again = 0;

  /// Transfers under way that count against the limits.
  [[nodiscard]] int live() const noexcept { return in_flight - quiet; }
  /// A first try that ended, or waits longer for its answer than is usual.
  void note_try(bool waited) noexcept;
  /// Whether it answers nearly all, and did so lately.
  [[nodiscard]] bool answers_most(Transport::Clock::time_point now) const noexcept;
  /// A URL that kept us waiting gave an answer after all, or none in all its tries.
  void note_silent(bool answered, Transport::Clock::time_point now) noexcept;
  /// Whether URLs that kept us waiting are not worth another try: sixteen in a row, the last of them in the last
  /// minute, had all their tries in vain, and the host answers others.
  [[nodiscard]] bool is_silence_final(Transport::Clock::time_point now) const noexcept;
  /// Every sixteenth of them has all its tries all the same while many others are to come: this may change.
  [[nodiscard]] bool probes_silence() noexcept;
  [[nodiscard]] bool waiting() const noexcept { return !ready.empty() || !failed.empty() || !silent.empty(); }
};

/// How long the next try of a URL may wait for a byte, where its last try may wait `limit`: the first not much longer
/// than this host usually takes, each later one four times as long as the one before.
[[nodiscard]] milliseconds patience(const Host& host, int tries_before, int retries, milliseconds limit);

/// After so long without a byte a transfer counts as one that waits for its server: a second, or four times what the
/// host usually takes to answer (once that where many of its URLs wait).
[[nodiscard]] milliseconds quiet_after(const Host& host);

/// Transfers of all hosts that wait for a byte, or may have to.
struct Waiting {
  int count = 0;
  int most = 0;

  [[nodiscard]] bool full() const noexcept { return count >= most; }
};

/// The queue that the host may be asked for one of now, null if there is none. Where as many wait as may, only hosts
/// that answer are asked.
[[nodiscard]] std::deque<std::size_t>* next_queue(Host& host, const NetworkSettings& settings,
                                                  Transport::Clock::time_point now, const Waiting& waiting);

/// Whether a host gives no answer to anything: ten tries since its last answer, over 20 s, or 60 s where it gave
/// answers before.
[[nodiscard]] bool is_silent(const Host& host, Transport::Clock::time_point now);

}  // namespace imagerank::fetch
