#pragma once

#include <cstdint>

#include "images/image.h"
#include "images/resize_kernels.h"

namespace imagerank::images {

/// A rectangle of pixels.
struct Window {
  std::int32_t left = 0;
  std::int32_t top = 0;
  std::int32_t width = 0;
  std::int32_t height = 0;
};

/// The pixels of `window` in what resize_bicubic(image, out_width, out_height) gives; no others are computed.
/// @param window  not empty and inside out_width x out_height.
/// @return [window.height, window.width, 3].
/// @throws Error kInvalidArgument if a size is not positive, the window sticks out, or pixels are missing. Thread-safe.
[[nodiscard]] Image resize_bicubic_window(const Image& image, std::int32_t out_width, std::int32_t out_height,
                                          const Window& window);
/// The same, by one of resize_kernels(); the other takes the fastest.
[[nodiscard]] Image resize_bicubic_window(const Image& image, std::int32_t out_width, std::int32_t out_height,
                                          const Window& window, const ResizeKernels& kernels);

}  // namespace imagerank::images
