#pragma once

#include <cstdint>
#include <vector>

namespace imagerank::images {

/// 8-bit RGB, row-major, interleaved: [height, width, 3].
struct Image {
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::vector<std::uint8_t> pixels;
  /// How the file says the stored pixels are to be seen, EXIF's 1 to 8; 1 is as they are.
  std::uint8_t orientation = 1;
};

}  // namespace imagerank::images
