#pragma once

#include <cstdint>
#include <string>

#include "images/encode.h"
#include "images/image.h"

namespace imagerank::test {

/// A PNG with edges and slopes, different for each seed up to 10; of an odd shape it makes resizing and cropping round.
inline std::string picture_png(std::int32_t width, std::int32_t height, std::uint32_t seed) {
  images::Image image{width, height, {}};
  for (std::int32_t y = 0; y < height; ++y) {
    for (std::int32_t x = 0; x < width; ++x) {
      const bool inside = (x - width / 3) * (x - width / 3) + (y - height / 2) * (y - height / 2) < height * height / 9;
      image.pixels.push_back(static_cast<std::uint8_t>((x * 3 + seed * 40) % 256));
      image.pixels.push_back(static_cast<std::uint8_t>(inside ? 220 - seed * 20 : (y * 2) % 256));
      image.pixels.push_back(static_cast<std::uint8_t>((x * y / 7 + seed) % 256));
    }
  }
  return images::encode_png(image);
}

}  // namespace imagerank::test
