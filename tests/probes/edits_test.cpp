#include "probes/edits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "imagerank/error.h"

namespace imagerank::probes {
namespace {

using images::Image;

/// A red field with a blue stripe on its left, 96 x 64.
Image picture() {
  Image image{96, 64, {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const bool stripe = x < 16;
      image.pixels.insert(image.pixels.end(), {static_cast<std::uint8_t>(stripe ? 40 : 160), 60,
                                               static_cast<std::uint8_t>(stripe ? 150 : 50)});
    }
  }
  return image;
}

std::array<int, 3> pixel(const Image& image, int x, int y) {
  const auto at = static_cast<std::size_t>((y * image.width + x) * 3);
  return {image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]};
}

double distance(const Image& a, const Image& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
  return sum / static_cast<double>(a.pixels.size());
}

TEST(Edits, EachKeepsTheSizeAndIsTheSameEveryTime) {
  const auto image = picture();
  for (const auto edit : kEdits) {
    const auto first = edited(image, edit, "a red field", 7);
    EXPECT_EQ(first.width, image.width);
    EXPECT_EQ(first.height, image.height);
    ASSERT_EQ(first.pixels.size(), image.pixels.size());
    EXPECT_EQ(first.pixels, edited(image, edit, "a red field", 7).pixels);
    EXPECT_NE(first.pixels, image.pixels) << static_cast<int>(edit);
  }
  EXPECT_NE(edited(image, Edit::kNoise, "", 1).pixels, edited(image, Edit::kNoise, "", 2).pixels);
}

TEST(Edits, DoWhatTheySay) {
  const auto image = picture();
  const auto blank = edited(image, Edit::kBlank, "", 0);
  EXPECT_EQ(std::set<std::uint8_t>(blank.pixels.begin(), blank.pixels.end()), std::set<std::uint8_t>{128});
  const auto mirrored = edited(image, Edit::kMirrored, "", 0);
  EXPECT_EQ(pixel(mirrored, 95, 3), pixel(image, 0, 3));
  EXPECT_EQ(edited(mirrored, Edit::kMirrored, "", 0).pixels, image.pixels);
  // Red 160, 60, 50 has the luma 88.8: thrice as far from it, clipped.
  const std::array<int, 3> vivid = {255, 2, 0};
  EXPECT_EQ(pixel(edited(image, Edit::kSaturated, "", 0), 60, 30), vivid);
  const auto blurred = edited(image, Edit::kBlurred, "", 0);
  EXPECT_GT(pixel(blurred, 18, 30)[2], pixel(image, 18, 30)[2]) << "the stripe runs out";
  const auto noise = edited(image, Edit::kNoise, "", 3);
  const double mean = std::accumulate(noise.pixels.begin(), noise.pixels.end(), 0.0) / 96 / 64 / 3;
  EXPECT_NEAR(mean, 127.5, 3.0);
}

TEST(Edits, ALowerJpegQualityIsFartherFromTheImage) {
  auto image = picture();
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {  // grey ripples, as fine as JPEG loses first
    const auto x = static_cast<double>(i / 3 % 96);
    const auto y = static_cast<double>(i / 3 / 96);
    image.pixels[i] = static_cast<std::uint8_t>(128 + 60 * std::sin(0.9 * x) * std::cos(0.7 * y));
  }
  double last = 0.0;
  for (const auto edit : {Edit::kJpeg90, Edit::kJpeg50, Edit::kJpeg20, Edit::kJpeg5}) {
    const double now = distance(edited(image, edit, "", 0), image);
    EXPECT_GT(now, last);
    last = now;
  }
}

TEST(Edits, WordsStandOnABandAcrossTheMiddle) {
  auto image = picture();
  ASSERT_TRUE(write_words(image, "HI"));
  // Dots of one pixel; the band is 11 high, from row 26 on; H starts at column 42, row 28.
  const std::array<int, 3> white = {255, 255, 255};
  const std::array<int, 3> black = {0, 0, 0};
  EXPECT_EQ(pixel(image, 0, 25), pixel(picture(), 0, 25));
  EXPECT_EQ(pixel(image, 0, 26), black);
  EXPECT_EQ(pixel(image, 42, 28), white);
  EXPECT_EQ(pixel(image, 43, 28), black);
  EXPECT_EQ(pixel(image, 44, 31), white) << "the bar of the H";
  EXPECT_EQ(pixel(image, 0, 37), pixel(picture(), 0, 37));
}

TEST(Edits, LongWordsAreBrokenAndWhatCannotBeDrawnIsLeftOut) {
  auto image = picture();
  EXPECT_TRUE(write_words(image, std::string(500, 'w')));
  auto untouched = picture();
  EXPECT_FALSE(write_words(untouched, "\xE7\x8C\xAB"));
  EXPECT_FALSE(write_words(untouched, ""));
  EXPECT_EQ(untouched.pixels, picture().pixels);
  Image small{3, 2, std::vector<std::uint8_t>(18, 9)};
  EXPECT_TRUE(write_words(small, "tiny")) << "clipped, not written beside the image";
}

TEST(Edits, RefusesAnImageWithoutPixels) { EXPECT_THROW((void)edited(Image{}, Edit::kBlank, "", 0), Error); }

}  // namespace
}  // namespace imagerank::probes
