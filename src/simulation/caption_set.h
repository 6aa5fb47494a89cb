#pragma once

#include <cstdint>
#include <vector>

#include "simulation/picture.h"

namespace imagerank::simulation {

/// Pictures with exact captions, for training and testing an encoder.
struct CaptionSetOptions {
  std::uint64_t captions = 0;
  std::uint64_t seed = 0;
  HoldOut hold_out = HoldOut::kNone;
  std::int32_t image_size = 128;
};

/// One picture for each caption; Picture::prompt is the caption. Nearly half the pictures are clean, the others
/// spoilt to every degree.
/// @throws Error kInvalidArgument for options out of range.
[[nodiscard]] std::vector<Picture> make_caption_set(const CaptionSetOptions& options);

}  // namespace imagerank::simulation
