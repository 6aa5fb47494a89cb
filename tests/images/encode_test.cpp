#include "images/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <span>

#include "core/fail.h"
#include "images/decode.h"

namespace imagerank::images {
namespace {

Image waves(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c)
        image.pixels.push_back(static_cast<std::uint8_t>(127.0 + 100.0 * std::sin(0.05 * x + c) * std::cos(0.04 * y)));
    }
  }
  return image;
}

Image decoded(const std::string& bytes) { return decode_image(std::as_bytes(std::span(bytes))); }

double mean_difference(const Image& a, const Image& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

/// The sampling factors of the first component: 0x11 is 4:4:4, 0x22 is 4:2:0.
int sampling(const std::string& jpeg) {
  const std::size_t frame = jpeg.find("\xff\xc0");
  return frame == std::string::npos ? 0 : static_cast<unsigned char>(jpeg.at(frame + 11));
}

TEST(Encode, PngComesBackExactly) {
  for (const auto& [width, height] : {std::pair{1, 1}, {61, 43}, {300, 2}}) {
    const Image image = waves(width, height);
    const std::string bytes = encode_png(image);
    EXPECT_EQ(sniff_format(std::as_bytes(std::span(bytes))), ImageFormat::kPng);
    const Image back = decoded(bytes);
    EXPECT_EQ(back.width, width);
    EXPECT_EQ(back.pixels, image.pixels);
    EXPECT_EQ(encode_png(image), bytes);
  }
}

TEST(Encode, JpegComesBackNearly) {
  const Image image = waves(121, 83);
  const std::string fine = encode_jpeg(image, 95);
  const std::string coarse = encode_jpeg(image, 30);
  EXPECT_LT(coarse.size(), fine.size());
  EXPECT_LT(mean_difference(decoded(fine), image), 1.5);
  EXPECT_LT(mean_difference(decoded(coarse), image), 8.0);
  EXPECT_EQ(encode_jpeg(image, 95), fine);
}

TEST(Encode, ChromaIsHalvedBelow90) {
  EXPECT_EQ(sampling(encode_jpeg(waves(20, 20), 89)), 0x22);
  EXPECT_EQ(sampling(encode_jpeg(waves(20, 20), 90)), 0x11);
}

TEST(Encode, BadArgumentsAreRefused) {
  EXPECT_THROW((void)encode_png({}), Error);
  EXPECT_THROW((void)encode_png({2, 2, std::vector<std::uint8_t>(11)}), Error);
  EXPECT_THROW((void)encode_jpeg({70000, 1, std::vector<std::uint8_t>(210000)}), Error);
  EXPECT_THROW((void)encode_jpeg(waves(2, 2), 0), Error);
  EXPECT_THROW((void)encode_jpeg(waves(2, 2), 101), Error);
}

}  // namespace
}  // namespace imagerank::images
