#pragma once

#include <bit>
#include <cstdint>

namespace imagerank {

/// IEEE 754 binary16 bits of a float, round to nearest even; overflow goes to infinity, NaN stays NaN.
[[nodiscard]] constexpr std::uint16_t half_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);
  if (magnitude < 0x38800000U) {  // subnormal or zero: let the float adder do the rounding
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
  }
  const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

/// Exact.
[[nodiscard]] constexpr float float_from_half(std::uint16_t half) noexcept {
  // All three kinds of numbers are made and one is taken: compilers turn this into vectors, and branches into nothing.
  constexpr std::uint32_t kMove = 112U << 23;  // between the exponents' offsets
  const std::uint32_t sign = (half & 0x8000U) << 16, exponent = half & 0x7c00U;
  const std::uint32_t normal = ((half & 0x7fffU) << 13) + kMove;
  const float small = std::bit_cast<float>(((half & 0x3ffU) << 13) + kMove + (1U << 23)) - 0x1p-14F;
  const std::uint32_t large = exponent == 0x7c00U ? normal + kMove : normal;
  return std::bit_cast<float>(sign | (exponent == 0 ? std::bit_cast<std::uint32_t>(small) : large));
}

[[nodiscard]] constexpr float float_from_bfloat16(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace imagerank
