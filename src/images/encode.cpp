#include "images/encode.h"

#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

// libjpeg's header needs <cstdio> first.
#include <jpeglib.h>

#include "core/fail.h"
#include "images/png_format.h"

namespace imagerank::images {
namespace {

/// The fastest: what is encoded are made-up worlds and copies, no archives.
constexpr int kDeflateLevel = 1;
constexpr std::size_t kMaxChunkBytes = std::size_t{1} << 30;

void check_image(const char* format, const Image& image) {
  constexpr std::int32_t kMaxSide = 65500;  // JPEG's
  const std::size_t expected =
      static_cast<std::size_t>(std::max(image.width, 0)) * static_cast<std::size_t>(std::max(image.height, 0)) * 3;
  if (image.width < 1 || image.height < 1 || image.width > kMaxSide || image.height > kMaxSide ||
      image.pixels.size() != expected) {
    fail(ErrorCode::kInvalidArgument, "{}: expected sides of 1 to {} and 3 bytes a pixel, found {} x {} with {} bytes",
         format, kMaxSide, image.width, image.height, image.pixels.size());
  }
}

/// See decode_jpeg.cpp: libjpeg jumps out on an error, past no destructor.
struct JpegWriter {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  unsigned char* buffer = nullptr;
  unsigned long bytes = 0;

  JpegWriter() = default;
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(buffer);
  }
};

[[noreturn]] void jump_out(j_common_ptr info) {
  auto* writer = static_cast<JpegWriter*>(info->client_data);
  (*info->err->format_message)(info, writer->message.data());
  std::longjmp(writer->jump, 1);  // NOLINT(cert-err52-cpp): libjpeg's only way out
}

void on_message(j_common_ptr /*info*/, int /*level*/) {}

bool jumped(JpegWriter& writer, const Image& image, int quality) {
  if (setjmp(writer.jump) != 0) {  // NOLINT(cert-err52-cpp)
    writer.buffer = nullptr;       // stale once the library has grown its buffer: a leak is better than a double free
    return true;
  }
  jpeg_create_compress(&writer.info);
  jpeg_mem_dest(&writer.info, &writer.buffer, &writer.bytes);
  writer.info.image_width = static_cast<JDIMENSION>(image.width);
  writer.info.image_height = static_cast<JDIMENSION>(image.height);
  writer.info.input_components = 3;
  writer.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&writer.info);
  jpeg_set_quality(&writer.info, quality, TRUE);
  if (quality >= 90) {
    writer.info.comp_info[0].h_samp_factor = 1;
    writer.info.comp_info[0].v_samp_factor = 1;
  }
  jpeg_start_compress(&writer.info, TRUE);
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  while (writer.info.next_scanline < writer.info.image_height) {
    // The library takes rows it does not write to without const.
    auto* row = const_cast<JSAMPROW>(image.pixels.data() + writer.info.next_scanline * stride);
    jpeg_write_scanlines(&writer.info, &row, 1);
  }
  jpeg_finish_compress(&writer.info);
  return false;
}

/// [height, 1 + width * 3]: each row behind the filter whose bytes, as signed numbers, are smallest in sum; PNG's own
/// advice for photographs.
std::vector<std::uint8_t> filtered_rows(const Image& image) {
  const std::size_t bytes = static_cast<std::size_t>(image.width) * 3;
  const auto height = static_cast<std::size_t>(image.height);
  std::vector<std::uint8_t> result;
  result.reserve(height * (bytes + 1));
  // A pixel of 0 on the left, a row of 0 on top.
  std::vector<std::uint8_t> row(bytes + 3), above(bytes + 3), tried(bytes), best(bytes);
  for (std::size_t y = 0; y < height; ++y) {
    std::swap(row, above);
    std::copy_n(image.pixels.data() + y * bytes, bytes, row.data() + 3);
    std::uint64_t best_sum = std::numeric_limits<std::uint64_t>::max();
    std::uint8_t best_filter = 0;
    for (std::uint8_t filter = 0; filter < png::kFilters; ++filter) {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < bytes; ++i) {
        tried[i] = static_cast<std::uint8_t>(row[i + 3] - png::guess(filter, row[i], above[i + 3], above[i]));
        sum += static_cast<std::uint64_t>(std::abs(static_cast<std::int8_t>(tried[i])));
      }
      if (sum >= best_sum) continue;
      best_sum = sum;
      best_filter = filter;
      std::swap(tried, best);
    }
    result.push_back(best_filter);
    result.insert(result.end(), best.begin(), best.end());
  }
  return result;
}

}  // namespace

std::string encode_png(const Image& image) {
  check_image("PNG", image);
  const std::vector<std::uint8_t> raw = filtered_rows(image);
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(kDeflateLevel), libdeflate_free_compressor);
  if (compressor == nullptr) fail(ErrorCode::kResourceLimit, "PNG: no memory for an encoder");
  std::vector<std::byte> packed(libdeflate_zlib_compress_bound(compressor.get(), raw.size()));
  packed.resize(libdeflate_zlib_compress(compressor.get(), raw.data(), raw.size(), packed.data(), packed.size()));

  std::string header;
  png::append_big32(header, static_cast<std::uint32_t>(image.width));
  png::append_big32(header, static_cast<std::uint32_t>(image.height));
  header += {8, png::kRgb, 0, 0, 0};  // bits a sample, colour, methods, not interlaced
  std::string file(png::kSignature);
  png::append_chunk(file, png::kIhdr, std::as_bytes(std::span(header)));
  for (std::span<const std::byte> rest = packed; !rest.empty();) {
    const auto part = rest.first(std::min(rest.size(), kMaxChunkBytes));
    png::append_chunk(file, png::kIdat, part);
    rest = rest.subspan(part.size());
  }
  png::append_chunk(file, png::kIend, {});
  return file;
}

std::string encode_jpeg(const Image& image, int quality) {
  check_image("JPEG", image);
  if (quality < 1 || quality > 100)
    fail(ErrorCode::kInvalidArgument, "JPEG: expected a quality of 1 to 100, found {}", quality);
  JpegWriter writer;
  writer.info.err = jpeg_std_error(&writer.errors);
  writer.info.client_data = &writer;
  writer.errors.error_exit = jump_out;
  writer.errors.emit_message = on_message;
  if (jumped(writer, image, quality))
    fail(ErrorCode::kResourceLimit, "JPEG does not encode: {}", writer.message.data());
  return {reinterpret_cast<const char*>(writer.buffer), writer.bytes};
}

}  // namespace imagerank::images
