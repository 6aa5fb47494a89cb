#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace imagerank::kernels {

/// What the two sides of a product are kept in. Sums are float32 (int32 for kInt8) in all of them.
enum class Format : std::uint8_t {
  kFp32,
  kBf16,
  kInt8,  ///< rows unsigned, offset by kInt8Offset, one scale a row; weights signed, one scale a column
};
inline constexpr std::size_t kFormats = 3;

/// What stands for 0 in a row of kInt8: the products of AVX-512 want one side unsigned.
inline constexpr std::int32_t kInt8Offset = 128;

/// Numbers go through the products in steps of 4 bytes: 1 of float32, 2 of bfloat16, 4 of int8.
inline constexpr std::size_t kStepBytes = 4;
/// Columns of weights that are kept, and multiplied, together.
inline constexpr std::size_t kPanelColumns = 32;
/// The depth of a product is padded with zeros to whole blocks: a tile register's row, a cache line.
inline constexpr std::size_t kBlockBytes = 64;
/// Rows that buffers hold beyond those in use, so that a kernel may run its last rows whole.
inline constexpr std::size_t kSpareRows = 32;

[[nodiscard]] constexpr std::size_t bytes_of(Format format) noexcept {
  return format == Format::kFp32 ? 4 : format == Format::kBf16 ? 2 : 1;
}
[[nodiscard]] constexpr std::size_t round_up(std::size_t value, std::size_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}
/// Numbers of a row of `depth`, padded.
[[nodiscard]] constexpr std::size_t padded_depth(std::size_t depth, Format format) noexcept {
  return round_up(depth, kBlockBytes / bytes_of(format));
}

/// Round to nearest even; NaN stays NaN.
[[nodiscard]] inline std::uint16_t bfloat16_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace imagerank::kernels
