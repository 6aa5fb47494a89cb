#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/item_failure.h"
#include "core/progress.h"
#include "images/preprocess.h"

namespace imagerank::cli {

/// Decoded images of one size, as training of towers takes them.
struct PixelRows {
  std::vector<std::uint8_t> pixels;  ///< [files.size(), S, S, 3], RGB
  std::vector<std::size_t> files;    ///< which of the paths each row is, ascending
  std::vector<ItemFailure> failures;
};

/// Decodes, resizes and crops every file on all threads; mean and deviation of `sizes` are not applied.
/// A broken file is a failure and has no row. @throws Error kCancelled.
[[nodiscard]] PixelRows load_pixel_rows(std::span<const std::filesystem::path> paths, images::PreprocessOptions sizes,
                                        const RunContext& context);

}  // namespace imagerank::cli
