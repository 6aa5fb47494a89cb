#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "http/curl.h"

namespace imagerank::fetch {

/// A set of libcurl transfers driven by epoll, so that an event costs the same however many transfers are open.
/// Not thread-safe. @throws Error kUnavailable, kIo.
class CurlLoop {
 public:
  /// @param kept_connections  idle connections that are kept for reuse.
  explicit CurlLoop(long kept_connections);
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;
  ~CurlLoop();

  void add(CURL* easy);
  void remove(CURL* easy);
  /// Waits for the network at most so long, then moves what it can.
  void run(std::chrono::milliseconds at_most);
  /// Calls `visit` for each transfer that ended; it may remove that transfer.
  void for_each_ended(const std::function<void(CURL* easy, CURLcode result)>& visit);

 private:
  using Clock = std::chrono::steady_clock;
  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* loop, void* known) noexcept;
  static int on_timer(CURLM* multi, long timeout_ms, void* loop) noexcept;
  void act(curl_socket_t socket, int events);

  struct MultiDeleter {
    void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
  };
  int epoll_ = -1;
  std::optional<Clock::time_point> timer_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;
};

}  // namespace imagerank::fetch
