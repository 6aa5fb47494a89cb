#include "votes/tokens.h"

#include <sys/random.h>

#include <algorithm>
#include <chrono>

#include "core/fail.h"
#include "core/hash.h"

namespace imagerank::votes {
namespace {

constexpr std::size_t kIdLength = 32;

}  // namespace

std::string random_hex(std::size_t bytes) {
  std::string noise(bytes, '\0');
  // Up to 256 bytes come whole (getrandom(2)).
  if (bytes > 256 || getrandom(noise.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    fail(ErrorCode::kIo, "the system gave no random bytes");
  }
  std::string hex;
  for (const char byte : noise) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

std::string short_hash(std::string_view text) { return sha256_hex(text).substr(0, kIdLength); }

bool is_id(std::string_view text) noexcept {
  return text.size() == kIdLength &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::int64_t now_ms() noexcept {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

}  // namespace imagerank::votes
