#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "images/image.h"

namespace imagerank::probes {

/// What may be done to an image that makes it worse, or no better, for any prompt.
enum class Edit : std::uint8_t {
  kBlank,      ///< all mid grey
  kNoise,      ///< every number of every pixel drawn uniformly
  kSaturated,  ///< thrice as far from its own grey (Rec. 601 luma), clipped
  kBlurred,    ///< shrunk to an eighth, enlarged again
  kJpeg90,     ///< stored as JPEG of that quality
  kJpeg50,
  kJpeg20,
  kJpeg5,
  kText,      ///< the words written across it, white on a black band
  kMirrored,  ///< left and right exchanged
};
inline constexpr std::array kEdits = {Edit::kBlank,  Edit::kNoise,  Edit::kSaturated, Edit::kBlurred, Edit::kJpeg90,
                                      Edit::kJpeg50, Edit::kJpeg20, Edit::kJpeg5,     Edit::kText,    Edit::kMirrored};

/// The edited image, of the same size. The same bytes for the same arguments, on every machine.
/// @param image  RGB, upright. @param words  for kText: what write_words can draw of them.
/// @param seed  for kNoise.
/// @throws Error kInvalidArgument for an image without pixels. Thread-safe.
[[nodiscard]] images::Image edited(const images::Image& image, Edit edit, std::string_view words, std::uint64_t seed);

/// Writes words in capitals across the middle of an image, in up to three lines as large as fit; a black band behind
/// them. Letters, digits and common signs of ASCII are drawn, anything else as a space.
/// @return false, the image untouched, if there is nothing to draw.
bool write_words(images::Image& image, std::string_view words);

}  // namespace imagerank::probes
