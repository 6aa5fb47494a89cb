// PNG's checksums and DEFLATE would stop nearly every input at the door. So each goes three ways: as it is, with its
// chunks' checksums set right, and as the raw rows of a header of its own, through every unfilter.
#include <libdeflate.h>

#include <array>
#include <string>
#include <vector>

#include "fuzz_image.h"
#include "images/png_format.h"
#include "images/unfilter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace imagerank;
namespace png = images::png;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string with_right_checksums(std::span<const std::byte> bytes) {
  std::string file(png::kSignature);
  png::ChunkReader reader(bytes);
  while (const auto chunk = reader.next()) png::append_chunk(file, chunk->type, chunk->data);
  return file;
}

/// The first four bytes are a header, the rest rows of pixels and, if need be, a palette.
std::string with_raw_rows(std::span<const std::byte> bytes) {
  constexpr std::array<std::uint8_t, 4> kPalette = {1, 2, 3, 4};
  std::string header;
  png::append_big32(header, std::to_integer<std::uint32_t>(bytes[0]));
  png::append_big32(header, std::to_integer<std::uint32_t>(bytes[1]));
  header += static_cast<char>(1U << (std::to_integer<unsigned>(bytes[2]) % 5));
  header += static_cast<char>(std::to_integer<unsigned>(bytes[2]) / 5 % 7);
  header += {0, 0, static_cast<char>(std::to_integer<unsigned>(bytes[3]) % 2)};
  const auto rows = bytes.subspan(4);
  libdeflate_compressor* compressor = libdeflate_alloc_compressor(0);
  fuzz::require(compressor != nullptr);
  std::vector<std::byte> packed(libdeflate_zlib_compress_bound(compressor, rows.size()));
  packed.resize(libdeflate_zlib_compress(compressor, rows.data(), rows.size(), packed.data(), packed.size()));
  libdeflate_free_compressor(compressor);
  std::string file(png::kSignature);
  png::append_chunk(file, png::kIhdr, bytes_of(header));
  png::append_chunk(file, png::kPlte, std::as_bytes(std::span(kPalette).first(3)));
  png::append_chunk(file, png::kIdat, packed);
  png::append_chunk(file, png::kIend, {});
  return file;
}

/// The first byte says how large a pixel is, the second how many there are in a row.
void compare_unfilters(std::span<const std::byte> bytes) {
  constexpr std::array<std::size_t, 6> kSizes = {1, 2, 3, 4, 6, 8};
  const std::size_t pixel_bytes = kSizes[std::to_integer<std::size_t>(bytes[0]) % kSizes.size()];
  const std::size_t row_bytes = pixel_bytes * (1 + std::to_integer<std::size_t>(bytes[1]) % 64);
  const std::size_t rows = (bytes.size() - 2) / (row_bytes + 1);
  std::vector<std::uint8_t> expected;
  bool good = false;
  for (const images::Unfilter& unfilter : images::unfilters()) {
    std::vector<std::uint8_t> data(rows * (row_bytes + 1) + images::kUnfilterSlack);
    std::transform(bytes.begin() + 2, bytes.begin() + 2 + static_cast<std::ptrdiff_t>(rows * (row_bytes + 1)),
                   data.begin(), [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    const bool accepted = unfilter.rows(data.data(), rows, row_bytes, pixel_bytes);
    data.resize(rows * row_bytes);
    if (&unfilter == images::unfilters().data()) {
      expected = data;
      good = accepted;
    }
    fuzz::require(accepted == good && (!good || data == expected));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  fuzz::check_image(bytes, images::ImageFormat::kPng);
  fuzz::check_image(bytes_of(with_right_checksums(bytes)), images::ImageFormat::kPng);
  if (size < 4) return 0;
  fuzz::check_image(bytes_of(with_raw_rows(bytes)), images::ImageFormat::kPng);
  compare_unfilters(bytes);
  return 0;
}
