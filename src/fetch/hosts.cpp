#include "fetch/hosts.h"

#include <algorithm>

namespace imagerank::fetch {
namespace {

/// Whether it was a moment ago, if ever: the host is there.
bool is_fresh(Transport::Clock::time_point time, Transport::Clock::time_point now) {
  constexpr milliseconds kFresh(5000);
  return time != Transport::Clock::time_point() && now - time < kFresh;
}

}  // namespace

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
  constexpr float kOften = 0.25F;
  constexpr milliseconds kLeastWhereMany(20);
  const auto usual = host.answers.usual();
  if (!usual) return kUnknown;
  // Where many wait, who is later than nine of ten answers is hardly one that answers.
  return host.waits > kOften ? std::max(*usual, kLeastWhereMany) : std::max(*usual * 4, kLeast);
}

void Host::note_silent(bool answered, Transport::Clock::time_point now) noexcept {
  answers_late = answered;
  silent_to_the_end = answered ? 0 : silent_to_the_end + 1;
  if (!answered) last_silent = now;
}

bool Host::is_silence_final(Transport::Clock::time_point now) const noexcept {
  constexpr unsigned kEnough = 16;
  constexpr std::chrono::seconds kHolds(60);
  return silent_to_the_end >= kEnough && now - last_silent < kHolds && is_fresh(last_prompt, now);
}

bool Host::probes_silence() noexcept {
  constexpr unsigned kEvery = 16;
  constexpr std::size_t kMany = 1024;  // else it ends last, and tells nobody
  return ready.size() >= kMany && ++not_tried_again % kEvery == 0;
}

bool Host::answers_most(Transport::Clock::time_point now) const noexcept {
  constexpr float kFew = 0.125F;
  return is_fresh(last_answer, now) && waits <= kFew;
}

void Host::note_try(bool waited) noexcept {
  constexpr float kWeight = 1.0F / 32;
  waits += kWeight * ((waited ? 1.0F : 0.0F) - waits);
}

std::deque<std::size_t>* next_queue(Host& host, const NetworkSettings& settings, Transport::Clock::time_point now,
                                    const Waiting& waiting) {
  if (!host.waiting()) return nullptr;
  // Beyond the limit only in place of transfers that wait, and only while the host answers others: one that is slow to
  // all is not asked for more.
  constexpr int kMostWaiting = 8;
  if (waiting.full() && !host.answers_most(now)) return nullptr;
  const bool answers = host.answers.usual() && is_fresh(host.last_answer, now);
  const int room = answers ? kMostWaiting * settings.per_host : settings.per_host;
  if (host.live() >= settings.per_host || host.in_flight >= room) return nullptr;
  // What waits longest ends last: it begins first. URLs that made us wait before leave half of the room to others; and
  // until one of them was answered, a few are enough to find out whether that happens.
  constexpr int kScouts = 64;
  constexpr int kFewestScouts = 16;
  const int scouts = std::max(kFewestScouts, kScouts - static_cast<int>(std::min(host.silent_to_the_end, 64U)));
  const bool others = !host.ready.empty() || !host.failed.empty();
  const int half = others ? std::min(room, waiting.most) / 2 : room;
  const int most_again = answers && !host.answers_late ? std::min(half, scouts) : half;
  if (!host.silent.empty() && !waiting.full() && host.asked_again < std::max(most_again, 1)) return &host.silent;
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
