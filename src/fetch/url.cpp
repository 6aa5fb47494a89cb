#include "fetch/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "core/fail.h"

namespace imagerank::fetch {
namespace {

struct CurlUrlDeleter {
  void operator()(CURLU* handle) const noexcept { curl_url_cleanup(handle); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

/// "" if the URL has no such part.
std::string url_part(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* value = nullptr;
  if (curl_url_get(handle, part, &value, flags) != CURLUE_OK || value == nullptr) return {};
  std::string text(value);
  curl_free(value);
  return text;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::string Url::host_key() const { return host.empty() ? std::string() : host + ":" + port; }

std::optional<Url> parse_url(std::string_view text) {
  const std::string input(trimmed(text));
  if (input.empty() || input.find('\0') != std::string::npos) return std::nullopt;
  const CurlUrl handle(curl_url());
  if (!handle) fail(ErrorCode::kResourceLimit, "parsing a URL: expected memory for it, found none");
  if (curl_url_set(handle.get(), CURLUPART_URL, input.c_str(), CURLU_URLENCODE | CURLU_ALLOW_SPACE) != CURLUE_OK) {
    return std::nullopt;
  }
  Url url;
  url.scheme = url_part(handle.get(), CURLUPART_SCHEME);
  if (url.scheme == "file") {
    // libcurl has dropped an empty, "localhost" or "127.0.0.1" host, and rejected every other.
    url.path = url_part(handle.get(), CURLUPART_PATH, CURLU_URLDECODE);
    if (!url.path.starts_with('/')) return std::nullopt;
  } else if (url.scheme == "http" || url.scheme == "https") {
    url.host = url_part(handle.get(), CURLUPART_HOST);
    std::ranges::transform(url.host, url.host.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    url.port = url_part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (url.host.empty()) return std::nullopt;
  } else {
    return std::nullopt;
  }
  url.text = url_part(handle.get(), CURLUPART_URL);
  return url;
}

}  // namespace imagerank::fetch
