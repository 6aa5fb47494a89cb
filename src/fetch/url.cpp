#include "fetch/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
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

struct Prefix {
  std::array<std::uint8_t, 4> network;
  int bits;
};

bool is_private_ipv4(std::span<const std::uint8_t> address) noexcept {
  static constexpr std::array<Prefix, 15> kReserved = {{
      {{0, 0, 0, 0}, 8},        // "this network"
      {{10, 0, 0, 0}, 8},       // private
      {{100, 64, 0, 0}, 10},    // shared, behind carrier NAT
      {{127, 0, 0, 0}, 8},      // loopback
      {{169, 254, 0, 0}, 16},   // link-local: cloud metadata lives here
      {{172, 16, 0, 0}, 12},    // private
      {{192, 0, 0, 0}, 24},     // protocol assignments
      {{192, 0, 2, 0}, 24},     // documentation
      {{192, 88, 99, 0}, 24},   // 6to4 relays, withdrawn
      {{192, 168, 0, 0}, 16},   // private
      {{198, 18, 0, 0}, 15},    // benchmarking
      {{198, 51, 100, 0}, 24},  // documentation
      {{203, 0, 113, 0}, 24},   // documentation
      {{224, 0, 0, 0}, 4},      // multicast
      {{240, 0, 0, 0}, 4},      // reserved, broadcast
  }};
  const auto word = [](std::span<const std::uint8_t> bytes) {
    return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) |
           std::uint32_t{bytes[3]};
  };
  const std::uint32_t value = word(address);
  return std::ranges::any_of(
      kReserved, [&](const Prefix& prefix) { return ((value ^ word(prefix.network)) >> (32 - prefix.bits)) == 0; });
}

bool starts_with(std::span<const std::uint8_t> address, std::initializer_list<std::uint8_t> prefix) noexcept {
  return std::equal(prefix.begin(), prefix.end(), address.begin());
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

bool is_private_address(std::span<const std::uint8_t> address) noexcept {
  if (address.size() == 4) return is_private_ipv4(address);
  if (address.size() != 16) return true;
  const std::span<const std::uint8_t> low = address.last(4);
  // Addresses that carry an IPv4 one: mapped, translated (NAT64), compatible (also :: and ::1), 6to4.
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return is_private_ipv4(low);
  if (starts_with(address, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return is_private_ipv4(low);
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return is_private_ipv4(low);
  if (starts_with(address, {0x20, 0x02})) return is_private_ipv4(address.subspan(2, 4));
  if (starts_with(address, {0x20, 0x01, 0, 0}) || starts_with(address, {0x20, 0x01, 0x0d, 0xb8})) return true;
  // Only 2000::/3 is global unicast; this refuses fc00::/7, fe80::/10, ff00::/8 and all that is unassigned.
  return (address[0] & 0xe0U) != 0x20U;
}

}  // namespace imagerank::fetch
