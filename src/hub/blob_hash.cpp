#include "hub/blob_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>

namespace imagerank::hub {

bool is_checksum(std::string_view etag) noexcept {
  return (etag.size() == 40 || etag.size() == 64) &&
         std::ranges::all_of(etag, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Digest blob_digest(std::string_view expected, std::uint64_t size) {
  if (expected.size() != 40) return Digest(DigestKind::kSha256);
  Digest digest(DigestKind::kSha1);
  const std::string header = fmt::format("blob {}", size);
  digest.update(std::as_bytes(std::span(header.c_str(), header.size() + 1)));  // the NUL belongs to it
  return digest;
}

}  // namespace imagerank::hub
