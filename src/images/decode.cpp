#include "images/decode.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "images/decode_formats.h"
#include "images/header.h"
#include "images/png_format.h"

namespace imagerank::images {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic, std::size_t offset = 0) {
  if (bytes.size() < offset + magic.size()) return false;
  return std::equal(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](char expected, std::byte found) {
                      return static_cast<unsigned char>(expected) == std::to_integer<unsigned char>(found);
                    });
}

/// The first bytes for a message: what is not printable ASCII as a dot.
std::string excerpt(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 16))) {
    const auto value = std::to_integer<unsigned char>(byte);
    text += value >= 0x20 && value < 0x7f && value != '"' ? static_cast<char>(value) : '.';
  }
  return text;
}

/// @param format  what `bytes` starts like.
Image decode_pixels(std::span<const std::byte> bytes, ImageFormat format, const DecodeLimits& limits) {
  switch (format) {
    case ImageFormat::kJpeg:
      return decode_jpeg(bytes, limits);
    case ImageFormat::kPng:
      return decode_png(bytes, limits);
    case ImageFormat::kWebp:
      return decode_webp(bytes, limits);
    case ImageFormat::kGif:
      return decode_gif(bytes, limits);
    case ImageFormat::kUnknown:
      break;
  }
  if (bytes.empty()) fail(ErrorCode::kCorruptData, "expected a JPEG, PNG, WebP or GIF file, found an empty one");
  fail(ErrorCode::kCorruptData, "expected a JPEG, PNG, WebP or GIF file, found one that starts with \"{}\"",
       excerpt(bytes));
}

}  // namespace

ImageFormat sniff_format(std::span<const std::byte> bytes) noexcept {
  if (starts_with(bytes, "\xff\xd8\xff")) return ImageFormat::kJpeg;
  if (starts_with(bytes, png::kSignature)) return ImageFormat::kPng;
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return ImageFormat::kWebp;
  if (starts_with(bytes, "GIF87a") || starts_with(bytes, "GIF89a")) return ImageFormat::kGif;
  return ImageFormat::kUnknown;
}

std::string_view file_extension(ImageFormat format) noexcept {
  switch (format) {
    case ImageFormat::kJpeg:
      return ".jpg";
    case ImageFormat::kPng:
      return ".png";
    case ImageFormat::kWebp:
      return ".webp";
    case ImageFormat::kGif:
      return ".gif";
    case ImageFormat::kUnknown:
      break;
  }
  return "";
}

void check_image_size(const char* format, std::uint64_t width, std::uint64_t height, const DecodeLimits& limits) {
  constexpr std::uint64_t kMaxSide = std::numeric_limits<std::int32_t>::max();
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) {
    fail(ErrorCode::kCorruptData, "{}: its header says {} x {} pixels", format, width, height);
  }
  if (width > static_cast<std::uint64_t>(limits.max_pixels) / height) {
    fail(ErrorCode::kResourceLimit, "{}: its header says {} x {} pixels, more than the limit of {}", format, width,
         height, limits.max_pixels);
  }
}

Image blank_image(std::uint64_t width, std::uint64_t height) {
  Image image;
  image.width = static_cast<std::int32_t>(width);
  image.height = static_cast<std::int32_t>(height);
  image.pixels.resize(width * height * 3);
  return image;
}

Image decode_image(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  if (bytes.size() > limits.max_file_bytes) {
    fail(ErrorCode::kResourceLimit, "image file of {} bytes, more than the limit of {}", bytes.size(),
         limits.max_file_bytes);
  }
  const ImageFormat format = sniff_format(bytes);
  Image image = decode_pixels(bytes, format, limits);
  image.orientation = read_orientation(bytes, format);
  return image;
}

Image load_image(const std::filesystem::path& path, const DecodeLimits& limits) {
  const std::string bytes = load_file(path, limits.max_file_bytes);
  try {
    return decode_image(std::as_bytes(std::span(bytes)), limits);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path.string(), error.what());
  }
}

std::string failure_reason(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return "missing";
    case ErrorCode::kResourceLimit:
      return "too_large";
    case ErrorCode::kIo:
      return "unreadable";
    default:
      return "corrupt";
  }
}

}  // namespace imagerank::images
