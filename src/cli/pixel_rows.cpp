#include "cli/pixel_rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <string>
#include <thread>

#include "images/decode.h"

namespace imagerank::cli {

PixelRows load_pixel_rows(std::span<const std::filesystem::path> paths, images::PreprocessOptions sizes,
                          const RunContext& context) {
  sizes.mean = {0.0F, 0.0F, 0.0F};  // 0..1: a byte comes back exactly
  sizes.std = {1.0F, 1.0F, 1.0F};
  const std::size_t plane = static_cast<std::size_t>(sizes.crop_size) * static_cast<std::size_t>(sizes.crop_size);
  const std::size_t row = 3 * plane;
  PixelRows rows;
  rows.pixels.resize(paths.size() * row);
  std::vector<std::string> errors(paths.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < paths.size() && !context.stop.stop_requested(); i = next++) {
      try {
        const std::vector<float> values = images::preprocess(images::load_image(paths[i]), sizes);
        for (std::size_t k = 0; k < row; ++k) {
          rows.pixels[i * row + k] = static_cast<std::uint8_t>(std::lround(values[k % 3 * plane + k / 3] * 255.0F));
        }
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
      if (i % 1000 == 0) context.report({"read images", i, paths.size(), ""});
    }
  };
  {
    std::vector<std::jthread> pool;
    for (int i = 0; i < context.thread_count(); ++i) pool.emplace_back(work);
  }
  context.check_stop();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!errors[i].empty()) {
      rows.failures.push_back({paths[i].string(), "unreadable", errors[i]});
      continue;
    }
    const std::size_t place = rows.files.size();
    if (place != i) {
      std::copy_n(rows.pixels.begin() + static_cast<std::ptrdiff_t>(i * row), row,
                  rows.pixels.begin() + static_cast<std::ptrdiff_t>(place * row));
    }
    rows.files.push_back(i);
  }
  rows.pixels.resize(rows.files.size() * row);
  return rows;
}

}  // namespace imagerank::cli
