#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "hub/settings.h"

namespace imagerank::hub {

struct HttpAnswer;

struct HttpRequest {
  std::string url;
  bool head = false;       ///< ask for the headers only; a redirect to another host is not followed then
  std::uint64_t from = 0;  ///< the first byte wanted; not 0: as a Range header
  /// Takes the pieces of a 2xx body; false ends the transfer. The answer has status and headers by then. Without a
  /// sink the body is kept.
  std::function<bool(const HttpAnswer& answer, std::span<const std::byte> piece)> sink;
};

/// What one try came to.
struct HttpAnswer {
  int status = 0;       ///< of the last answer; 0 where there was none
  std::string problem;  ///< "" for an answer that came whole; else "dns", "connect", "tls", "timeout", "truncated",
                        ///< "redirects", "bad_response", "connection", "too_large", "refused" (by the sink)
  std::string detail;   ///< one line for a person; holds no token and no query of a URL
  std::map<std::string, std::string> headers;  ///< lower-case names; those of redirects too, the first one stays
  std::string body;                            ///< without a sink, and of error pages
  std::optional<std::chrono::milliseconds> retry_after;

  [[nodiscard]] bool ok() const noexcept { return problem.empty() && status >= 200 && status < 300; }
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// One connection's worth of libcurl: GET and HEAD with redirects followed here, so that the token goes to the
/// endpoint's scheme, host and port only, and no redirect leads from https to http. Not thread-safe: one a thread.
class HttpClient {
 public:
  /// @throws Error kUnavailable if libcurl does not start.
  HttpClient(const HubSettings& settings, std::stop_token stop);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  /// @throws Error kCancelled once a stop was requested. Network trouble is an answer, not an exception.
  HttpAnswer get(const HttpRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A URL as it may be shown: no user, no password, no query (signatures stand there).
[[nodiscard]] std::string shown_url(const std::string& url);

}  // namespace imagerank::hub
