#pragma once

#include <curl/curl.h>

#include <memory>
#include <string_view>

#include "core/fail.h"

namespace imagerank::http {

struct EasyDeleter {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
using EasyHandle = std::unique_ptr<CURL, EasyDeleter>;

/// Starts libcurl, once for the process. @throws Error kUnavailable.
void start_libcurl();

/// @throws Error kUnavailable if this libcurl does not take the option.
template <typename Value>
void set_option(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code != CURLE_OK) {
    fail(ErrorCode::kUnavailable, "libcurl: expected option {} to be accepted, found: {}", static_cast<int>(option),
         curl_easy_strerror(code));
  }
}

/// Why a transfer failed, short and countable: "dns", "connect", "timeout", "truncated", "redirects", "too_large",
/// "refused_address" (a redirect to another protocol than those allowed), "tls", "bad_response" or "connection".
[[nodiscard]] std::string_view transfer_problem(CURLcode code) noexcept;

}  // namespace imagerank::http
