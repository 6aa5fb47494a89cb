#include "images/header.h"

#include <algorithm>

#include "images/png_format.h"

namespace imagerank::images {
namespace {

using Bytes = std::span<const std::byte>;

std::uint32_t byte_at(Bytes bytes, std::size_t offset) noexcept {
  return offset < bytes.size() ? std::to_integer<std::uint32_t>(bytes[offset]) : 0U;
}
std::uint32_t big16(Bytes bytes, std::size_t offset) noexcept {
  return (byte_at(bytes, offset) << 8) | byte_at(bytes, offset + 1);
}
std::uint32_t big32(Bytes bytes, std::size_t offset) noexcept {
  return (big16(bytes, offset) << 16) | big16(bytes, offset + 2);
}
std::uint32_t little16(Bytes bytes, std::size_t offset) noexcept {
  return byte_at(bytes, offset) | (byte_at(bytes, offset + 1) << 8);
}
std::uint32_t little24(Bytes bytes, std::size_t offset) noexcept {
  return little16(bytes, offset) | (byte_at(bytes, offset + 2) << 16);
}
std::uint32_t little32(Bytes bytes, std::size_t offset) noexcept {
  return little16(bytes, offset) | (little16(bytes, offset + 2) << 16);
}

std::optional<Dimensions> checked(std::uint32_t width, std::uint32_t height) noexcept {
  constexpr std::uint32_t kMost = 0x7fffffffU;
  if (width == 0 || height == 0 || width > kMost || height > kMost) return std::nullopt;
  return Dimensions{static_cast<std::int32_t>(width), static_cast<std::int32_t>(height)};
}

/// Where the first segment lies that `wanted` accepts by its marker and place; nullopt if the segments end before.
/// Source: ITU T.81, annex B.
template <typename Wanted>
std::optional<std::size_t> find_jpeg_segment(Bytes bytes, Wanted wanted) noexcept {
  std::size_t at = 2;
  while (at + 4 <= bytes.size()) {
    if (byte_at(bytes, at) != 0xffU) return std::nullopt;
    const std::uint32_t marker = byte_at(bytes, at + 1);
    if (marker == 0xffU) {  // a fill byte
      ++at;
      continue;
    }
    if (wanted(marker, at)) return at;
    if (marker == 0x01U || (marker >= 0xd0U && marker <= 0xd8U)) {  // no length follows
      at += 2;
      continue;
    }
    const std::uint32_t length = big16(bytes, at + 2);
    if (marker == 0xd9U || marker == 0xdaU || length < 2) return std::nullopt;
    at += 2 + std::size_t{length};
  }
  return std::nullopt;
}

std::optional<Dimensions> jpeg_dimensions(Bytes bytes) noexcept {
  const auto frame =
      find_jpeg_segment(bytes, [](std::uint32_t marker, std::size_t) {  // SOF0 to SOF15, less DHT, JPG and DAC
        return marker >= 0xc0U && marker <= 0xcfU && marker != 0xc4U && marker != 0xc8U && marker != 0xccU;
      });
  if (!frame || *frame + 9 > bytes.size()) return std::nullopt;
  return checked(big16(bytes, *frame + 7), big16(bytes, *frame + 5));
}

/// Source: RFC 9649 (VP8X canvas), RFC 6386 9.1 (VP8 key frame), WebP Lossless Bitstream (VP8L).
std::optional<Dimensions> webp_dimensions(Bytes bytes) noexcept {
  if (bytes.size() < 30) return std::nullopt;
  switch (big32(bytes, 12)) {
    case 0x56503858U:  // "VP8X"
      return checked(little24(bytes, 24) + 1, little24(bytes, 27) + 1);
    case 0x56503820U:  // "VP8 "
      return checked(little16(bytes, 26) & 0x3fffU, little16(bytes, 28) & 0x3fffU);
    case 0x5650384cU: {  // "VP8L"
      const std::uint32_t packed = little32(bytes, 21);
      return checked((packed & 0x3fffU) + 1, ((packed >> 14) & 0x3fffU) + 1);
    }
    default:
      return std::nullopt;
  }
}

bool png_reaches_its_end(Bytes bytes) noexcept {
  constexpr std::uint32_t kIend = 0x49454e44U;
  std::size_t at = 8;
  while (bytes.size() - std::min(at, bytes.size()) >= 12) {
    const std::uint32_t length = big32(bytes, at);
    if (length > bytes.size() - at - 12) return false;
    if (big32(bytes, at + 4) == kIend) return true;
    at += 12 + std::size_t{length};
  }
  return false;
}

/// An EOI after the first scan began: a thumbnail's own, inside a segment before it, does not count.
bool jpeg_reaches_its_end(Bytes bytes) noexcept {
  const auto scan = find_jpeg_segment(bytes, [](std::uint32_t marker, std::size_t) { return marker == 0xdaU; });
  if (!scan) return false;
  for (std::size_t at = bytes.size() - 2; at > *scan; --at) {
    if (big16(bytes, at) == 0xffd9U) return true;
  }
  return false;
}

/// Walks the blocks to the trailer. Source: GIF89a specification.
bool gif_reaches_its_end(Bytes bytes) noexcept {
  const auto colour_table = [&](std::size_t flags_at) -> std::size_t {
    const std::uint32_t flags = byte_at(bytes, flags_at);
    return (flags & 0x80U) != 0 ? std::size_t{3} << ((flags & 7U) + 1) : 0;
  };
  std::size_t at = 13 + colour_table(10);
  while (at < bytes.size()) {
    switch (byte_at(bytes, at)) {
      case 0x3bU:  // trailer
        return true;
      case 0x21U:  // extension: label, then sub-blocks
        at += 2;
        break;
      case 0x2cU:  // image: descriptor, colour table, code size, then sub-blocks
        at += 10 + colour_table(at + 9) + 1;
        break;
      default:
        return false;
    }
    while (at < bytes.size() && byte_at(bytes, at) != 0) at += 1 + std::size_t{byte_at(bytes, at)};
    ++at;
  }
  return false;
}

constexpr std::uint32_t kExifWord = 0x45786966U;  ///< "Exif"; two bytes of 0 follow

/// The TIFF structure that holds a file's EXIF; empty if there is none.
Bytes find_exif(Bytes bytes, ImageFormat format) noexcept {
  const auto without_name = [](Bytes data) {
    return big32(data, 0) == kExifWord && data.size() >= 6 ? data.subspan(6) : data;
  };
  if (format == ImageFormat::kJpeg) {
    const auto segment = find_jpeg_segment(bytes, [&](std::uint32_t marker, std::size_t at) {
      return marker == 0xe1U && big32(bytes, at + 4) == kExifWord && big16(bytes, at + 8) == 0;
    });
    return segment && *segment + 10 <= bytes.size() ? bytes.subspan(*segment + 10) : Bytes();
  }
  if (format == ImageFormat::kPng) {
    png::ChunkReader reader(bytes);
    while (const auto chunk = reader.next()) {
      if (chunk->type == png::kExif) return without_name(chunk->data);
    }
  }
  if (format == ImageFormat::kWebp) {
    constexpr std::uint32_t kExifChunk = 0x45584946U;  // "EXIF"
    for (std::size_t at = 12; at + 8 <= bytes.size();) {
      const std::size_t length = little32(bytes, at + 4);
      if (big32(bytes, at) == kExifChunk) return without_name(bytes.subspan(at + 8));
      at += 8 + length + length % 2;
    }
  }
  return {};
}

}  // namespace

std::uint8_t read_orientation(Bytes bytes, ImageFormat format) noexcept {
  const Bytes tiff = find_exif(bytes, format);
  const std::uint32_t order = big16(tiff, 0);
  const bool little = order == 0x4949U;
  if (!little && order != 0x4d4dU) return 1;
  const auto word = [&](std::size_t at) { return little ? little16(tiff, at) : big16(tiff, at); };
  const std::size_t directory = little ? little32(tiff, 4) : big32(tiff, 4);
  if (word(2) != 42 || directory + 2 > tiff.size()) return 1;
  const std::size_t end = directory + 2 + std::size_t{word(directory)} * 12;
  for (std::size_t at = directory + 2; at + 12 <= std::min(end, tiff.size()); at += 12) {
    constexpr std::uint32_t kOrientation = 0x0112U, kShort = 3;
    if (word(at) != kOrientation || word(at + 2) != kShort) continue;
    const std::uint32_t value = word(at + 8);
    return value >= 1 && value <= 8 ? static_cast<std::uint8_t>(value) : std::uint8_t{1};
  }
  return 1;
}

std::optional<Dimensions> read_dimensions(Bytes bytes, ImageFormat format) noexcept {
  switch (format) {
    case ImageFormat::kPng:
      return bytes.size() < 24 ? std::nullopt : checked(big32(bytes, 16), big32(bytes, 20));
    case ImageFormat::kJpeg:
      return jpeg_dimensions(bytes);
    case ImageFormat::kWebp:
      return webp_dimensions(bytes);
    case ImageFormat::kGif:
      return bytes.size() < 10 ? std::nullopt : checked(little16(bytes, 6), little16(bytes, 8));
    case ImageFormat::kUnknown:
      break;
  }
  return std::nullopt;
}

bool reaches_its_end(Bytes bytes, ImageFormat format) noexcept {
  switch (format) {
    case ImageFormat::kPng:
      return png_reaches_its_end(bytes);
    case ImageFormat::kJpeg:
      return jpeg_reaches_its_end(bytes);
    case ImageFormat::kWebp:
      return bytes.size() >= 12 && std::size_t{little32(bytes, 4)} + 8 <= bytes.size();
    case ImageFormat::kGif:
      return gif_reaches_its_end(bytes);
    case ImageFormat::kUnknown:
      break;
  }
  return false;
}

}  // namespace imagerank::images
