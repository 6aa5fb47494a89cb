#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace imagerank::hub {

/// Whether `etag` is a checksum as the hub gives it: 64 lower-case hex digits, the SHA-256 of the content (LFS), or
/// 40, the SHA-1 that git gives the content as a blob.
[[nodiscard]] bool is_checksum(std::string_view etag) noexcept;

/// The checksum of a file's content, of the same kind as the one it is to be compared with.
class BlobHash {
 public:
  /// @param expected  is_checksum(). @param size  of the whole content in bytes: git's SHA-1 starts with it.
  BlobHash(std::string_view expected, std::uint64_t size);
  BlobHash(const BlobHash&) = delete;
  BlobHash& operator=(const BlobHash&) = delete;
  ~BlobHash();
  void update(std::span<const std::byte> bytes);
  /// Lower-case hex. The object is used up.
  [[nodiscard]] std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace imagerank::hub
