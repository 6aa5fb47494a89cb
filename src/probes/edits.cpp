#include "probes/edits.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "core/fail.h"
#include "core/random.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"

namespace imagerank::probes {
namespace {

using images::Image;

std::uint8_t to_byte(double value) { return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))); }

Image saturated(Image image) {
  constexpr double kFactor = 3.0;
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    std::uint8_t* const rgb = image.pixels.data() + i;
    const double grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    for (int channel = 0; channel < 3; ++channel) rgb[channel] = to_byte(grey + kFactor * (rgb[channel] - grey));
  }
  return image;
}

Image blurred(const Image& image) {
  constexpr std::int32_t kShrink = 8;
  const auto small =
      images::resize_bicubic(image, std::max(1, image.width / kShrink), std::max(1, image.height / kShrink));
  return images::resize_bicubic(small, image.width, image.height);
}

Image stored_as_jpeg(const Image& image, int quality) {
  const std::string bytes = images::encode_jpeg(image, quality);
  return images::decode_image(std::as_bytes(std::span(bytes)));
}

Image mirrored(Image image) {
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(image.height); ++row) {
    std::uint8_t* const pixels = image.pixels.data() + row * width * 3;
    for (std::size_t x = 0; x < width / 2; ++x) {
      std::swap_ranges(pixels + 3 * x, pixels + 3 * x + 3, pixels + 3 * (width - 1 - x));
    }
  }
  return image;
}

}  // namespace

Image edited(const Image& image, Edit edit, std::string_view words, std::uint64_t seed) {
  if (image.pixels.empty()) {
    fail(ErrorCode::kInvalidArgument, "probe: expected an image, found one of {} x {} pixels", image.width,
         image.height);
  }
  Image result;
  switch (edit) {
    case Edit::kBlank:
      result = image;
      std::ranges::fill(result.pixels, std::uint8_t{128});
      return result;
    case Edit::kNoise: {
      result = image;
      Random random(seed);
      for (auto& pixel : result.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
      return result;
    }
    case Edit::kSaturated:
      return saturated(image);
    case Edit::kBlurred:
      return blurred(image);
    case Edit::kJpeg90:
      return stored_as_jpeg(image, 90);
    case Edit::kJpeg50:
      return stored_as_jpeg(image, 50);
    case Edit::kJpeg20:
      return stored_as_jpeg(image, 20);
    case Edit::kJpeg5:
      return stored_as_jpeg(image, 5);
    case Edit::kText:
      result = image;
      write_words(result, words);
      return result;
    case Edit::kMirrored:
      return mirrored(image);
  }
  return image;
}

}  // namespace imagerank::probes
