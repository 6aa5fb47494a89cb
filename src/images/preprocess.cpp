#include "images/preprocess.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "images/resize.h"

namespace imagerank::images {
namespace {

using nlohmann::json;

constexpr std::int32_t kMaxSize = 4096;
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;
/// A resized side: an extreme strip enlarged to the shortest edge must not eat all memory.
constexpr std::int64_t kMaxResizedSide = std::int64_t{1} << 26;

/// One preprocessor_config.json, for messages that name it.
struct Config {
  std::string path;
  json values;

  [[noreturn]] void reject(const char* key, const char* expected, const json& found) const {
    fail(ErrorCode::kCorruptData, "{}: {}: expected {}, found {}", path, key, expected,
         found.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 80));
  }
  /// nullptr if absent or null.
  [[nodiscard]] const json* find(const char* key) const {
    const auto found = values.find(key);
    return found == values.end() || found->is_null() ? nullptr : &*found;
  }
  [[nodiscard]] std::int32_t side(const char* key, const char* expected, const json& value, const json& whole) const {
    if (!value.is_number_integer() || value < 1 || value > kMaxSize) reject(key, expected, whole);
    return value.get<std::int32_t>();
  }
};

std::int32_t read_size(const Config& config, std::int32_t fallback) {
  constexpr const char* kExpected = "1 to 4096, or {\"shortest_edge\": 1 to 4096}";
  const json* size = config.find("size");
  if (size == nullptr) return fallback;
  if (!size->is_object()) return config.side("size", kExpected, *size, *size);
  if (size->size() != 1 || !size->contains("shortest_edge")) config.reject("size", kExpected, *size);
  return config.side("size", kExpected, size->at("shortest_edge"), *size);
}

std::int32_t read_crop_size(const Config& config, std::int32_t fallback) {
  constexpr const char* kExpected = R"(1 to 4096, or a square {"height", "width"} of that)";
  const json* crop = config.find("crop_size");
  if (crop == nullptr) return fallback;
  if (!crop->is_object()) return config.side("crop_size", kExpected, *crop, *crop);
  if (crop->size() != 2 || !crop->contains("height") || !crop->contains("width") ||
      crop->at("height") != crop->at("width")) {
    config.reject("crop_size", kExpected, *crop);
  }
  return config.side("crop_size", kExpected, crop->at("height"), *crop);
}

bool read_flag(const Config& config, const char* key) {
  const json* flag = config.find(key);
  if (flag == nullptr) return true;
  if (!flag->is_boolean()) config.reject(key, "true or false", *flag);
  return flag->get<bool>();
}

void read_three(const Config& config, const char* key, bool positive, std::array<float, 3>& values) {
  const char* expected = positive ? "three numbers above 0" : "three numbers";
  const json* list = config.find(key);
  if (list == nullptr) return;
  if (!list->is_array() || list->size() != 3) config.reject(key, expected, *list);
  for (std::size_t c = 0; c < 3; ++c) {
    const json& value = (*list)[c];
    if (!value.is_number()) config.reject(key, expected, *list);
    values[c] = value.get<float>();
    if (!std::isfinite(values[c]) || (positive && values[c] <= 0.0F)) config.reject(key, expected, *list);
  }
}

/// Steps that this library always does: a config that turns one off describes another tensor.
void check_steps(const Config& config) {
  for (const char* key : {"do_resize", "do_center_crop", "do_rescale"}) {
    if (!read_flag(config, key)) config.reject(key, "true", false);
  }
  (void)read_flag(config, "do_convert_rgb");  // images are RGB by then either way
  const json* resample = config.find("resample");
  if (resample != nullptr && *resample != 3) config.reject("resample", "3 (bicubic)", *resample);
  const json* factor = config.find("rescale_factor");
  if (factor != nullptr && (!factor->is_number() || std::abs(factor->get<double>() * 255.0 - 1.0) > 1e-6)) {
    config.reject("rescale_factor", "1/255", *factor);
  }
}

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

CropAxis crop_axis(std::int32_t resized, std::int32_t crop) {
  if (resized >= crop) return {half_to_even(resized - crop), 0, crop};
  return {0, (crop - resized) / 2, resized};
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

PreprocessOptions load_preprocess_options(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "preprocessor_config.json";
  Config config{path.string(), json::parse(load_file(path, kMaxConfigBytes), nullptr, false)};
  if (!config.values.is_object())
    fail(ErrorCode::kCorruptData, "{}: expected a JSON object, found something else", config.path);
  check_steps(config);
  PreprocessOptions options;
  options.resize_shortest_edge = read_size(config, options.resize_shortest_edge);
  options.crop_size = read_crop_size(config, options.crop_size);
  if (read_flag(config, "do_normalize")) {
    read_three(config, "image_mean", false, options.mean);
    read_three(config, "image_std", true, options.std);
  } else {
    options.mean = {0.0F, 0.0F, 0.0F};
    options.std = {1.0F, 1.0F, 1.0F};
  }
  const json* exif = config.find("imagerank_exif_orientation");
  options.exif_orientation = exif != nullptr && read_flag(config, "imagerank_exif_orientation");
  return options;
}

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
  const std::int64_t edge = options.resize_shortest_edge;
  const auto resized_side = [&](std::int64_t side) {
    const std::int64_t result = edge * side / std::min(image.width, image.height);
    if (result > kMaxResizedSide) {
      fail(ErrorCode::kResourceLimit, "preprocess: {} x {} pixels resized to a shortest edge of {} are too long",
           image.width, image.height, edge);
    }
    return static_cast<std::int32_t>(result);
  };
  const std::int32_t width = resized_side(image.width);
  const std::int32_t height = resized_side(image.height);
  const CropAxis x = crop_axis(width, options.crop_size);
  const CropAxis y = crop_axis(height, options.crop_size);
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

}  // namespace imagerank::images
