#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imagerank::serving {

/// The bytes of RFC 4648's base64, padded or not; nullopt for any other character, or a length that cannot be.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);
/// Padded.
[[nodiscard]] std::string encode_base64(std::string_view bytes);

}  // namespace imagerank::serving
