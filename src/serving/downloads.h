#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "http/download.h"

namespace imagerank::serving {

/// Images that requests name by URL, got by threads of their own: a slow server holds up no scoring. Thread-safe.
class Downloads {
 public:
  /// @throws Error kUnavailable if libcurl does not start.
  Downloads(const http::DownloadLimits& limits, int threads, http::AddressCheck refused = http::is_private_address);
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;
  /// Finishes what was asked for.
  ~Downloads();

  /// @param done  called once, on one of its threads; must not throw.
  void get(std::string url, std::function<void(http::Download&&)> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::serving
