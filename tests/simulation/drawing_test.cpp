#include "simulation/drawing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "imagerank/error.h"
#include "simulation/quality.h"

namespace imagerank::simulation {
namespace {

images::Image draw(const Scene& scene, std::int32_t size, std::uint64_t seed = 1) {
  Random random(seed);
  return draw_scene(scene, size, random);
}

Scene one_object(Shape shape, Colour colour, Place place = Place::kCentre, int count = 1, Size size = Size::kLarge) {
  return {Background::kSnow, {{shape, colour, size, count, place}}};
}

std::array<int, 3> pixel(const images::Image& image, double x, double y) {
  const auto column = static_cast<std::size_t>(x * image.width);
  const auto row = static_cast<std::size_t>(y * image.height);
  const std::size_t at = (row * static_cast<std::size_t>(image.width) + column) * 3;
  return {image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]};
}

double standard_deviation(const images::Image& image) {
  double sum = 0.0;
  double squares = 0.0;
  for (const std::uint8_t value : image.pixels) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(image.pixels.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

/// Mean difference of neighbours in a row: what blur takes and noise adds.
double roughness(const images::Image& image) {
  double sum = 0.0;
  for (std::size_t i = 3; i < image.pixels.size(); ++i) sum += std::abs(image.pixels[i] - image.pixels[i - 3]);
  return sum / static_cast<double>(image.pixels.size());
}

/// Pixels that are clearly red on snow.
int red_area(const images::Image& image) {
  int area = 0;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    area += image.pixels[i] > 150 && image.pixels[i + 1] < 80 && image.pixels[i + 2] < 80 ? 1 : 0;
  }
  return area;
}

TEST(DrawScene, PutsTheColourWhereThePlaceSays) {
  const images::Image image = draw(one_object(Shape::kSquare, Colour::kRed, Place::kLeft), 128);
  ASSERT_EQ(image.width, 128);
  ASSERT_EQ(image.height, 128);
  ASSERT_EQ(image.pixels.size(), 128U * 128U * 3U);
  const auto inside = pixel(image, 0.26, 0.5);
  EXPECT_GT(inside[0], 190);
  EXPECT_LT(inside[1], 60);
  EXPECT_LT(inside[2], 60);
  const auto outside = pixel(image, 0.74, 0.5);
  EXPECT_GT(outside[1], 180) << "snow on the right";
}

TEST(DrawScene, ARingIsHollow) {
  const images::Image image = draw(one_object(Shape::kRing, Colour::kRed), 128);
  EXPECT_GT(pixel(image, 0.5, 0.5)[1], 180);
  EXPECT_LT(pixel(image, 0.5 - 0.48 * 0.44 * 0.74, 0.5)[1], 60);
}

TEST(DrawScene, SizeAndCountShowInTheArea) {
  const int large = red_area(draw(one_object(Shape::kSquare, Colour::kRed), 128));
  const int small = red_area(draw(one_object(Shape::kSquare, Colour::kRed, Place::kCentre, 1, Size::kSmall), 128));
  EXPECT_GT(large, 2 * small);
  const int four = red_area(draw(one_object(Shape::kSquare, Colour::kRed, Place::kCentre, 4), 128));
  const int three = red_area(draw(one_object(Shape::kSquare, Colour::kRed, Place::kCentre, 3), 128));
  EXPECT_GT(four, three);
}

TEST(DrawScene, EdgesAreAntialiased) {
  // A black disc with its light edge on snow: without antialiasing there would be no mid greys between the two.
  const images::Image image = draw(one_object(Shape::kCircle, Colour::kBlack), 128);
  int mid = 0;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) mid += image.pixels[i] > 60 && image.pixels[i] < 190 ? 1 : 0;
  EXPECT_GT(mid, 40);
  EXPECT_LT(mid, 2000);
}

TEST(DrawScene, EveryShapeAndBackgroundDraws) {
  for (std::size_t b = 0; b < kBackgroundCount; ++b) {
    for (std::size_t s = 0; s < kShapeCount; ++s) {
      Scene scene = one_object(static_cast<Shape>(s), Colour::kYellow, Place::kCentre, 2);
      scene.background = static_cast<Background>(b);
      const images::Image with = draw(scene, 64);
      scene.groups.front().shape = static_cast<Shape>((s + 1) % kShapeCount);
      EXPECT_NE(with.pixels, draw(scene, 64).pixels) << "background " << b << ", shape " << s;
    }
  }
}

TEST(DrawScene, SameSeedSamePixels) {
  const Scene scene = one_object(Shape::kMoon, Colour::kBlue);
  EXPECT_EQ(draw(scene, 96, 7).pixels, draw(scene, 96, 7).pixels);
  EXPECT_NE(draw(scene, 96, 7).pixels, draw(scene, 96, 8).pixels);
}

TEST(DrawScene, RefusesSillySizes) {
  Random random(1);
  const Scene scene = one_object(Shape::kMoon, Colour::kBlue);
  for (const int size : {-1, 0, 15, 5000}) EXPECT_THROW((void)draw_scene(scene, size, random), Error) << size;
}

TEST(Quality, ScoreFallsWithEveryFault) {
  EXPECT_DOUBLE_EQ(Quality{}.score(), 1.0);
  EXPECT_DOUBLE_EQ((Quality{0.6, 0.0, 0.0}).score(), 0.6);
  EXPECT_DOUBLE_EQ((Quality{0.3, 0.3, 0.3}).score(), 0.4);
  EXPECT_DOUBLE_EQ((Quality{1.0, 1.0, 1.0}).score(), 0.0);
}

TEST(Degrade, EachKindDoesWhatItSays) {
  const images::Image clean = draw(one_object(Shape::kStar, Colour::kBlack), 128);
  const auto degraded = [&](const Quality& quality) {
    images::Image image = clean;
    Random random(3);
    degrade(image, quality, random);
    return image;
  };
  EXPECT_EQ(degraded({}).pixels, clean.pixels);
  EXPECT_LT(standard_deviation(degraded({0.0, 0.0, 1.0})), 0.3 * standard_deviation(clean));
  EXPECT_LT(roughness(degraded({0.5, 0.0, 0.0})), 0.8 * roughness(clean));
  EXPECT_LT(roughness(degraded({1.0, 0.0, 0.0})), roughness(degraded({0.5, 0.0, 0.0})));
  EXPECT_GT(roughness(degraded({0.0, 0.5, 0.0})), 3.0 * roughness(clean));
  EXPECT_GT(roughness(degraded({0.0, 1.0, 0.0})), roughness(degraded({0.0, 0.5, 0.0})));
}

TEST(Degrade, NoiseHasTheDeviationItShould) {
  images::Image grey{100, 100, std::vector<std::uint8_t>(30000, 128)};
  Random random(5);
  degrade(grey, {0.0, 0.5, 0.0}, random);
  EXPECT_NEAR(standard_deviation(grey), 41.0, 1.0);  // 12 + 58 / 2, hardly clipped
}

TEST(Degrade, BlurKeepsAFlatPictureAndTheMean) {
  images::Image flat{40, 30, std::vector<std::uint8_t>(3600, 77)};
  Random random(5);
  degrade(flat, {1.0, 0.0, 0.0}, random);
  EXPECT_EQ(flat.pixels, std::vector<std::uint8_t>(3600, 77));
}

TEST(Degrade, BlurSpreadsAPointEvenlyAndEdgesRepeat) {
  images::Image point{31, 31, std::vector<std::uint8_t>(std::size_t{31} * 31 * 3, 0)};
  const auto at = [&](std::size_t x, std::size_t y) -> std::uint8_t& { return point.pixels[(y * 31 + x) * 3 + 1]; };
  for (std::size_t y = 0; y < 31; ++y) at(0, y) = 255;  // a green line along the left edge
  Random random(5);
  degrade(point, {1.0, 0.0, 0.0}, random);  // sigma 4 * 31 / 128 = 0.97
  for (std::size_t y = 0; y < 31; ++y) EXPECT_EQ(at(0, y), at(0, 15)) << y;
  // Beyond the edge the line goes on, so the edge keeps the middle weight and all of one side: 0.5 + 0.41 / 2.
  EXPECT_NEAR(at(0, 15), 255 * 0.706, 3.0);
  EXPECT_NEAR(at(1, 15), 255 * 0.295, 3.0);
  EXPECT_GT(at(1, 15), at(2, 15));
  EXPECT_EQ(at(10, 15), 0);
  EXPECT_EQ(point.pixels[0], 0) << "red stays out of it";
}

TEST(RandomQuality, IsCleanAsOftenAsAsked) {
  Random random(6);
  int clean = 0;
  for (int i = 0; i < 4000; ++i) {
    const Quality quality = random_quality(0.4, random);
    clean += quality.is_clean() ? 1 : 0;
    for (const double strength : {quality.blur, quality.noise, quality.fading}) {
      EXPECT_TRUE(strength == 0.0 || (strength >= 0.25 && strength <= 1.0)) << strength;
    }
  }
  EXPECT_NEAR(clean / 4000.0, 0.4, 0.03);
}

}  // namespace
}  // namespace imagerank::simulation
