#include "images/perceptual_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <span>
#include <vector>

#include "core/random.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "support/test_support.h"

namespace imagerank::images {
namespace {

/// Grey from a function of the pixel's place.
template <typename Level>
Image picture(int width, int height, Level level) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto value = static_cast<std::uint8_t>(std::clamp<double>(level(x, y), 0.0, 255.0));
      image.pixels.insert(image.pixels.end(), 3, value);
    }
  }
  return image;
}

/// A smooth picture, another for each seed: waves of few periods across the whole.
Image scene(std::uint64_t seed, int width = 320, int height = 240) {
  Random random(seed);
  std::vector<std::array<double, 4>> waves(12);
  for (auto& wave : waves)
    wave = {random.uniform(0.5, 4.5), random.uniform(0.5, 4.5), random.uniform(0.0, 6.3), random.uniform(5.0, 25.0)};
  return picture(width, height, [&](int x, int y) {
    double sum = 128.0;
    for (const auto& [across, down, phase, height_of] : waves) {
      sum += height_of * std::cos(std::numbers::pi * across * x / width + phase) *
             std::cos(std::numbers::pi * down * y / height + phase);
    }
    return sum;
  });
}

int distance(const Image& a, const Image& b) { return std::popcount(*perceptual_hash(a) ^ *perceptual_hash(b)); }

Image reencoded(const Image& image, int quality) {
  const std::string bytes = encode_jpeg(image, quality);
  return decode_image(std::as_bytes(std::span(bytes)));
}

/// What low_frequencies says it is, as four plain loops: every pixel cut into the cells that it touches.
std::array<double, 64> plain(const Image& image) {
  std::array<double, 1024> grid{};
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      double sum = 0.0, area = 0.0;
      for (int row = 0; row < image.height; ++row) {
        for (int column = 0; column < image.width; ++column) {
          const auto overlap = [](double begin, double end, int pixel) {
            return std::max(0.0, std::min(end, pixel + 1.0) - std::max(begin, static_cast<double>(pixel)));
          };
          const double part = overlap(x * image.width / 32.0, (x + 1) * image.width / 32.0, column) *
                              overlap(y * image.height / 32.0, (y + 1) * image.height / 32.0, row);
          const auto* pixel = image.pixels.data() + std::ptrdiff_t{3} * (row * image.width + column);
          sum += part * (0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]);
          area += part;
        }
      }
      grid[static_cast<std::size_t>(y) * 32 + static_cast<std::size_t>(x)] = sum / area;
    }
  }
  std::array<double, 64> result{};
  for (int down = 1; down <= 8; ++down) {
    for (int across = 1; across <= 8; ++across) {
      double& value = result.at(static_cast<std::size_t>(down - 1) * 8 + static_cast<std::size_t>(across - 1));
      for (int y = 0; y < 32; ++y) {
        for (int x = 0; x < 32; ++x) {
          value += 2.0 / 32.0 * grid[static_cast<std::size_t>(y) * 32 + static_cast<std::size_t>(x)] *
                   std::cos(std::numbers::pi * (2 * y + 1) * down / 64.0) *
                   std::cos(std::numbers::pi * (2 * x + 1) * across / 64.0);
        }
      }
    }
  }
  return result;
}

TEST(PerceptualHash, FrequenciesAreThoseOfPlainLoops) {
  // Sizes that divide evenly, that do not, and smaller than the grid.
  for (const auto& [width, height] : {std::pair{32, 32}, {64, 96}, {45, 37}, {100, 33}, {20, 31}, {5, 3}, {1, 7}}) {
    Random random(static_cast<std::uint64_t>(width));
    Image image{width, height, {}};
    for (int i = 0; i < 3 * width * height; ++i) image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
    const auto found = low_frequencies(image);
    const auto expected = plain(image);
    for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(found[i], expected[i], 1e-9) << width << " x " << height;
  }
}

