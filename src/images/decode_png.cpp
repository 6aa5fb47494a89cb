#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "core/fail.h"
#include "images/decode_formats.h"
#include "images/png_format.h"
#include "images/unfilter.h"

namespace imagerank::images {
namespace {

/// The most that DEFLATE can expand: 258 bytes from two bits.
constexpr std::uint64_t kMaxInflation = 1032;

using Palette = std::array<std::array<std::uint8_t, 3>, 256>;

[[noreturn]] void fail_corrupt(std::string_view what) {
  fail(ErrorCode::kCorruptData, "PNG does not decode: {}", what);
}

/// What a file says before its pixels, and where those are.
struct PngFile {
  png::Header header;
  Palette palette;
  bool has_palette = false;
  std::vector<std::span<const std::byte>> data;  ///< the parts of one zlib stream
};

/// Colours for every index, as Pillow has it: one that the file does not define is the grey of its own number.
Palette read_palette(std::span<const std::byte> data) {
  if (data.empty() || data.size() % 3 != 0 || data.size() > 768) fail_corrupt("palette");
  Palette palette;
  for (std::size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<std::uint8_t>(i));
  std::memcpy(palette.data(), data.data(), data.size());
  return palette;
}

png::Header read_header(std::span<const std::byte> data) {
  if (data.size() != 13) fail_corrupt("header");
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(data[i]); };
  const png::Header header{png::big32(data, 0), png::big32(data, 4), byte(8), byte(9), byte(12) == 1};
  const bool known = header.channels() != 0 && std::has_single_bit(unsigned{header.depth}) && header.depth <= 16 &&
                     (header.colour == png::kGrey || header.depth == 8 ||
                      (header.colour == png::kIndexed ? header.depth < 8 : header.depth == 16));
  if (!known) {
    fail(ErrorCode::kCorruptData, "PNG: its header says {} bits of colour type {}, which PNG has not", header.depth,
         header.colour);
  }
  if (byte(10) != 0 || byte(11) != 0 || byte(12) > 1) fail_corrupt("its header names an unknown method");
  return header;
}

/// Reads up to the end of the pixels; what comes behind them is not looked at. @throws Error kCorruptData.
PngFile read_chunks(std::span<const std::byte> bytes) {
  png::ChunkReader reader(bytes);
  const auto next = [&] {
    const auto chunk = reader.next();
    if (chunk && !chunk->intact()) fail_corrupt("the checksum of a chunk does not fit its bytes");
    return chunk;
  };
  const auto first = next();
  if (!first || first->type != png::kIhdr) fail_corrupt("expected a header");
  PngFile file{read_header(first->data), {}, false, {}};
  while (const auto chunk = next()) {
    if (chunk->type == png::kIdat) {
      file.data.push_back(chunk->data);
    } else if (!file.data.empty() || chunk->type == png::kIend) {
      break;
    } else if (chunk->type == png::kPlte) {
      file.palette = read_palette(chunk->data);
      file.has_palette = true;
    } else if (chunk->critical()) {
      fail_corrupt("an unknown chunk that it calls critical");
    }
  }
  if (file.data.empty()) fail_corrupt("it holds no pixels, or is cut short");
  if (file.header.colour == png::kIndexed && !file.has_palette) fail_corrupt("palette: none");
  return file;
}

/// @return `size` bytes and kUnfilterSlack of 0.
std::vector<std::uint8_t> inflate(const std::vector<std::span<const std::byte>>& parts, std::size_t size) {
  std::vector<std::byte> joined;
  std::span<const std::byte> stream = parts.front();
  if (parts.size() > 1) {
    for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
    stream = joined;
  }
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (decompressor == nullptr) fail(ErrorCode::kResourceLimit, "PNG: no memory for a decoder");
  std::vector<std::uint8_t> raw(size + kUnfilterSlack);
  switch (libdeflate_zlib_decompress(decompressor.get(), stream.data(), stream.size(), raw.data(), size, nullptr)) {
    case LIBDEFLATE_SUCCESS:
      return raw;
    case LIBDEFLATE_SHORT_OUTPUT:
      fail_corrupt("it holds fewer pixels than its header says");
    case LIBDEFLATE_INSUFFICIENT_SPACE:
      fail_corrupt("it holds more pixels than its header says");
    default:
      fail_corrupt("its compressed pixels are damaged or cut short");
  }
}

/// Samples of 1, 2, 4 or 8 bits, one a byte. @param row  as in the file, most significant bits first.
void unpack_samples(const std::uint8_t* row, unsigned depth, std::span<std::uint8_t> samples) {
  const unsigned mask = (1U << depth) - 1U;
  for (std::size_t x = 0; x < samples.size(); ++x) {
    const std::size_t bit = x * depth;
    samples[x] = static_cast<std::uint8_t>((static_cast<unsigned>(row[bit / 8]) >> (8U - depth - bit % 8)) & mask);
  }
}

/// The first three of kStep bytes a pixel, or the first one three times.
template <std::size_t kStep, bool kGrey>
void take_colours(const std::uint8_t* row, std::size_t width, std::size_t sample_bytes, std::uint8_t* rgb) {
  for (std::size_t x = 0; x < width; ++x, row += kStep, rgb += 3) {
    for (std::size_t c = 0; c < 3; ++c) rgb[c] = row[kGrey ? 0 : c * sample_bytes];
  }
}

/// One unfiltered row as RGB. @param samples  scratch, as many as the row has pixels.
void expand_row(const PngFile& file, const std::uint8_t* row, std::span<std::uint8_t> samples, std::uint8_t* rgb) {
  const std::size_t width = samples.size();
  const bool wide = file.header.depth == 16;  // big endian: the high byte comes first
  switch (file.header.colour) {
    case png::kIndexed:
      unpack_samples(row, file.header.depth, samples);
      for (const std::uint8_t index : samples) rgb = std::ranges::copy(file.palette[index], rgb).out;
      return;
    case png::kGrey:
      if (wide) {
        // Pillow opens 16-bit grey as integers and clips them at 255, where every other 16-bit kind keeps the high
        // byte.
        for (std::size_t x = 0; x < width; ++x) samples[x] = row[2 * x] != 0 ? 255 : row[2 * x + 1];
      } else {
        unpack_samples(row, file.header.depth, samples);
        const unsigned scale = 255U / ((1U << file.header.depth) - 1U);
        for (std::uint8_t& sample : samples) sample = static_cast<std::uint8_t>(sample * scale);
      }
      return take_colours<1, true>(samples.data(), width, 1, rgb);
    case png::kGreyAlpha:
      return wide ? take_colours<4, true>(row, width, 2, rgb) : take_colours<2, true>(row, width, 1, rgb);
    case png::kRgb:
      return wide ? take_colours<6, false>(row, width, 2, rgb) : take_colours<3, false>(row, width, 1, rgb);
    default:
      return wide ? take_colours<8, false>(row, width, 2, rgb) : take_colours<4, false>(row, width, 1, rgb);
  }
}

/// Writes the pixels of one pass into their places. @param data  its unfiltered rows.
void place_pass(const PngFile& file, const png::Pass& pass, const std::uint8_t* data, Image& image) {
  std::vector<std::uint8_t> samples(pass.width);
  std::vector<std::uint8_t> rgb(pass.width * 3);
  const std::size_t row_bytes = file.header.row_bytes(pass.width);
  const auto stride = static_cast<std::size_t>(image.width) * 3;
  for (std::size_t y = 0; y < pass.height; ++y) {
    std::uint8_t* line = image.pixels.data() + (pass.top + y * pass.step_y) * stride;
    const std::uint8_t* row = data + y * row_bytes;
    if (pass.step_x == 1) {
      expand_row(file, row, samples, line);
      continue;
    }
    expand_row(file, row, samples, rgb.data());
    for (std::size_t x = 0; x < pass.width; ++x) {
      std::copy_n(rgb.data() + x * 3, 3, line + (pass.left + x * pass.step_x) * 3);
    }
  }
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  const PngFile file = read_chunks(bytes);
  const png::Header& header = file.header;
  check_image_size("PNG", header.width, header.height, limits);
  const std::vector<png::Pass> passes = header.passes();
  std::uint64_t raw_bytes = 0;
  for (const png::Pass& pass : passes) raw_bytes += pass.height * (header.row_bytes(pass.width) + 1);
  if (raw_bytes / kMaxInflation > bytes.size()) {
    fail(ErrorCode::kCorruptData, "PNG: its header says {} x {} pixels, which {} bytes cannot hold", header.width,
         header.height, bytes.size());
  }

  std::vector<std::uint8_t> raw = inflate(file.data, raw_bytes);
  const Unfilter& unfilter = unfilters().front();
  std::uint8_t* data = raw.data();
  for (const png::Pass& pass : passes) {
    const std::size_t row_bytes = header.row_bytes(pass.width);
    if (!unfilter.rows(data, pass.height, row_bytes, header.pixel_bytes())) fail_corrupt("an unknown filter");
    data += pass.height * (row_bytes + 1);
  }
  if (header.colour == png::kRgb && header.depth == 8 && !header.interlaced) {
    // The unfiltered rows are the image.
    raw.resize(std::size_t{header.width} * header.height * 3);
    return {static_cast<std::int32_t>(header.width), static_cast<std::int32_t>(header.height), std::move(raw)};
  }
  Image image = blank_image(header.width, header.height);
  data = raw.data();
  for (const png::Pass& pass : passes) {
    place_pass(file, pass, data, image);
    data += pass.height * (header.row_bytes(pass.width) + 1);
  }
  return image;
}

}  // namespace imagerank::images
