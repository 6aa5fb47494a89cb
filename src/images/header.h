#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "images/decode.h"

namespace imagerank::images {

struct Dimensions {
  std::int32_t width = 0;
  std::int32_t height = 0;
};

/// What an image file's header says its size is; nullopt if it says nothing sensible. Nothing is decoded. Thread-safe.
[[nodiscard]] std::optional<Dimensions> read_dimensions(std::span<const std::byte> bytes, ImageFormat format) noexcept;

/// EXIF's orientation, 1 to 8, of a JPEG (APP1), PNG (eXIf) or WebP (EXIF); 1 where there is none that makes sense.
/// Source: Exif 2.32, 4.6.4. Thread-safe.
[[nodiscard]] std::uint8_t read_orientation(std::span<const std::byte> bytes, ImageFormat format) noexcept;

/// Whether the file reaches its own end: PNG's IEND, JPEG's EOI, WebP's RIFF size, GIF's trailer. Cheap; finds files
/// cut short by a server that lies about their length, not damaged ones.
[[nodiscard]] bool reaches_its_end(std::span<const std::byte> bytes, ImageFormat format) noexcept;

}  // namespace imagerank::images
