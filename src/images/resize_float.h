#pragma once

#include <cstdint>
#include <vector>

#include "images/image.h"

namespace imagerank::images {

/// Bicubic resizing of levels / 255 as floats, neither rounded nor clipped: what torchvision's resize does to a tensor.
/// @param antialias  as torchvision does since 0.17: a = -0.5, the filter as wide as the scale. Without, as before: a =
/// -0.75, four samples an axis however much an image shrinks, so that fine detail turns into noise.
/// @return [3, out_height, out_width]. Thread-safe. @pre an image, positive sizes.
/// Source: PyTorch's aten/src/ATen/native/cpu/UpSampleKernel.cpp.
[[nodiscard]] std::vector<float> resize_bicubic_float(const Image& image, std::int32_t out_width,
                                                      std::int32_t out_height, bool antialias);

}  // namespace imagerank::images
