#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "images/decode.h"
#include "images/image.h"

namespace imagerank::images {

/// One decoder a format, each in the only file that knows its library. Same contract as decode_image, except that
/// `bytes` is known to start like the format and to be within `limits.max_file_bytes`.
[[nodiscard]] Image decode_jpeg(std::span<const std::byte> bytes, const DecodeLimits& limits);
[[nodiscard]] Image decode_png(std::span<const std::byte> bytes, const DecodeLimits& limits);
[[nodiscard]] Image decode_webp(std::span<const std::byte> bytes, const DecodeLimits& limits);
[[nodiscard]] Image decode_gif(std::span<const std::byte> bytes, const DecodeLimits& limits);

/// @throws Error kCorruptData if a side is 0 (or too large for an int32), kResourceLimit if there are too many pixels.
void check_image_size(const char* format, std::uint64_t width, std::uint64_t height, const DecodeLimits& limits);

/// A black image of a size that check_image_size accepted.
[[nodiscard]] Image blank_image(std::uint64_t width, std::uint64_t height);

}  // namespace imagerank::images
