#include "images/resize.h"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "images/preprocess.h"
#include "support/test_support.h"

namespace imagerank::images {
namespace {

/// The pattern that testdata/images/make.py resizes: noise and hard edges, so that every rounding and clip counts.
Image pattern(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int noisy = (x * 97 + y * 57 + c * 31 + x * y * 11) % 256;
        const int sharp = (x / 3 + y / 2 + c) % 2 == 0 ? 0 : 255;
        image.pixels.push_back(static_cast<std::uint8_t>((x + y) % 5 < 3 ? noisy : sharp));
      }
    }
  }
  return image;
}

TEST(Resize, EqualToPillowOnEveryPixel) {
  const auto cases = nlohmann::json::parse(load_file(test::testdata("images/resize.json")));
  ASSERT_GE(cases.size(), 10U);
  for (const auto& one : cases) {
    SCOPED_TRACE(one.dump());
    const Image result = resize_bicubic(pattern(one["from"][0], one["from"][1]), one["to"][0], one["to"][1]);
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(result.pixels))), one["sha256"].get<std::string>());
  }
}

TEST(Resize, EveryKernelGivesTheSamePixels) {
  const auto kernels = resize_kernels();
  EXPECT_STREQ(kernels.back().name, "plain");
  if (kernels.size() < 3) std::cout << "only " << kernels.size() << " of 3 kernels run on this machine\n";
  for (const auto& [from, to] : {std::pair{std::pair{512, 384}, std::pair{298, 224}},
                                 {{3, 2}, {1, 1}},
                                 {{5, 90}, {64, 1}},
                                 {{1, 1}, {65, 130}},
                                 {{97, 33}, {21, 22}},
                                 {{4000, 3}, {7, 5}},
                                 {{6, 700}, {43, 9}}}) {
    const Image source = pattern(from.first, from.second);
    const Window whole{0, 0, to.first, to.second};
    const Image plain = resize_bicubic_window(source, to.first, to.second, whole, kernels.back());
    for (const ResizeKernels& kernel : kernels) {
      EXPECT_EQ(resize_bicubic_window(source, to.first, to.second, whole, kernel).pixels, plain.pixels)
          << kernel.name << ": " << from.first << " x " << from.second;
    }
  }
}

TEST(Resize, HandWorkedHalving) {
  // 4 to 2 pixels: the filter is stretched by 2, so output 0, centred on 1, reads all four inputs with the weights of
  // distances 0.25, 0.25, 0.75 and 1.25: 0.8671875, 0.8671875, 0.2265625 and -0.0703125, in sum 1.890625.
  Image image{4, 1, {}};
  for (const int level : {0, 0, 255, 0}) image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(level));
  const Image half = resize_bicubic(image, 2, 1);
  EXPECT_EQ(half.pixels[0], 31);   // 255 * 0.2265625 / 1.890625 = 30.56
  EXPECT_EQ(half.pixels[3], 117);  // 255 * 0.8671875 / 1.890625 = 116.96
}

TEST(Resize, AFlatImageStaysFlatAndOvershootIsClipped) {
  const Image flat{5, 4, std::vector<std::uint8_t>(60, 201)};
  for (const std::uint8_t level : resize_bicubic(flat, 13, 3).pixels) EXPECT_EQ(level, 201);
  Image edge{4, 1, {}};
  for (const int level : {0, 0, 255, 255}) edge.pixels.insert(edge.pixels.end(), 3, static_cast<std::uint8_t>(level));
  const Image wide = resize_bicubic(edge, 16, 1);
  EXPECT_EQ(wide.pixels[15], 0);    // pixel 5, below black without clipping
  EXPECT_EQ(wide.pixels[30], 255);  // pixel 10, above white
}

TEST(Resize, AWindowIsACutOfTheWhole) {
  const Image source = pattern(90, 61);
  const Image whole = resize_bicubic(source, 47, 80);
  for (const Window& window :
       {Window{0, 0, 47, 80}, Window{5, 9, 20, 31}, Window{46, 79, 1, 1}, Window{0, 33, 47, 1}}) {
    const Image part = resize_bicubic_window(source, 47, 80, window);
    ASSERT_EQ(part.width, window.width);
    ASSERT_EQ(part.height, window.height);
    for (int y = 0; y < window.height; ++y) {
      for (int x = 0; x < window.width * 3; ++x) {
        ASSERT_EQ(part.pixels[static_cast<std::size_t>(y * window.width * 3 + x)],
                  whole.pixels[static_cast<std::size_t>(((y + window.top) * 47 + window.left) * 3 + x)]);
      }
    }
  }
}

TEST(Resize, BadArgumentsAreRefused) {
  const Image image = pattern(4, 4);
  EXPECT_THROW((void)resize_bicubic(image, 0, 4), Error);
  EXPECT_THROW((void)resize_bicubic(image, 4, -1), Error);
  EXPECT_THROW((void)resize_bicubic({}, 4, 4), Error);
  EXPECT_THROW((void)resize_bicubic({4, 4, std::vector<std::uint8_t>(47)}, 2, 2), Error);
  EXPECT_THROW((void)resize_bicubic_window(image, 4, 4, {1, 0, 4, 4}), Error);
  EXPECT_THROW((void)resize_bicubic_window(image, 4, 4, {0, 0, 4, 0}), Error);
  EXPECT_THROW((void)resize_bicubic_window(image, 4, 4, {-1, 0, 2, 2}), Error);
}

}  // namespace
}  // namespace imagerank::images
