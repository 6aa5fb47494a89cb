#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "http/address.h"

namespace imagerank::http {

struct DownloadLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds timeout{20'000};  ///< of the whole
  int max_redirects = 5;
  bool allow_local = false;  ///< private, loopback and link-local addresses
};

/// A whole body, or why there is none.
struct Download {
  std::string body;
  std::string problem;  ///< "" if all is well; else as transfer_problem(), "http_404", "too_large"
  std::string detail;   ///< one line for a person
};

/// Gets whole bodies by http and https, one after the other, over connections that it keeps. No proxy is used, none of
/// the environment's either: it would resolve names where nothing can check them. Not thread-safe.
class Downloader {
 public:
  /// @param refused  asked about every address before it is connected to, those of redirects too, unless allow_local.
  /// @throws Error kUnavailable if libcurl does not start.
  explicit Downloader(const DownloadLimits& limits, AddressCheck refused = is_private_address);
  Downloader(const Downloader&) = delete;
  Downloader& operator=(const Downloader&) = delete;
  ~Downloader();

  [[nodiscard]] Download get(const std::string& url);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::http
