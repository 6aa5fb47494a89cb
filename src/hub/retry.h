#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "core/random.h"
#include "hub/http.h"
#include "hub/repository.h"
#include "hub/settings.h"

namespace imagerank::hub {

/// Whether another try may help: no connection, a cut or stalled transfer, HTTP 408, 425, 429, 500, 502, 503, 504.
[[nodiscard]] bool may_help_to_retry(const HttpAnswer& answer) noexcept;

/// The waiting between tries, shared by all threads of a run: a Retry-After holds back every one of them. Thread-safe.
class RetryGate {
 public:
  RetryGate(const HubSettings& settings, std::stop_token stop);
  /// Waits until the server's own wait is over. @throws Error kCancelled.
  void wait();
  /// Waits before another try: doubling with the try's number (from 1), half of it random; longer if the server asks.
  /// @throws Error kCancelled; kUnavailable if the server asks for longer than max_retry_after_ms.
  void back_off(int attempt, const HttpAnswer& answer);

 private:
  using Clock = std::chrono::steady_clock;
  void wait_until(Clock::time_point time);

  std::int64_t backoff_ms_;
  std::int64_t max_backoff_ms_;
  std::int64_t max_retry_after_ms_;
  std::stop_token stop_;
  std::mutex mutex_;
  Clock::time_point not_before_;
  Random random_;
};

/// The answer to a request without a sink, tried again as the settings say.
HttpAnswer get_patiently(HttpClient& client, RetryGate& gate, const HttpRequest& request, int retries);

/// Says why a request did not get what it asked for: gated, private or not there, and how to give a token; or the
/// network's reason. @param what  such as "dataset ORG/NAME at 'main'" or a file of it.
[[noreturn]] void fail_answer(const HubSettings& settings, const Repository& repository, const std::string& what,
                              const HttpAnswer& answer);

}  // namespace imagerank::hub
