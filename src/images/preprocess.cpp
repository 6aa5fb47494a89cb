#include "images/preprocess.h"

#include <algorithm>
#include <cmath>

#include "core/fail.h"
#include "images/resize.h"
#include "images/resize_float.h"

namespace imagerank::images {
namespace {

constexpr std::int32_t kMaxSize = 4096;
/// A resized side: an extreme strip enlarged to the shortest edge must not eat all memory.
constexpr std::int64_t kMaxResizedSide = std::int64_t{1} << 26;

/// int(round(margin / 2.0)) as Python has it: halves go to the even neighbour.
std::int32_t half_to_even(std::int32_t margin) {
  return margin / 2 + ((margin % 2 != 0 && (margin / 2) % 2 != 0) ? 1 : 0);
}

/// Where one axis of the crop comes from, and where it goes: zeros around it if the image is smaller.
struct CropAxis {
  std::int32_t source = 0;
  std::int32_t target = 0;
  std::int32_t length = 0;
};

CropAxis crop_axis(std::int32_t resized, std::int32_t crop, CropRounding rounding) {
  const bool even = rounding == CropRounding::kEven;
  if (resized >= crop) return {even ? half_to_even(resized - crop) : (resized - crop) / 2, 0, crop};
  // Hugging Face's padding goes up where its crop goes down.
  return {0, (crop - resized + (even ? 0 : 1)) / 2, resized};
}

void check_options(const PreprocessOptions& options) {
  const auto bad = [](std::int32_t size) { return size < 1 || size > kMaxSize; };
  if (bad(options.resize_shortest_edge) || bad(options.crop_size)) {
    fail(ErrorCode::kInvalidArgument, "preprocess: expected sizes of 1 to {}, found shortest edge {} and crop {}",
         kMaxSize, options.resize_shortest_edge, options.crop_size);
  }
}

/// What each level of each channel becomes.
std::array<std::array<float, 256>, 3> normalised_levels(const PreprocessOptions& options) {
  std::array<std::array<float, 256>, 3> levels;
  for (std::size_t c = 0; c < levels.size(); ++c) {
    for (std::size_t level = 0; level < levels[c].size(); ++level) {
      levels[c][level] = (static_cast<float>(level) / 255.0F - options.mean[c]) / options.std[c];
    }
  }
  return levels;
}

}  // namespace

Image upright(const Image& image) {
  const std::ptrdiff_t width = image.width, height = image.height, last = width * height - 1;
  // Where the first pixel of the result lies, and the steps to the next one in its row and in its column.
  struct Walk {
    std::ptrdiff_t first, along, down;
  };
  const std::array<Walk, 8> walks = {{{0, 1, width},
                                      {width - 1, -1, width},
                                      {last, -1, -width},
                                      {last - width + 1, 1, -width},
                                      {0, width, 1},
                                      {last - width + 1, -width, 1},
                                      {last, -width, -1},
                                      {width - 1, width, -1}}};
  if (image.orientation <= 1 || image.orientation > walks.size()) return image;
  const Walk& walk = walks[image.orientation - 1U];
  const bool turned = image.orientation > 4;
  Image result{turned ? image.height : image.width, turned ? image.width : image.height, {}};
  result.pixels.resize(image.pixels.size());
  std::uint8_t* target = result.pixels.data();
  for (std::ptrdiff_t y = 0; y < result.height; ++y) {
    for (std::ptrdiff_t x = 0; x < result.width; ++x, target += 3) {
      std::copy_n(image.pixels.data() + (walk.first + x * walk.along + y * walk.down) * 3, 3, target);
    }
  }
  return result;
}

namespace {

/// The shortest edge resized, or both, and what of it lies in the crop.
std::vector<float> preprocess_levels(const Image& image, const PreprocessOptions& options) {
  const std::int64_t edge = options.resize_shortest_edge;
  const bool squash = options.resize == Resize::kSquash;
  const auto resized_side = [&](std::int64_t side) {
    const std::int64_t result = squash ? options.crop_size : edge * side / std::min(image.width, image.height);
    if (result > kMaxResizedSide) {
      fail(ErrorCode::kResourceLimit, "preprocess: {} x {} pixels resized to a shortest edge of {} are too long",
           image.width, image.height, edge);
    }
    return static_cast<std::int32_t>(result);
  };
  const std::int32_t width = resized_side(image.width);
  const std::int32_t height = resized_side(image.height);
  const CropAxis x = crop_axis(width, options.crop_size, options.crop_rounding);
  const CropAxis y = crop_axis(height, options.crop_size, options.crop_rounding);
  const Image cropped = resize_bicubic_window(image, width, height, {x.source, y.source, x.length, y.length});

  const auto size = static_cast<std::size_t>(options.crop_size);
  const auto columns = static_cast<std::size_t>(x.length);
  const auto levels = normalised_levels(options);
  std::vector<float> tensor(3 * size * size);
  for (std::size_t c = 0; c < 3 && (x.length < options.crop_size || y.length < options.crop_size); ++c) {
    std::fill_n(tensor.data() + c * size * size, size * size, levels[c][0]);
  }
  for (std::int32_t row = 0; row < y.length; ++row) {
    const std::uint8_t* from = cropped.pixels.data() + static_cast<std::size_t>(row) * columns * 3;
    const auto target = static_cast<std::size_t>(y.target + row) * size + static_cast<std::size_t>(x.target);
    float* red = tensor.data() + target;
    float* green = red + size * size;
    float* blue = green + size * size;
    for (std::size_t i = 0; i < columns; ++i, from += 3) {
      red[i] = levels[0][from[0]];
      green[i] = levels[1][from[1]];
      blue[i] = levels[2][from[2]];
    }
  }
  return tensor;
}

/// HPSv2's: floats all the way, so that they may lie outside 0..1 before they are normalised.
std::vector<float> preprocess_floats(const Image& image, const PreprocessOptions& options) {
  const double scale = static_cast<double>(options.crop_size) / std::max(image.width, image.height);
  // Halves go to the even neighbour, as Python's round() has it.
  const auto resized_side = [&](std::int32_t side) {
    return std::max(1, static_cast<std::int32_t>(std::nearbyint(side * scale)));
  };
  const std::int32_t width = resized_side(image.width), height = resized_side(image.height);
  const std::vector<float> resized = resize_bicubic_float(image, width, height, options.antialias);
  const auto size = static_cast<std::size_t>(options.crop_size);
  const auto left = static_cast<std::size_t>((options.crop_size - width) / 2);
  const auto top = static_cast<std::size_t>((options.crop_size - height) / 2);
  std::vector<float> tensor(3 * size * size);
  const float* from = resized.data();
  for (std::size_t c = 0; c < 3; ++c) {
    float* const plane = tensor.data() + c * size * size;
    for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y, from += width) {
      std::copy_n(from, width, plane + (top + y) * size + left);
    }
    for (std::size_t i = 0; i < size * size; ++i) plane[i] = (plane[i] - options.mean[c]) / options.std[c];
  }
  return tensor;
}

}  // namespace

const char* resize_name(Resize resize) noexcept {
  switch (resize) {
    case Resize::kSquash:
      return "squash";
    case Resize::kLongestEdge:
      return "longest_edge";
    default:
      return "shortest_edge";
  }
}

std::vector<float> preprocess(const Image& image, const PreprocessOptions& options) {
  if (options.exif_orientation && image.orientation != 1) {
    PreprocessOptions rest = options;
    rest.exif_orientation = false;
    return preprocess(upright(image), rest);
  }
  check_options(options);
  if (image.width <= 0 || image.height <= 0) {
    fail(ErrorCode::kInvalidArgument, "preprocess: expected an image, found {} x {} pixels", image.width, image.height);
  }
  return options.resize == Resize::kLongestEdge ? preprocess_floats(image, options) : preprocess_levels(image, options);
}

}  // namespace imagerank::images
