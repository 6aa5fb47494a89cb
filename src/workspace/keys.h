#pragma once

#include <cstdint>
#include <string_view>

namespace imagerank::workspace {

/// 64 well-mixed bits of a text and a seed, the same on every machine and with every version of DuckDB (whose own
/// hash() promises neither): eight bytes at a time through the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
[[nodiscard]] std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) noexcept;

/// Whether an image's uid can be a file's name: 1 to 200 bytes (file systems take 255, temporary names need some),
/// no '.' in front, no white space, control character or slash.
[[nodiscard]] bool is_safe_uid(std::string_view uid) noexcept;

}  // namespace imagerank::workspace
