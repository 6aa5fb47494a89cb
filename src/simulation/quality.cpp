#include "simulation/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace imagerank::simulation {
namespace {

std::uint8_t to_byte(float value) noexcept { return static_cast<std::uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F)); }

/// Pulls every channel towards the image's mean grey.
void fade(images::Image& image, double strength) {
  const auto sum = std::accumulate(image.pixels.begin(), image.pixels.end(), std::uint64_t{0});
  const float mean = static_cast<float>(sum) / static_cast<float>(image.pixels.size());
  const auto contrast = static_cast<float>(1.0 - 0.78 * strength);
  for (std::uint8_t& value : image.pixels) value = to_byte(mean + contrast * (static_cast<float>(value) - mean));
}

std::vector<float> gaussian(double sigma) {
  const int radius = std::max(1, static_cast<int>(std::ceil(2.5 * sigma)));
  std::vector<float> kernel(static_cast<std::size_t>(radius) + 1);
  double sum = 0.0;
  for (int i = 0; i <= radius; ++i) {
    const double weight = std::exp(-0.5 * i * i / (sigma * sigma));
    kernel[static_cast<std::size_t>(i)] = static_cast<float>(weight);
    sum += i == 0 ? weight : 2.0 * weight;
  }
  for (float& weight : kernel) weight = static_cast<float>(weight / sum);
  return kernel;
}

/// out[i] = sum over k of kernel[|k|] * line[i + k * step], for `line` with room for the kernel on both sides.
void convolve(const float* line, float* out, std::size_t count, std::size_t step, const std::vector<float>& kernel) {
  for (std::size_t i = 0; i < count; ++i) out[i] = kernel[0] * line[i];
  for (std::size_t k = 1; k < kernel.size(); ++k) {
    const float weight = kernel[k];
    const float* const before = line - k * step;
    const float* const after = line + k * step;
    for (std::size_t i = 0; i < count; ++i) out[i] += weight * (before[i] + after[i]);
  }
}

/// Separable: every row, then all columns at once as one long line of rows. Edges repeat.
void blur(images::Image& image, double strength) {
  const double sigma = (0.8 + 3.2 * strength) * image.width / 128.0;
  const std::vector<float> kernel = gaussian(sigma);
  const std::size_t radius = kernel.size() - 1;
  const std::size_t row = static_cast<std::size_t>(image.width) * 3;
  const auto height = static_cast<std::size_t>(image.height);
  std::vector<float> padded_row(row + 6 * radius);
  std::vector<float> padded_rows(row * (height + 2 * radius));
  for (std::size_t y = 0; y < height; ++y) {
    const std::uint8_t* const pixels = &image.pixels[y * row];
    std::copy_n(pixels, row, &padded_row[3 * radius]);
    for (std::size_t x = 0; x < radius; ++x) {
      std::copy_n(pixels, 3, &padded_row[3 * x]);
      std::copy_n(pixels + row - 3, 3, &padded_row[3 * radius + row + 3 * x]);
    }
    convolve(&padded_row[3 * radius], &padded_rows[(radius + y) * row], row, 3, kernel);
  }
  const auto first = padded_rows.begin() + static_cast<std::ptrdiff_t>(radius * row);
  const auto length = static_cast<std::ptrdiff_t>(row);
  const auto last = first + static_cast<std::ptrdiff_t>((height - 1) * row);
  for (std::ptrdiff_t y = 1; y <= static_cast<std::ptrdiff_t>(radius); ++y) {
    std::copy_n(first, length, first - y * length);
    std::copy_n(last, length, last + y * length);
  }
  std::vector<float> blurred(row * height);
  for (std::size_t y = 0; y < height; ++y) {
    convolve(&padded_rows[(radius + y) * row], &blurred[y * row], row, row, kernel);
  }
  std::ranges::transform(blurred, image.pixels.begin(), to_byte);
}

/// The sum of four 16-bit uniforms is near enough to a normal number, and one call gives it.
float cheap_normal(Random& random) noexcept {
  const std::uint64_t bits = random.next();
  const std::uint64_t sum = (bits & 0xffffU) + ((bits >> 16) & 0xffffU) + ((bits >> 32) & 0xffffU) + (bits >> 48);
  return (static_cast<float>(sum) - 131070.0F) * (1.0F / 37837.0F);  // standard deviation 65536 * sqrt(4 / 12)
}

void add_noise(images::Image& image, double strength, Random& random) {
  const auto deviation = static_cast<float>(12.0 + 58.0 * strength);
  for (std::uint8_t& value : image.pixels) {
    value = to_byte(static_cast<float>(value) + deviation * cheap_normal(random));
  }
}

}  // namespace

double Quality::score() const noexcept { return std::max(0.0, 1.0 - (blur + noise + fading) * (2.0 / 3.0)); }

Quality random_quality(double clean, Random& random) {
  Quality quality;
  if (random.chance(clean)) return quality;
  const std::array<double*, 3> kinds = {&quality.blur, &quality.noise, &quality.fading};
  const std::size_t first = random.below(3);
  *kinds[first] = random.uniform(0.25, 1.0);
  if (random.chance(0.25)) *kinds[(first + 1 + random.below(2)) % 3] = random.uniform(0.25, 0.6);
  return quality;
}

void degrade(images::Image& image, const Quality& quality, Random& random) {
  if (quality.fading > 0.0) fade(image, quality.fading);
  if (quality.blur > 0.0) blur(image, quality.blur);
  if (quality.noise > 0.0) add_noise(image, quality.noise, random);
}

}  // namespace imagerank::simulation
