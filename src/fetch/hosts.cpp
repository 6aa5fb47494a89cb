#include "fetch/hosts.h"

#include <algorithm>

namespace imagerank::fetch {

void AnswerTimes::add(milliseconds time) noexcept {
  times_[count_++ % times_.size()] = time;
  constexpr std::size_t kEnough = 16;
  if (count_ < kEnough) return;
  auto times = times_;
  auto* const end = times.begin() + static_cast<std::ptrdiff_t>(std::min(count_, times.size()));
  auto* const ninth_tenth = times.begin() + (end - times.begin()) * 9 / 10;
  std::nth_element(times.begin(), ninth_tenth, end);
  usual_ = *ninth_tenth;
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
  // Beyond the limit only in place of transfers that wait, and only while the host answers others: one that is slow to
  // all is not asked for more.
  constexpr milliseconds kFresh(5000);
  constexpr int kMostWaiting = 8;
  const bool answers = host.answers.usual() && now - host.last_answer < kFresh;
  const int room = answers ? kMostWaiting * settings.per_host : settings.per_host;
  if (host.in_flight - host.quiet >= settings.per_host || host.in_flight >= room) return nullptr;
  // What waits longest ends last: it begins first. URLs that made it wait before leave a quarter of the room to others.
  const bool others = !host.ready.empty() || !host.failed.empty();
  if (!host.silent.empty() && (!others || host.quiet * 4 < room * 3)) return &host.silent;
  if (host.ready.empty()) return host.failed.empty() ? nullptr : &host.failed;
  return !host.failed.empty() && ++host.turns % 4 == 0 ? &host.failed : &host.ready;
}

bool is_silent(const Host& host, Transport::Clock::time_point now) {
  constexpr int kTries = 10;
  constexpr std::chrono::seconds kTime(20);
  constexpr std::chrono::seconds kTimeAfterAnswers(60);
  const bool answered = host.last_answer != Transport::Clock::time_point();
  return host.silent_in_a_row >= kTries && now - host.silent_since >= (answered ? kTimeAfterAnswers : kTime);
}

}  // namespace imagerank::fetch
