#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace imagerank::votes {

/// Hex digits of so many bytes from the system's generator. @throws Error kIo.
[[nodiscard]] std::string random_hex(std::size_t bytes);
/// 32 hex digits of a text's SHA-256.
[[nodiscard]] std::string short_hash(std::string_view text);
/// Whether a text is 32 lower-case hex digits, as ids of sets are.
[[nodiscard]] bool is_id(std::string_view text) noexcept;
/// Milliseconds since 1970.
[[nodiscard]] std::int64_t now_ms() noexcept;

}  // namespace imagerank::votes
