#include "fetch/hosts.h"

#include <algorithm>

namespace imagerank::fetch {

std::optional<milliseconds> AnswerTimes::usual() const {
  constexpr std::size_t kEnough = 16;
  if (count_ < kEnough) return std::nullopt;
  auto times = times_;
  const auto end = times.begin() + static_cast<std::ptrdiff_t>(std::min(count_, times.size()));
  const auto ninth_tenth = times.begin() + (end - times.begin()) * 9 / 10;
  std::nth_element(times.begin(), ninth_tenth, end);
  return *ninth_tenth;
}

std::size_t Host::take_next() {
  const bool again = ready.empty() || (!failed.empty() && ++turns % 4 == 0);
  std::deque<std::size_t>& queue = again ? failed : ready;
  const std::size_t ticket = queue.front();
  queue.pop_front();
  return ticket;
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
  constexpr milliseconds kLeast(20);
  constexpr milliseconds kMost(1000);
  return std::clamp(host.answers.usual().value_or(kMost) * 4, kLeast, kMost);
}

bool has_room(const Host& host, const NetworkSettings& settings, Transport::Clock::time_point now) {
  if (host.in_flight < settings.per_host) return true;
  // Beyond it only in place of transfers that wait, and only while the host answers others: a host that is slow to all
  // is not asked for more.
  constexpr milliseconds kFresh(5000);
  constexpr int kMostWaiting = 8;
  return host.in_flight - host.quiet < settings.per_host && host.in_flight < kMostWaiting * settings.per_host &&
         now - host.last_answer < kFresh;
}

}  // namespace imagerank::fetch
