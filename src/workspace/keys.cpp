#include "workspace/keys.h"

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
  // Every character, without a way out half way: so it is done by vectors.
  unsigned bad = 0;
  for (const unsigned char c : uid) {
    bad |= static_cast<unsigned>(c <= ' ') | static_cast<unsigned>(c == '/') | static_cast<unsigned>(c == '\\') |
           static_cast<unsigned>(c == 0x7f);
  }
  return bad == 0;
}

std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  std::uint64_t state = mix(seed + kGolden * (text.size() + 1));
  std::array<unsigned char, sizeof(std::uint64_t)> bytes = {};
  const auto take = [&] {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
    state = mix((state ^ word) + kGolden);
  };
  for (; text.size() >= bytes.size(); text.remove_prefix(bytes.size())) {
    std::memcpy(bytes.data(), text.data(), bytes.size());
    take();
  }
  if (text.empty()) return state;
  bytes = {};
  std::memcpy(bytes.data(), text.data(), text.size());
  take();
  return state;
}

}  // namespace imagerank::workspace
