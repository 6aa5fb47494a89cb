#include <spng.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "core/fail.h"
#include "images/decode_formats.h"

namespace imagerank::images {
namespace {

/// The most that DEFLATE can expand: 258 bytes from two bits.
constexpr std::uint64_t kMaxInflation = 1032;
/// Text and colour profiles are read over, never kept for long; generators put whole workflows into them.
constexpr std::size_t kMaxAncillaryBytes = std::size_t{16} << 20;

struct FreeContext {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, FreeContext>;
using Palette = std::array<std::array<std::uint8_t, 3>, 256>;

void check(int result, const char* what) {
  if (result == SPNG_OK) return;
  fail(result == SPNG_EMEM ? ErrorCode::kResourceLimit : ErrorCode::kCorruptData, "PNG does not decode: {}: {}", what,
       spng_strerror(result));
}

/// Colours for every index, as Pillow has it: one that the file does not define is the grey of its own number.
Palette read_palette(spng_ctx* context) {
  Palette palette;
  for (std::size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<std::uint8_t>(i));
  spng_plte plte{};
  check(spng_get_plte(context, &plte), "palette");
  for (std::size_t i = 0; i < plte.n_entries; ++i) {
    palette[i] = {plte.entries[i].red, plte.entries[i].green, plte.entries[i].blue};
  }
  return palette;
}

/// Samples of 1, 2, 4 or 8 bits, one a byte. @param row  as in the file, most significant bits first.
void unpack_samples(const std::uint8_t* row, unsigned depth, std::span<std::uint8_t> samples) {
  const unsigned mask = (1U << depth) - 1U;
  for (std::size_t x = 0; x < samples.size(); ++x) {
    const std::size_t bit = x * depth;
    samples[x] = static_cast<std::uint8_t>((static_cast<unsigned>(row[bit / 8]) >> (8U - depth - bit % 8)) & mask);
  }
}

void expand_row(const spng_ihdr& header, const Palette& palette, const std::uint8_t* row,
                std::span<std::uint8_t> samples, std::uint8_t* rgb) {
  const bool wide = header.bit_depth == 16;
  switch (header.color_type) {
    case SPNG_COLOR_TYPE_INDEXED:
      unpack_samples(row, header.bit_depth, samples);
      for (const std::uint8_t index : samples) rgb = std::ranges::copy(palette[index], rgb).out;
      return;
    case SPNG_COLOR_TYPE_GRAYSCALE:
      if (wide) {
        // Pillow opens 16-bit grey as integers and clips them at 255, where every other 16-bit kind keeps the high
        // byte.
        for (std::size_t x = 0; x < samples.size(); ++x) samples[x] = row[2 * x] != 0 ? 255 : row[2 * x + 1];
      } else {
        unpack_samples(row, header.bit_depth, samples);
        const unsigned scale = 255U / ((1U << header.bit_depth) - 1U);
        for (std::uint8_t& sample : samples) sample = static_cast<std::uint8_t>(sample * scale);
      }
      for (const std::uint8_t sample : samples) rgb = std::fill_n(rgb, 3, sample);
      return;
    default:
      break;
  }
  const std::size_t step = wide ? 2 : 1;  // big endian: the high byte comes first
  const std::size_t channels = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ? 2
                               : header.color_type == SPNG_COLOR_TYPE_TRUECOLOR     ? 3
                                                                                    : 4;
  for (std::size_t x = 0; x < samples.size(); ++x, row += channels * step) {
    for (std::size_t c = 0; c < 3; ++c) *rgb++ = row[channels == 2 ? 0 : c * step];
  }
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  const Context context(spng_ctx_new(0));
  if (context == nullptr) fail(ErrorCode::kResourceLimit, "PNG: no memory for a decoder");
  check(spng_set_chunk_limits(context.get(), kMaxAncillaryBytes, kMaxAncillaryBytes), "limits");
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()), "file");
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header), "header");
  check_image_size("PNG", header.width, header.height, limits);
  std::size_t raw_bytes = 0;
  check(spng_decoded_image_size(context.get(), SPNG_FMT_RAW, &raw_bytes), "header");
  if (raw_bytes / kMaxInflation > bytes.size()) {
    fail(ErrorCode::kCorruptData, "PNG: its header says {} x {} pixels, which {} bytes cannot hold", header.width,
         header.height, bytes.size());
  }
  Palette palette{};
  if (header.color_type == SPNG_COLOR_TYPE_INDEXED) palette = read_palette(context.get());

  std::vector<std::uint8_t> raw(raw_bytes);
  check(spng_decode_image(context.get(), raw.data(), raw.size(), SPNG_FMT_RAW, 0), "pixels");
  Image image = blank_image(header.width, header.height);
  if (header.color_type == SPNG_COLOR_TYPE_TRUECOLOR && header.bit_depth == 8) {
    image.pixels = std::move(raw);
    return image;
  }
  const std::size_t row_bytes = raw_bytes / header.height;
  std::vector<std::uint8_t> samples(header.width);
  for (std::size_t y = 0; y < header.height; ++y) {
    expand_row(header, palette, raw.data() + y * row_bytes, samples, image.pixels.data() + y * header.width * 3);
  }
  return image;
}

}  // namespace imagerank::images
