#include "fetch/hosts.h"

#include <algorithm>

namespace imagerank::fetch {

std::optional<milliseconds> AnswerTimes::usual() const {
  constexpr std::size_t kEnough = 16;
  if (count_ < kEnough) return std::nullopt;
  auto times = times_;
  auto* const end = times.begin() + static_cast<std::ptrdiff_t>(std::min(count_, times.size()));
  auto* const ninth_tenth = times.begin() + (end - times.begin()) * 9 / 10;
  std::nth_element(times.begin(), ninth_tenth, end);
  return *ninth_tenth;
}

milliseconds patience(const Host& host, int tries_before, int retries, milliseconds limit) {
  const auto usual = host.answers.usual();
  // Short only where a later try can make good what it cuts off.
  if (tries_before >= retries || !usual) return limit;
  constexpr milliseconds kLeast(1000);
  milliseconds time = std::max(*usual * 4, kLeast);
  for (int i = 0; i < tries_before && time < limit; ++i) time *= 4;
  return std::min(time, limit);
}

milliseconds quiet_after(const Host& host) {
  constexpr milliseconds kUnknown(1000);
  constexpr milliseconds kLeast(50);
  const auto usual = host.answers.usual();
  return usual ? std::max(*usual * 4, kLeast) : kUnknown;
}

std::deque<std::size_t>* next_queue(Host& host, const NetworkSettings& settings, Transport::Clock::time_point now) {
  if (!host.waiting()) return nullptr;
  bool failed_may = !host.failed.empty();
  if (host.in_flight >= settings.per_host) {
    // Beyond the limit only in place of transfers that wait, and only while the host answers others: one that is slow
    // to all is not asked for more. URLs that made it wait before leave a quarter of that room to others.
    constexpr milliseconds kFresh(5000);
    constexpr int kMostWaiting = 8;
    if (host.in_flight - host.quiet >= settings.per_host || host.in_flight >= kMostWaiting * settings.per_host ||
        !host.answers.usual() || now - host.last_answer >= kFresh) {
      return nullptr;
    }
    failed_may = failed_may && host.quiet < kMostWaiting * 3 / 4 * settings.per_host;
  }
  if (host.ready.empty()) return failed_may ? &host.failed : nullptr;
  return failed_may && ++host.turns % 4 == 0 ? &host.failed : &host.ready;
}

bool is_silent(const Host& host, Transport::Clock::time_point now) {
  constexpr int kTries = 10;
  constexpr std::chrono::seconds kTime(20);
  constexpr std::chrono::seconds kTimeAfterAnswers(60);
  const bool answered = host.last_answer != Transport::Clock::time_point();
  return host.silent_in_a_row >= kTries && now - host.silent_since >= (answered ? kTimeAfterAnswers : kTime);
}

}  // namespace imagerank::fetch
