#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace imagerank::fetch {

/// An absolute http, https or file URL, taken apart.
struct Url {
  std::string text;    ///< normalised: spaces and non-ASCII bytes percent-encoded
  std::string scheme;  ///< "http", "https" or "file"
  std::string host;    ///< lower case, "" for file
  std::string port;    ///< decimal, the scheme's own if none is given; "" for file
  std::string path;    ///< file only: percent-decoded, absolute

  /// What a per-host limit counts: "host:port", "" for file.
  [[nodiscard]] std::string host_key() const;
};

/// nullopt for anything that is not an absolute http, https or file URL, or a file URL with a foreign host.
/// White space around it is dropped, as tables written by hand have it. Thread-safe.
[[nodiscard]] std::optional<Url> parse_url(std::string_view text);

/// Whether an address is one that the public internet cannot mean: loopback, private, link-local (cloud metadata),
/// shared, reserved, documentation, multicast, and IPv6 forms that embed such an IPv4 address.
/// @param address  4 (IPv4) or 16 (IPv6) bytes in network order; any other length is taken as private.
/// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries.
[[nodiscard]] bool is_private_address(std::span<const std::uint8_t> address) noexcept;

}  // namespace imagerank::fetch
