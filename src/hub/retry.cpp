#include "hub/retry.h"

#include <algorithm>
#include <thread>

#include "core/fail.h"

namespace imagerank::hub {

using std::chrono::milliseconds;

bool may_help_to_retry(const HttpAnswer& answer) noexcept {
  if (!answer.problem.empty()) {
    return answer.problem == "dns" || answer.problem == "connect" || answer.problem == "timeout" ||
           answer.problem == "truncated" || answer.problem == "connection";
  }
  switch (answer.status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

RetryGate::RetryGate(const HubSettings& settings, std::stop_token stop)
    : backoff_ms_(settings.backoff_ms),
      max_backoff_ms_(settings.max_backoff_ms),
      max_retry_after_ms_(settings.max_retry_after_ms),
      stop_(std::move(stop)),
      random_(static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())) {}

void RetryGate::wait_until(Clock::time_point time) {
  constexpr milliseconds kStep{20};
  for (;;) {
    if (stop_.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped; run the same command again to resume");
    const auto now = Clock::now();
    if (now >= time) return;
    std::this_thread::sleep_for(std::min<Clock::duration>(kStep, time - now));
  }
}

void RetryGate::wait() {
  for (;;) {
    Clock::time_point time;
    {
      const std::lock_guard lock(mutex_);
      time = not_before_;
    }
    wait_until(time);
    const std::lock_guard lock(mutex_);
    if (not_before_ <= Clock::now()) return;
  }
}

void RetryGate::back_off(int attempt, const HttpAnswer& answer) {
  Clock::time_point time;
  {
    const std::lock_guard lock(mutex_);
    const auto most = static_cast<double>(max_backoff_ms_);
    const double doubled =
        std::min(most, static_cast<double>(backoff_ms_) * static_cast<double>(1ULL << std::clamp(attempt - 1, 0, 30)));
    time = Clock::now() + milliseconds(static_cast<std::int64_t>(doubled * random_.uniform(0.5, 1.0)));
    if (answer.retry_after && (answer.status == 429 || answer.status == 503)) {
      if (answer.retry_after->count() > max_retry_after_ms_) {
        fail(ErrorCode::kUnavailable, "{}: the server asks to wait {} s; run the same command again then to resume",
             answer.detail, answer.retry_after->count() / 1000);
      }
      not_before_ = std::max(not_before_, Clock::now() + *answer.retry_after);
    }
  }
  wait_until(time);
}

HttpAnswer get_patiently(HttpClient& client, RetryGate& gate, const HttpRequest& request, int retries) {
  for (int attempt = 1;; ++attempt) {
    gate.wait();
    HttpAnswer answer = client.get(request);
    if (!may_help_to_retry(answer) || attempt > retries) return answer;
    gate.back_off(attempt, answer);
  }
}

void fail_answer(const HubSettings& settings, const Repository& repository, const std::string& what,
                 const HttpAnswer& answer) {
  const std::string page = fmt::format("{}/{}", shown_url(settings.endpoint), repository.page());
  if (answer.problem.empty() && (answer.status == 401 || answer.status == 403)) {
    if (settings.token.empty()) {
      fail(ErrorCode::kRefused,
           "{}: HTTP {} without a token: it is gated, private or not there; accept its terms at {}, then give your "
           "token as HF_TOKEN or in $HF_HOME/token",
           what, answer.status, page);
    }
    fail(ErrorCode::kRefused,
         "{}: HTTP {} with the token from HF_TOKEN or $HF_HOME/token: it is gated, and this token's account has not "
         "accepted its terms at {}, or the token is not valid, or may not read it",
         what, answer.status, page);
  }
  if (answer.problem.empty() && answer.status == 404)
    fail(ErrorCode::kNotFound, "{}: expected it at {}, found nothing (HTTP 404)", what, page);
  fail(ErrorCode::kUnavailable, "{}: expected an answer from the hub, found: {}{}", what,
       answer.problem.empty() ? "" : fmt::format("{}, ", answer.problem), answer.detail);
}

}  // namespace imagerank::hub
