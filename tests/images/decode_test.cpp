#include "images/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "images/encode.h"
#include "support/test_support.h"

namespace imagerank::images {
namespace {

std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

int worst_difference(const Image& image, const std::string& expected_hex) {
  int worst = image.pixels.size() * 2 == expected_hex.size() ? 0 : 256;
  for (std::size_t i = 0; i < image.pixels.size() && worst < 256; ++i) {
    worst = std::max(worst, std::abs(image.pixels[i] - std::stoi(expected_hex.substr(i * 2, 2), nullptr, 16)));
  }
  return worst;
}

Image decode_text(const std::string& bytes, const DecodeLimits& limits = {}) {
  return decode_image(std::as_bytes(std::span(bytes)), limits);
}

/// The error of decoding one file of testdata/images/broken.
Error error_of(const std::string& name) {
  try {
    (void)load_image(test::testdata("images/broken/" + name));
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::kCancelled, name + " decoded"};
}

TEST(Decode, EveryKindAsPillowDoes) {
  const auto expected = nlohmann::json::parse(load_file(test::testdata("images/expected.json")));
  ASSERT_GT(expected.size(), 70U);
  for (const auto& [name, reference] : expected.items()) {
    SCOPED_TRACE(name);
    const Image image = load_image(test::testdata("images/" + name));
    ASSERT_EQ(image.width, reference["width"].get<int>());
    ASSERT_EQ(image.height, reference["height"].get<int>());
    // JPEG and lossy WebP leave the rounding to the decoder: another build of the library may differ by a level.
    const bool lossy = (name.ends_with(".jpg") && name != "png_named.jpg") || name.ends_with("lossy.webp");
    EXPECT_LE(worst_difference(image, reference["rgb"].get<std::string>()), lossy ? 2 : 0) << hex(image.pixels);
  }
}

TEST(Decode, SixteenBitGreyIsClippedAt255) {
  const Image image = load_image(test::testdata("images/grey_16.png"));  // starts with the samples 0, 255, 256
  EXPECT_EQ(image.pixels[0], 0);
  EXPECT_EQ(image.pixels[3], 255);
  EXPECT_EQ(image.pixels[6], 255);
  const Image alpha = load_image(test::testdata("images/grey_alpha_16.png"));  // the same samples, by their high byte
  EXPECT_EQ(alpha.pixels[3], 0);
  EXPECT_EQ(alpha.pixels[6], 1);
}

TEST(Decode, ExifOrientationIsReadAndLeftAlone) {
  const Image image = load_image(test::testdata("images/exif_rotated.jpg"));
  EXPECT_EQ(image.width, 21);
  EXPECT_EQ(image.height, 13);
  EXPECT_EQ(image.orientation, 6);
  EXPECT_EQ(load_image(test::testdata("images/rgb.jpg")).orientation, 1);
}

TEST(Decode, TheNameDoesNotMatter) {
  EXPECT_EQ(load_image(test::testdata("images/png_named.jpg")).pixels,
            load_image(test::testdata("images/rgb_8.png")).pixels);
  EXPECT_THAT(error_of("page.jpg").what(),
              testing::HasSubstr("expected a JPEG, PNG, WebP or GIF file, found one that"));
}

TEST(Decode, ASixtyThousandPixelWideImageDecodes) {
  Image strip{60000, 2, std::vector<std::uint8_t>(360000)};
  for (std::size_t i = 0; i < strip.pixels.size(); ++i) strip.pixels[i] = static_cast<std::uint8_t>(i / 3 % 251);
  EXPECT_EQ(decode_text(encode_png(strip)).pixels, strip.pixels);
  EXPECT_EQ(decode_text(encode_jpeg(strip)).width, 60000);
}

TEST(Decode, ABombIsRefusedWithoutItsMemory) {
  // Within the limits by its file, 7 x 5 pixels by its header, 20 MB once inflated.
  EXPECT_THAT(error_of("bomb.png").what(), testing::HasSubstr("it holds more pixels than its header says"));
  // 20 million pixels by its header, in a file that could hold them, under a limit below.
  const std::string bomb = encode_png({5000, 4000, std::vector<std::uint8_t>(60'000'000)});
  EXPECT_LT(bomb.size(), 300'000U);
  try {
    (void)decode_text(bomb, {.max_pixels = 19'999'999});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceLimit);
    EXPECT_STREQ(error.what(), "PNG: its header says 5000 x 4000 pixels, more than the limit of 19999999");
  }
}

TEST(Decode, BrokenFilesAreCorrupt) {
  for (const char* name : {"cut.jpg",
                           "no_end.jpg",
                           "cut_with_end.jpg",
                           "cut_progressive.jpg",
                           "huge_claim.jpg",
                           "cut.png",
                           "taller_than_data.png",
                           "huge_claim.png",
                           "no_width.png",
                           "no_palette.png",
                           "bad_checksum.png",
                           "cut.webp",
                           "damaged.webp",
                           "cut.gif",
                           "no_image.gif",
                           "huge_frame.gif",
                           "page.html",
                           "page.jpg",
                           "empty.png",
                           "no_height.jpg",
                           "no_width.gif",
                           "no_width.webp",
                           "bomb.png",
                           "one_row_more.png",
                           "no_such_filter.png",
                           "damaged_stream.png",
                           "no_such_depth.png"}) {
    const Error error = error_of(name);
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << name << ": " << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(std::string("broken/") + name));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
  }
}

TEST(Decode, MessagesSayWhatWasFound) {
  EXPECT_THAT(error_of("page.html").what(), testing::HasSubstr("starts with \"<!DOCTYPE html><\""));
  EXPECT_THAT(error_of("empty.png").what(), testing::HasSubstr("found an empty one"));
  EXPECT_THAT(error_of("no_such_filter.png").what(), testing::HasSubstr("an unknown filter"));
  EXPECT_THAT(error_of("taller_than_data.png").what(), testing::HasSubstr("fewer pixels than its header says"));
  EXPECT_THAT(error_of("no_such_depth.png").what(), testing::HasSubstr("4 bits of colour type 2"));
  EXPECT_THAT(error_of("no_palette.png").what(), testing::HasSubstr("palette: none"));
  EXPECT_THAT(error_of("bad_checksum.png").what(), testing::HasSubstr("checksum"));
  EXPECT_THAT(error_of("no_width.gif").what(), testing::HasSubstr("0 x 4 pixels"));
  EXPECT_THAT(error_of("huge_claim.png").what(), testing::HasSubstr("8000 x 8000 pixels, which 178 bytes cannot hold"));
  EXPECT_THAT(error_of("huge_claim.jpg").what(), testing::HasSubstr("8000 x 8000 pixels, which 734 bytes cannot hold"));
}

TEST(Decode, TooManyPixelsAreALimit) {
  for (const char* name :
       {"too_many_pixels.jpg", "too_many_pixels.png", "too_many_pixels.webp", "too_many_pixels.gif"}) {
    EXPECT_EQ(error_of(name).code(), ErrorCode::kResourceLimit) << name;
    EXPECT_THAT(error_of(name).what(), testing::HasSubstr("60000 x 60000 pixels, more than the limit of")) << name;
  }
  const std::string good = load_file(test::testdata("images/rgb_8.png"));  // 7 x 5
  EXPECT_EQ(decode_text(good, {.max_pixels = 35}).width, 7);
  for (const char* name : {"rgb_8.png", "rgb.jpg", "lossless.webp", "rgb.gif"}) {
    const std::string bytes = load_file(test::testdata(std::string("images/") + name));
    try {
      (void)decode_text(bytes, {.max_pixels = 34});
      ADD_FAILURE() << name << " decoded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResourceLimit) << name;
    }
    EXPECT_THROW((void)decode_text(bytes, {.max_file_bytes = 10}), Error) << name;
  }
}

TEST(Decode, NoPrefixOfAFileDecodesOrCrashes) {
  for (const char* name : {"rgb.jpg", "progressive.jpg", "cmyk_adobe.jpg", "lossless.webp", "lossy.webp"}) {
    const std::string whole = load_file(test::testdata(std::string("images/") + name));
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_THROW((void)decode_text(whole.substr(0, length)), Error) << name << " cut to " << length;
  }
  // PNG and GIF end in a mark after the last pixel; a file without it is whole enough, for Pillow too.
  for (const char* name : {"rgb_8.png", "palette_8_interlaced.png", "grey_1.png", "part.gif"}) {
    const std::string whole = load_file(test::testdata(std::string("images/") + name));
    const Image reference = decode_text(whole);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      try {
        EXPECT_EQ(decode_text(whole.substr(0, length)).pixels, reference.pixels) << name << " cut to " << length;
        EXPECT_GE(length + 24, whole.size()) << name << " cut to " << length;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
      }
    }
  }
}

