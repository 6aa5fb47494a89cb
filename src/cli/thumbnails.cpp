#include "cli/thumbnails.h"

#include <algorithm>

#include "evaluation/html.h"
#include "images/encode.h"
#include "images/preprocess.h"

namespace imagerank::cli {

images::Image thumbnail(const images::Image& image, std::int32_t edge) {
  const auto longest = std::max(image.width, image.height);
  if (longest <= edge) return image;
  const auto shrunk = [&](std::int32_t side) {
    return std::max<std::int32_t>(1, static_cast<std::int32_t>(std::int64_t{side} * edge / longest));
  };
  return images::resize_bicubic(image, shrunk(image.width), shrunk(image.height));
}

std::string jpeg_data_uri(const images::Image& image) {
  constexpr int kQuality = 82;
  return "data:image/jpeg;base64," + evaluation::base64(images::encode_jpeg(image, kQuality));
}

}  // namespace imagerank::cli
