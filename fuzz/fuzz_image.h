#pragma once

#include <algorithm>
#include <span>

#include "fuzz_support.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/header.h"
#include "images/preprocess.h"

namespace imagerank::fuzz {

/// Any bytes that start like `format` either decode to as many pixels as they say, which go the way to the tower, or
/// are a data error.
inline void check_image(std::span<const std::byte> bytes, images::ImageFormat format) {
  constexpr std::int64_t kMaxPixels = std::int64_t{1} << 18;
  (void)images::read_dimensions(bytes, format);
  (void)images::reaches_its_end(bytes, format);
  (void)images::read_orientation(bytes, format);
  if (images::sniff_format(bytes) != format) return;
  try {
    images::DecodeLimits limits;
    limits.max_pixels = kMaxPixels;
    const images::Image image = images::decode_image(bytes, limits);
    require(image.width > 0 && image.height > 0);
    const std::int64_t pixels = std::int64_t{image.width} * image.height;
    require(pixels <= kMaxPixels && static_cast<std::int64_t>(image.pixels.size()) == pixels * 3);
    images::PreprocessOptions options;
    options.resize_shortest_edge = 16;
    options.crop_size = 20;
    options.exif_orientation = true;
    require(images::preprocess(image, options).size() == std::size_t{3} * 20 * 20);
    if (pixels > 4096 || std::max(image.width, image.height) > 65500) return;
    const std::string png = images::encode_png(image);
    require(images::decode_image(std::as_bytes(std::span(png))).pixels == image.pixels);
  } catch (const Error& error) {
    require_data_error(error);
  }
}

}  // namespace imagerank::fuzz
