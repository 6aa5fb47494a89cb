#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "clip/pretrain.h"
#include "core/progress.h"

namespace imagerank::clip {

/// How often a caption finds its image.
struct Retrieval {
  double top1 = 0.0;         ///< share of captions whose image has the largest cosine in its group
  std::size_t captions = 0;  ///< asked: whole groups only
  std::size_t group = 64;
};

/// Text to image, among groups of `group` images: the pairs in random order, cut into groups. A picture whose caption
/// is the same as the one asked for counts as found. @throws Error kInvalidArgument if there are fewer pairs than a
/// group.
[[nodiscard]] Retrieval measure_retrieval(const CaptionedImages& pairs, const std::filesystem::path& folder,
                                          std::size_t group, std::uint64_t seed, const RunContext& context);

}  // namespace imagerank::clip
