#include "images/resize_float.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace imagerank::images {
namespace {

/// What one output position reads of an axis.
struct Taps {
  std::vector<std::size_t> positions;
  std::vector<float> weights;
};

float cubic(float x, float a) {
  x = std::abs(x);
  if (x < 1.0F) return ((a + 2.0F) * x - (a + 3.0F)) * x * x + 1.0F;
  if (x < 2.0F) return ((a * x - 5.0F * a) * x + 8.0F * a) * x - 4.0F * a;
  return 0.0F;
}

// Positions are worked out in float32 as PyTorch does: in large images another precision reads other samples.
Taps antialiased_taps(std::int32_t in, float scale, std::int32_t position) {
  constexpr float kA = -0.5F;
  const float filter_scale = std::max(scale, 1.0F), support = 2.0F * filter_scale;
  const float center = scale * (static_cast<float>(position) + 0.5F);
  const auto first = std::max(static_cast<std::int32_t>(center - support + 0.5F), 0);  // NOLINT: down, as PyTorch
  const auto last = std::min(static_cast<std::int32_t>(center + support + 0.5F), in);  // NOLINT: down, as PyTorch
  Taps taps;
  float sum = 0.0F;
  for (std::int32_t x = first; x < last; ++x) {
    const float weight = cubic((static_cast<float>(x) - center + 0.5F) / filter_scale, kA);
    taps.positions.push_back(static_cast<std::size_t>(x));
    taps.weights.push_back(weight);
    sum += weight;
  }
  for (float& weight : taps.weights) weight /= sum;
  return taps;
}

Taps plain_taps(std::int32_t in, float scale, std::int32_t position) {
  constexpr float kA = -0.75F;
  const float real = scale * (static_cast<float>(position) + 0.5F) - 0.5F;
  const std::int32_t whole = std::min(static_cast<std::int32_t>(std::floor(real)), in - 1);
  const float rest = std::clamp(real - static_cast<float>(whole), 0.0F, 1.0F);
  Taps taps;
  for (std::int32_t k = -1; k <= 2; ++k) {
    taps.positions.push_back(static_cast<std::size_t>(std::clamp(whole + k, 0, in - 1)));
    taps.weights.push_back(cubic(rest - static_cast<float>(k), kA));
  }
  return taps;
}

std::vector<Taps> axis_taps(std::int32_t in, std::int32_t out, bool antialias) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  std::vector<Taps> taps;
  for (std::int32_t i = 0; i < out; ++i) {
    taps.push_back(antialias ? antialiased_taps(in, scale, i) : plain_taps(in, scale, i));
  }
  return taps;
}

}  // namespace

std::vector<float> resize_bicubic_float(const Image& image, std::int32_t out_width, std::int32_t out_height,
                                        bool antialias) {
  const std::vector<Taps> across = axis_taps(image.width, out_width, antialias);
  const std::vector<Taps> down = axis_taps(image.height, out_height, antialias);
  const auto width = static_cast<std::size_t>(out_width), height = static_cast<std::size_t>(out_height);
  const auto in_width = static_cast<std::size_t>(image.width), in_height = static_cast<std::size_t>(image.height);
  std::vector<float> line(in_width * 3), rows(in_height * width * 3);
  for (std::size_t y = 0; y < in_height; ++y) {
    const std::uint8_t* levels = image.pixels.data() + y * in_width * 3;
    for (std::size_t i = 0; i < line.size(); ++i) line[i] = static_cast<float>(levels[i]) / 255.0F;
    float* row = rows.data() + y * width * 3;
    for (std::size_t x = 0; x < width; ++x, row += 3) {
      for (std::size_t k = 0; k < across[x].weights.size(); ++k) {
        const float* sample = line.data() + across[x].positions[k] * 3;
        for (std::size_t c = 0; c < 3; ++c) row[c] += across[x].weights[k] * sample[c];
      }
    }
  }
  std::vector<float> result(3 * height * width), sum(width * 3);
  for (std::size_t y = 0; y < height; ++y) {
    std::ranges::fill(sum, 0.0F);
    for (std::size_t k = 0; k < down[y].weights.size(); ++k) {
      const float weight = down[y].weights[k];
      const float* row = rows.data() + down[y].positions[k] * width * 3;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * row[i];
    }
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c) result[(c * height + y) * width + x] = sum[x * 3 + c];
    }
  }
  return result;
}

}  // namespace imagerank::images
