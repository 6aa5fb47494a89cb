#include "fetch/hosts.h"

#include <algorithm>

namespace imagerank::fetch {

std::optional<milliseconds> AnswerTimes::longest() const noexcept {
  constexpr std::size_t kEnough = 16;
  if (count_ < kEnough) return std::nullopt;
  return *std::max_element(times_.begin(),
                           times_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, times_.size())));
}

std::size_t Host::take_next() {
  const bool again = ready.empty() || (!failed.empty() && ++turns % 4 == 0);
  std::deque<std::size_t>& queue = again ? failed : ready;
  const std::size_t ticket = queue.front();
  queue.pop_front();
  return ticket;
}

milliseconds first_byte_limit(const Host& host, int tries_before, const NetworkSettings& settings) {
  const auto usual = host.answers.longest();
  // Short only where a later try can make good what it cuts off.
  if (tries_before > 0 || settings.retries == 0 || !usual) return settings.first_byte_timeout;
  constexpr milliseconds kLeast(1000);
  return std::clamp(*usual * 4, std::min(kLeast, settings.first_byte_timeout), settings.first_byte_timeout);
}

milliseconds quiet_after(const Host& host) {
  constexpr milliseconds kLeast(50);
  constexpr milliseconds kMost(1000);
  return std::clamp(host.answers.longest().value_or(kMost) * 4, kLeast, kMost);
}

bool has_room(const Host& host, const NetworkSettings& settings, Transport::Clock::time_point now) {
  if (host.in_flight < settings.per_host) return true;
  // Beyond it only in place of transfers that wait, and only while the host answers others: a host that is slow to all
  // is not asked for more.
  constexpr milliseconds kFresh(1000);
  constexpr int kMostWaiting = 8;
  return host.in_flight - host.quiet < settings.per_host && host.in_flight < kMostWaiting * settings.per_host &&
         now - host.last_answer < kFresh;
}

}  // namespace imagerank::fetch
