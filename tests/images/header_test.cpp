#include "images/header.h"

#include <gtest/gtest.h>

#include <string>

#include "core/atomic_file.h"
#include "images/encode.h"
#include "support/test_support.h"

namespace imagerank::images {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

Image grey(std::int32_t width, std::int32_t height) {
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3, 128)};
}

void expect_size(const std::string& bytes, std::int32_t width, std::int32_t height) {
  const auto size = read_dimensions(as_bytes(bytes), sniff_format(as_bytes(bytes)));
  ASSERT_TRUE(size);
  EXPECT_EQ(size->width, width);
  EXPECT_EQ(size->height, height);
}

TEST(ReadDimensions, OfPngJpegAndGif) {
  expect_size(encode_png(grey(300, 7)), 300, 7);
  expect_size(encode_jpeg(grey(260, 19)), 260, 19);
  expect_size(std::string("GIF89a\x2c\x01\x07\x00\x00\x00\x00;", 14), 300, 7);
}

TEST(ReadDimensions, OfEachWebpKind) {
  // RFC 9649 2.7: canvas minus one, 24 bits each.
  std::string extended("RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x2b\x01\0\x06\0\0", 30);
  expect_size(extended, 300, 7);
  std::string lossy("RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x2c\x01\x07\0", 30);
  expect_size(lossy, 300, 7);
  std::string lossless("RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\x2b\x81\x01\0\0\0\0\0\0", 30);  // 299 | 6 << 14
  expect_size(lossless, 300, 7);
}

TEST(ReadDimensions, AgreesWithTheDecoderOnRealFiles) {
  IMAGERANK_SHARED_DATA(folder, "fixtures/preprocess_224");
  int compared = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string bytes = load_file(entry.path());
    const ImageFormat format = sniff_format(as_bytes(bytes));
    if (format == ImageFormat::kUnknown) continue;
    const Image decoded = decode_image(as_bytes(bytes));
    const auto size = read_dimensions(as_bytes(bytes), format);
    ASSERT_TRUE(size) << entry.path();
    EXPECT_EQ(size->width, decoded.width) << entry.path();
    EXPECT_EQ(size->height, decoded.height) << entry.path();
    EXPECT_TRUE(reaches_its_end(as_bytes(bytes), format)) << entry.path();
    for (const std::size_t keep : {bytes.size() / 2, bytes.size() / 3, std::size_t{40}}) {
      EXPECT_FALSE(reaches_its_end(as_bytes(bytes).first(keep), format)) << entry.path() << " cut to " << keep;
    }
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

TEST(ReadDimensions, OfTruncatedHeadersIsNothing) {
  for (const std::string& whole : {encode_png(grey(8, 8)), encode_jpeg(grey(8, 8))}) {
    const ImageFormat format = sniff_format(as_bytes(whole));
    for (std::size_t keep = 0; keep < 24; ++keep) {
      EXPECT_FALSE(read_dimensions(as_bytes(whole).first(keep), format)) << keep;
    }
    for (std::size_t keep = 0; keep < whole.size() - 2; ++keep) {
      EXPECT_FALSE(reaches_its_end(as_bytes(whole).first(keep), format)) << keep;
    }
    EXPECT_TRUE(reaches_its_end(as_bytes(whole), format));
  }
}

TEST(ReachesItsEnd, DoesNotBelieveAPngChunkLength) {
  std::string png = encode_png(grey(8, 8));
  png[8] = '\x7f';  // IHDR claims 2 GB
  EXPECT_FALSE(reaches_its_end(as_bytes(png), ImageFormat::kPng));
}

}  // namespace
}  // namespace imagerank::images
