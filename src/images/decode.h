#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "imagerank/error.h"
#include "images/image.h"

namespace imagerank::images {

enum class ImageFormat { kUnknown, kJpeg, kPng, kWebp, kGif };

/// By the first bytes, never by the name.
[[nodiscard]] ImageFormat sniff_format(std::span<const std::byte> bytes) noexcept;
/// ".jpg", ".png", ".webp", ".gif"; "" for kUnknown.
[[nodiscard]] std::string_view file_extension(ImageFormat format) noexcept;

struct DecodeLimits {
  std::size_t max_file_bytes = std::size_t{64} << 20;
  /// width * height, checked from the header before memory is reserved.
  std::int64_t max_pixels = std::int64_t{1} << 26;
};

/// Decodes a whole JPEG (grey, YCbCr, CMYK, progressive), PNG (all colour types, 16-bit), WebP or GIF (first frame)
/// to what Pillow's Image.open(..).convert("RGB") gives: alpha is dropped, not blended; palette and grey expanded;
/// 16-bit grey clipped at 255, 16-bit colour cut to its high byte; CMYK taken as inverted. EXIF's orientation is
/// read, but the pixels are left as stored.
/// @throws Error kCorruptData if it does not decode or is cut short, kResourceLimit if it is too large. Thread-safe.
[[nodiscard]] Image decode_image(std::span<const std::byte> bytes, const DecodeLimits& limits = {});
/// @throws also kNotFound, kIo; every message names the file.
[[nodiscard]] Image load_image(const std::filesystem::path& path, const DecodeLimits& limits = {});
/// Why an image could not be used, countable: "missing", "too_large", "unreadable" or "corrupt".
[[nodiscard]] std::string failure_reason(ErrorCode code);

}  // namespace imagerank::images
