#pragma once

#include <cstdint>
#include <string>

#include "images/image.h"

namespace imagerank::cli {

/// The image with its longest edge shrunk to `edge`; a smaller one as it is.
[[nodiscard]] images::Image thumbnail(const images::Image& image, std::int32_t edge);
/// As JPEG inside a page: "data:image/jpeg;base64,...".
[[nodiscard]] std::string jpeg_data_uri(const images::Image& image);

}  // namespace imagerank::cli
