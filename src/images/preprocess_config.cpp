#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "images/preprocess.h"

namespace imagerank::images {
namespace {

using nlohmann::json;

constexpr std::int32_t kMaxSize = 4096;
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

/// A JSON file, or a part of one, for messages that name it.
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

/// One number that means a square, or {"height", "width"} of one, or [height, width].
std::int32_t read_square(const Config& config, const char* key, const json& value) {
  constexpr const char* kExpected = R"(1 to 4096, or a square {"height", "width"} of that)";
  if (value.is_array()) {
    if (value.size() != 2 || value[0] != value[1]) config.reject(key, kExpected, value);
    return config.side(key, kExpected, value[0], value);
  }
  if (!value.is_object()) return config.side(key, kExpected, value, value);
  if (value.size() != 2 || !value.contains("height") || !value.contains("width") ||
      value.at("height") != value.at("width")) {
    config.reject(key, kExpected, value);
  }
  return config.side(key, kExpected, value.at("height"), value);
}

/// A shortest edge, or a square that images are squashed to.
void read_size(const Config& config, PreprocessOptions& options) {
  constexpr const char* kExpected = R"(1 to 4096, {"shortest_edge": that}, or a square {"height", "width"})";
  const json* size = config.find("size");
  if (size == nullptr) return;
  if (!size->is_object()) {
    options.resize_shortest_edge = config.side("size", kExpected, *size, *size);
  } else if (size->size() == 1 && size->contains("shortest_edge")) {
    options.resize_shortest_edge = config.side("size", kExpected, size->at("shortest_edge"), *size);
  } else if (size->size() == 2 && size->contains("height") && size->contains("width")) {
    options.resize_shortest_edge = read_square(config, "size", *size);
    options.resize = Resize::kSquash;
  } else {
    config.reject("size", kExpected, *size);
  }
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
  for (const char* key : {"do_resize", "do_rescale"}) {
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

/// The crop after the resize: none where images are squashed to the tower's size.
void read_crop(const Config& config, PreprocessOptions& options) {
  const bool squash = options.resize == Resize::kSquash;
  const json* crop = config.find("crop_size");
  if (squash && (crop == nullptr || !read_flag(config, "do_center_crop"))) {
    options.crop_size = options.resize_shortest_edge;
    return;
  }
  if (!read_flag(config, "do_center_crop")) config.reject("do_center_crop", "true", false);
  if (crop != nullptr) options.crop_size = read_square(config, "crop_size", *crop);
  if (squash && options.crop_size != options.resize_shortest_edge) {
    config.reject("crop_size", "the size that images are squashed to", *crop);
  }
}

/// What Hugging Face's processors leave to us to say.
void read_own_keys(const Config& config, PreprocessOptions& options) {
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    if (config.find(key) != nullptr) options.crop_rounding = CropRounding::kDown;
  }
  const json* resize = config.find("imagerank_resize");
  if (resize != nullptr && *resize != "longest_edge") config.reject("imagerank_resize", "\"longest_edge\"", *resize);
  if (resize != nullptr) options.resize = Resize::kLongestEdge;
  if (config.find("imagerank_antialias") != nullptr) options.antialias = read_flag(config, "imagerank_antialias");
  options.exif_orientation =
      config.find("imagerank_exif_orientation") != nullptr && read_flag(config, "imagerank_exif_orientation");
}

PreprocessOptions parse_hugging_face(const Config& config) {
  check_steps(config);
  PreprocessOptions options;
  read_size(config, options);
  read_crop(config, options);
  if (read_flag(config, "do_normalize")) {
    read_three(config, "image_mean", false, options.mean);
    read_three(config, "image_std", true, options.std);
  } else {
    options.mean = {0.0F, 0.0F, 0.0F};
    options.std = {1.0F, 1.0F, 1.0F};
  }
  read_own_keys(config, options);
  return options;
}

/// The object at `key`, or an empty one.
Config part_of(const Config& config, const char* key) {
  const json* part = config.find(key);
  if (part != nullptr && !part->is_object()) config.reject(key, "an object", *part);
  return {fmt::format("{}: {}", config.path, key), part == nullptr ? json::object() : *part};
}

// Source: image_transform in open_clip/transform.py.
PreprocessOptions parse_open_clip(const Config& config) {
  const Config vision = part_of(part_of(config, "model_cfg"), "vision_cfg"), own = part_of(config, "preprocess_cfg");
  PreprocessOptions options;
  if (const json* size = vision.find("image_size")) options.crop_size = read_square(vision, "image_size", *size);
  if (const json* size = own.find("size")) options.crop_size = read_square(own, "size", *size);
  options.resize_shortest_edge = options.crop_size;
  read_three(own, "mean", false, options.mean);
  read_three(own, "std", true, options.std);
  const json* interpolation = own.find("interpolation");
  if (interpolation != nullptr && *interpolation != "bicubic") own.reject("interpolation", "bicubic", *interpolation);
  const json* mode = own.find("resize_mode");
  if (mode != nullptr && *mode != "shortest" && *mode != "squash") {
    own.reject("resize_mode", "shortest or squash", *mode);
  }
  if (mode != nullptr && *mode == "squash") options.resize = Resize::kSquash;
  return options;
}

Config load_config(const std::filesystem::path& path) {
  Config config{path.string(), json::parse(load_file(path, kMaxConfigBytes), nullptr, false)};
  if (!config.values.is_object())
    fail(ErrorCode::kCorruptData, "{}: expected a JSON object, found something else", config.path);
  return config;
}

}  // namespace

PreprocessOptions load_preprocess_options(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "preprocessor_config.json";
  const std::filesystem::path open_clip = model_dir / "open_clip_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored) && std::filesystem::exists(open_clip, ignored)) {
    return parse_open_clip(load_config(open_clip));
  }
  return parse_hugging_face(load_config(path));
}

}  // namespace imagerank::images