TEST(Decode, FlippedBytesNeverCrash) {
  int decoded = 0;
  for (const char* name :
       {"rgb.jpg", "progressive.jpg", "rgb_16_interlaced.png", "palette_4.png", "animated.webp", "part.gif"}) {
    const std::string whole = load_file(test::testdata(std::string("images/") + name));
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(~damaged[at]);
      try {
        const Image image = decode_text(damaged, {.max_pixels = 1 << 20});
        EXPECT_EQ(image.pixels.size(),
                  static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
        ++decoded;
      } catch (const Error&) {  // NOLINT(bugprone-empty-catch): either is fine
      }
    }
  }
  EXPECT_GT(decoded, 0);
}

TEST(Decode, FormatsByTheirFirstBytes) {
  const auto sniff = [](const std::string& bytes) { return sniff_format(std::as_bytes(std::span(bytes))); };
  EXPECT_EQ(sniff(load_file(test::testdata("images/rgb.jpg"))), ImageFormat::kJpeg);
  EXPECT_EQ(sniff(load_file(test::testdata("images/rgb_8.png"))), ImageFormat::kPng);
  EXPECT_EQ(sniff(load_file(test::testdata("images/lossy.webp"))), ImageFormat::kWebp);
  EXPECT_EQ(sniff(load_file(test::testdata("images/rgb.gif"))), ImageFormat::kGif);
  EXPECT_EQ(sniff("RIFF....WAVE"), ImageFormat::kUnknown);
  EXPECT_EQ(sniff(""), ImageFormat::kUnknown);
  EXPECT_EQ(file_extension(ImageFormat::kJpeg), ".jpg");
  EXPECT_EQ(file_extension(ImageFormat::kUnknown), "");
}

TEST(Decode, AMissingFileIsNotFound) {
  try {
    (void)load_image(test::testdata("images/none.png"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("none.png"));
  }
}

}  // namespace
}  // namespace imagerank::images
