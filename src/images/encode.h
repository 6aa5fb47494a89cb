#pragma once

#include <string>

#include "images/image.h"

namespace imagerank::images {

/// A whole file in memory; the same pixels give the same bytes.
[[nodiscard]] std::string encode_png(const Image& image);
/// @param quality  1..100, 4:2:0 below 90.
[[nodiscard]] std::string encode_jpeg(const Image& image, int quality = 90);

}  // namespace imagerank::images
