#pragma once

#include <cstdint>
#include <string_view>

#include "core/hash.h"

namespace imagerank::hub {

/// Whether `etag` is a checksum as the hub gives it: 64 lower-case hex digits, the SHA-256 of the content (LFS), or
/// 40, the SHA-1 that git gives the content as a blob.
[[nodiscard]] bool is_checksum(std::string_view etag) noexcept;

/// The checksum of a file's content to come, of the same kind as the one it is to be compared with.
/// @param expected  is_checksum(). @param size  of the whole content in bytes: git's SHA-1 starts with it.
[[nodiscard]] Digest blob_digest(std::string_view expected, std::uint64_t size);

}  // namespace imagerank::hub
