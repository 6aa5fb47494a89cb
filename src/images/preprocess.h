#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "images/image.h"

namespace imagerank::images {

/// How an image is brought to a tower's size.
enum class Resize {
  kShortestEdge,  ///< the shortest edge to resize_shortest_edge, then a centre crop: Pillow's bicubic
  kSquash,        ///< both edges to crop_size, whatever the proportions: Pillow's bicubic
  kLongestEdge,   ///< HPSv2: the longest edge to crop_size, in floats (images/resize_float.h); then zeros around the
                  ///< image, before it is normalised
};

/// Where half a pixel of a crop's margin goes.
enum class CropRounding {
  kEven,  ///< to the even neighbour: torchvision, open_clip, OpenAI
  kDown,  ///< Hugging Face's image processors
};

/// How an image becomes a tower's input. The defaults are OpenAI CLIP's.
struct PreprocessOptions {
  std::int32_t resize_shortest_edge = 224;
  std::int32_t crop_size = 224;
  std::array<float, 3> mean = {0.48145466F, 0.4578275F, 0.40821073F};
  std::array<float, 3> std = {0.26862954F, 0.26130258F, 0.27577711F};
  /// Turns an image as EXIF's orientation says, before all else; Pillow and CLIP do not.
  bool exif_orientation = false;
  Resize resize = Resize::kShortestEdge;
  CropRounding crop_rounding = CropRounding::kEven;
  bool antialias = true;  ///< of kLongestEdge; the others always are
};

/// "shortest_edge", "squash", "longest_edge".
[[nodiscard]] const char* resize_name(Resize resize) noexcept;

/// From a model folder's preprocessor_config.json, else open_clip_config.json (preprocess_cfg, and the model's image
/// size). What the first leaves out is Hugging Face's CLIP default; do_normalize false gives mean 0 and std 1; a crop
/// rounds down if it names an image processor or feature extractor of Hugging Face's, and to even otherwise. Keys of
/// our own: imagerank_resize ("longest_edge"), imagerank_antialias, imagerank_exif_orientation.
/// @throws Error kNotFound; kCorruptData (not JSON, an interpolation other than bicubic, a size or crop that is not
/// square, a step turned off), one line that names file, key and value.
[[nodiscard]] PreprocessOptions load_preprocess_options(const std::filesystem::path& model_dir);

/// Antialiased bicubic (a = -0.5) in Pillow's 8-bit fixed-point arithmetic, horizontal then vertical, rounding between.
/// Source: Pillow's Image.resize(BICUBIC). @return [out_height, out_width, 3].
[[nodiscard]] Image resize_bicubic(const Image& image, std::int32_t out_width, std::int32_t out_height);

/// The pixels as image.orientation says they are to be seen, which is 1 then. Source: Pillow's ImageOps.exif_transpose.
[[nodiscard]] Image upright(const Image& image);

/// Upright on request, brought to crop_size as options.resize says (zeros around an image that is smaller), scaled to
/// 0..1, normalised.
/// @return float32 [3, crop_size, crop_size], RGB planes. Thread-safe.
/// @throws Error kInvalidArgument (sizes outside 1..4096, no image), kResourceLimit (a strip that would grow too long).
/// Source: Pillow's BICUBIC (antialiased), as open_clip's evaluation transform uses it; for kLongestEdge ResizeMaxSize
/// in HPSv2's src/open_clip/transform.py, which leaves an image alone whose longest edge fits already: here it is
/// padded too, since no tower takes it otherwise.
[[nodiscard]] std::vector<float> preprocess(const Image& image, const PreprocessOptions& options);

}  // namespace imagerank::images
