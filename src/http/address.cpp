#include "http/address.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "core/fail.h"

namespace imagerank::http {
namespace {

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

std::span<const std::uint8_t> address_bytes(const curl_sockaddr& address,
                                            std::array<std::uint8_t, 16>& storage) noexcept {
  if (address.family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.addr, sizeof(v4));
    std::memcpy(storage.data(), &v4.sin_addr, 4);
    return std::span(storage).first(4);
  }
  if (address.family == AF_INET6) {
    // curl_sockaddr declares a short sockaddr and lays the long one out behind it.
    sockaddr_in6 v6{};
    const std::size_t size = std::min<std::size_t>(address.addrlen, sizeof(v6));
    const auto* raw = reinterpret_cast<const std::byte*>(&address) + offsetof(curl_sockaddr, addr);
    std::memcpy(&v6, raw, size);
    std::memcpy(storage.data(), &v6.sin6_addr, 16);
    return std::span(storage);
  }
  return {};
}

std::string address_text(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return fmt::format("{}.{}.{}.{}", address[0], address[1], address[2], address[3]);
  std::string text;
  for (std::size_t i = 0; i + 1 < address.size(); i += 2) {
    text += fmt::format("{}{:x}", i == 0 ? "" : ":", unsigned{address[i]} << 8 | address[i + 1]);
  }
  return text.empty() ? "unknown address family" : text;
}

}  // namespace imagerank::http