TEST(PerceptualHash, OneWaveIsOneFrequency) {
  // 100 cos(2 pi .. ) cos(5 ..), rounded to levels: all of it in place (5, 2), 100 * 32 / 2 in size.
  const Image image = picture(32, 32, [](int x, int y) {
    return std::round(128.0 + 100.0 * std::cos(std::numbers::pi * (2 * x + 1) * 2 / 64.0) *
                                  std::cos(std::numbers::pi * (2 * y + 1) * 5 / 64.0));
  });
  const auto values = low_frequencies(image);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(values[i], i == 8 * 4 + 1 ? 1600.0 : 0.0, 2.0) << i;
}

TEST(PerceptualHash, HalfOfTheBitsAreSet) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) EXPECT_EQ(std::popcount(*perceptual_hash(scene(seed))), 32);
}

TEST(PerceptualHash, TheSamePictureIsNear) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Image image = scene(seed);
    EXPECT_LE(distance(image, reencoded(image, 75)), 4) << seed;
    EXPECT_LE(distance(image, reencoded(image, 50)), 6) << seed;
    EXPECT_LE(distance(image, resize_bicubic(image, 256, 256)), 4) << seed;
    Image lighter = image;
    for (std::uint8_t& value : lighter.pixels) value = static_cast<std::uint8_t>(std::min(value + 5, 255));
    EXPECT_LE(distance(image, lighter), 4) << seed;
  }
}

TEST(PerceptualHash, DifferentPicturesAreFar) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) EXPECT_GE(distance(scene(seed), scene(seed + 100)), 14) << seed;
}

TEST(PerceptualHash, FlatPicturesAreFeatureless) {
  for (const double level : {0.0, 17.0, 128.0, 255.0}) {
    const Image flat = picture(300, 200, [&](int, int) { return level; });
    EXPECT_FALSE(perceptual_hash(flat).has_value()) << level;
    EXPECT_FALSE(perceptual_hash(reencoded(flat, 50)).has_value()) << level;
  }
  // A gradient has no frequency that both axes share; noise of a few levels averages out.
  EXPECT_FALSE(perceptual_hash(picture(300, 200, [](int x, int) { return 0.8 * x; })).has_value());
  Random random(1);
  EXPECT_FALSE(
      perceptual_hash(picture(512, 512, [&](int, int) { return 128.0 + random.uniform(-6.0, 6.0); })).has_value());
  EXPECT_FALSE(perceptual_hash(Image{1, 1, {10, 200, 30}}).has_value());
}

TEST(PerceptualHash, APlainDrawingIsNot) {
  // A dark square on white, off the middle.
  const Image image = picture(256, 256, [](int x, int y) { return x > 40 && x < 120 && y > 60 && y < 150 ? 20 : 250; });
  EXPECT_TRUE(perceptual_hash(image).has_value());
}

TEST(PerceptualHash, RealPhotographsReencodedAndOthers) {
  IMAGERANK_SHARED_DATA(folder, "real/avt/images");
  std::vector<std::filesystem::path> paths(std::filesystem::directory_iterator(folder), {});
  std::ranges::sort(paths);
  paths.resize(24);
  std::vector<std::uint64_t> hashes;
  for (const auto& path : paths) {
    const Image image = load_image(path);
    const auto hash = perceptual_hash(image);
    ASSERT_TRUE(hash.has_value()) << path;
    EXPECT_LE(std::popcount(*hash ^ *perceptual_hash(reencoded(image, 75))), 4) << path;
    EXPECT_LE(std::popcount(*hash ^ *perceptual_hash(resize_bicubic(image, 256, 256))), 4) << path;
    hashes.push_back(*hash);
  }
  for (std::size_t i = 0; i < hashes.size(); ++i)
    for (std::size_t k = i + 1; k < hashes.size(); ++k)
      EXPECT_GE(std::popcount(hashes[i] ^ hashes[k]), 10) << paths[i] << ' ' << paths[k];
}

TEST(PerceptualHash, PixelsThatAreNotThere) {
  EXPECT_THROW(static_cast<void>(perceptual_hash(Image{})), Error);
  EXPECT_THROW(static_cast<void>(perceptual_hash(Image{2, 2, {1, 2, 3}})), Error);
  EXPECT_THROW(static_cast<void>(perceptual_hash(Image{-1, 2, {}})), Error);
}

}  // namespace
}  // namespace imagerank::images
