// Image files: any bytes either decode to as many pixels as they say, or are a data error.
#include <algorithm>
#include <span>

#include "fuzz_support.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imagerank;
  try {
    images::DecodeLimits limits;
    limits.max_pixels = std::int64_t{1} << 18;
    const images::Image image = images::decode_image(std::as_bytes(std::span(data, size)), limits);
    fuzz::require(image.width > 0 && image.height > 0);
    const auto pixels = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
    fuzz::require(image.pixels.size() == pixels * 3 && pixels <= std::size_t{1} << 18);
    images::PreprocessOptions options;
    options.resize_shortest_edge = 16;
    options.crop_size = 20;
    fuzz::require(images::preprocess(image, options).size() == std::size_t{3} * 20 * 20);
    if (pixels > 4096 || std::max(image.width, image.height) > 65500) return 0;
    const std::string png = images::encode_png(image);
    fuzz::require(images::decode_image(std::as_bytes(std::span(png))).pixels == image.pixels);
  } catch (const Error& error) {
    fuzz::require_data_error(error);
  }
  return 0;
}
