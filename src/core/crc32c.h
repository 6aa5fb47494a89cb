#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace imagerank {

/// CRC-32C (Castagnoli), rotated and offset as TFRecord files have it.
[[nodiscard]] std::uint32_t masked_crc32c(std::span<const std::byte> bytes) noexcept;

}  // namespace imagerank
