#pragma once

#include <cstdint>
#include <vector>

namespace imagerank::images {

/// 8-bit RGB, row-major, interleaved: [height, width, 3].
struct Image {
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::vector<std::uint8_t> pixels;
};

}  // namespace imagerank::images
