#include "workspace/keys.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace imagerank::workspace {
namespace {

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

bool is_safe_uid(std::string_view uid) noexcept {
  constexpr std::size_t kMaxName = 200;
  if (uid.empty() || uid.size() > kMaxName || uid.front() == '.') return false;
  return std::ranges::all_of(uid, [](unsigned char c) { return c > ' ' && c != '/' && c != '\\' && c != 0x7f; });
}

std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  std::uint64_t state = mix(seed + kGolden * (text.size() + 1));
  for (std::size_t at = 0; at < text.size(); at += sizeof(std::uint64_t)) {
    std::array<unsigned char, sizeof(std::uint64_t)> bytes = {};
    std::memcpy(bytes.data(), text.data() + at, std::min(bytes.size(), text.size() - at));
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
    state = mix((state ^ word) + kGolden);
  }
  return state;
}

}  // namespace imagerank::workspace
