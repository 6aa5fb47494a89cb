#pragma once

#include <curl/curl.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace imagerank::http {

/// Whether an address is one that the public internet cannot mean: loopback, private, link-local (cloud metadata),
/// shared, reserved, documentation, multicast, and IPv6 forms that embed such an IPv4 address.
/// @param address  4 (IPv4) or 16 (IPv6) bytes in network order; any other length is taken as private.
/// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries.
[[nodiscard]] bool is_private_address(std::span<const std::uint8_t> address) noexcept;

/// Whether an address (4 or 16 bytes, network order) must not be connected to.
using AddressCheck = bool (*)(std::span<const std::uint8_t> address) noexcept;

/// What libcurl is about to connect to (CURLOPT_OPENSOCKETFUNCTION), as bytes in network order: 4 or 16, in `storage`;
/// empty for another family. A check of it is made on what is connected to, not on a name that may resolve to something
/// else a moment later.
[[nodiscard]] std::span<const std::uint8_t> address_bytes(const curl_sockaddr& address,
                                                          std::array<std::uint8_t, 16>& storage) noexcept;
/// For messages.
[[nodiscard]] std::string address_text(std::span<const std::uint8_t> address);

}  // namespace imagerank::http
