#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace imagerank {

enum class DigestKind { kSha256, kSha1 };

/// A checksum, incrementally.
class Digest {
 public:
  /// @throws Error kUnavailable if this OpenSSL does not provide it.
  explicit Digest(DigestKind kind = DigestKind::kSha256);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// Lower-case hex digits, 64 of SHA-256, 40 of SHA-1. The object is used up.
  [[nodiscard]] std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 64 lower-case hex digits.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string sha256_hex(std::string_view text);

}  // namespace imagerank
