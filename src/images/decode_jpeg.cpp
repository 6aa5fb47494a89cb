#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <vector>

// These need <cstdio> first.
#include <jerror.h>
#include <jpeglib.h>

#include "core/fail.h"
#include "images/decode_formats.h"

namespace imagerank::images {
namespace {

/// A progressive file can make the decoder pass over the whole image for every few bytes; real ones have about ten
/// scans.
constexpr int kMaxScans = 500;

/// libjpeg reports errors by a call that must not return. Throwing through its C frames is undefined, so it jumps back
/// to the one function that called it; those functions (`jumped_*` below) hold nothing with a destructor.
struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};

  JpegReader() = default;
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info); }
};

[[noreturn]] void jump_out(j_common_ptr info) {
  auto* reader = static_cast<JpegReader*>(info->client_data);
  (*info->err->format_message)(info, reader->message.data());
  std::longjmp(reader->jump, 1);  // NOLINT(cert-err52-cpp): libjpeg's only way out
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  // Only these two say that pixels are missing; the library would go on and make the rest up. Others (trailing bytes,
  // an odd marker, a bad code) leave a picture that Pillow, too, takes.
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) jump_out(info);
}

void on_output(j_common_ptr /*info*/) {}

void on_progress(j_common_ptr info) {
  auto* reader = static_cast<JpegReader*>(info->client_data);
  if (reader->info.input_scan_number > kMaxScans) {
    std::snprintf(reader->message.data(), reader->message.size(), "more than %d scans", kMaxScans);
    std::longjmp(reader->jump, 1);  // NOLINT(cert-err52-cpp)
  }
}

bool jumped_in_header(JpegReader& reader, const unsigned char* data, unsigned long size) {
  if (setjmp(reader.jump) != 0) return true;  // NOLINT(cert-err52-cpp)
  jpeg_create_decompress(&reader.info);
  reader.info.client_data = &reader;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, data, size);
  jpeg_read_header(&reader.info, TRUE);
  return false;
}

bool jumped_in_start(JpegReader& reader) {
  if (setjmp(reader.jump) != 0) return true;  // NOLINT(cert-err52-cpp)
  jpeg_start_decompress(&reader.info);
  return false;
}

/// Grey and RGB only: `rows` are `stride` bytes apart.
bool jumped_in_rows(JpegReader& reader, unsigned char* rows, std::size_t stride) {
  if (setjmp(reader.jump) != 0) return true;  // NOLINT(cert-err52-cpp)
  while (reader.info.output_scanline < reader.info.output_height) {
    JSAMPROW row = rows + reader.info.output_scanline * stride;
    jpeg_read_scanlines(&reader.info, &row, 1);
  }
  jpeg_finish_decompress(&reader.info);  // reads on to the end marker: a file without one is cut short
  return false;
}

[[noreturn]] void fail_corrupt(const JpegReader& reader) {
  fail(ErrorCode::kCorruptData, "JPEG does not decode: {}", reader.message.data());
}

/// Every MCU takes at least one bit in the file (only arithmetic coding can do with less), so a header cannot claim
/// more pixels than the file could possibly hold.
void check_against_file_size(const jpeg_decompress_struct& info, std::size_t file_bytes) {
  if (info.arith_code != FALSE) return;
  const auto mcus = [](std::uint64_t side, int sampling) {
    const std::uint64_t block = 8U * static_cast<std::uint64_t>(sampling);
    return (side + block - 1) / block;
  };
  const std::uint64_t count =
      mcus(info.image_width, info.max_h_samp_factor) * mcus(info.image_height, info.max_v_samp_factor);
  if (count > std::uint64_t{8} * file_bytes) {
    fail(ErrorCode::kCorruptData, "JPEG: its header says {} x {} pixels, which {} bytes cannot hold", info.image_width,
         info.image_height, file_bytes);
  }
}

/// Pillow's MULDIV255: a * b / 255, rounded.
std::uint8_t multiply_255(unsigned a, unsigned b) {
  const unsigned product = a * b + 128U;
  return static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
}

/// Pillow takes every CMYK JPEG as inverted, which is Adobe's habit, whether or not Adobe's marker is there.
void rgb_from_inverted_cmyk(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const unsigned white = cmyk[3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int value = static_cast<int>(white) - multiply_255(255U - cmyk[c], white);
      rgb[c] = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
    }
  }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  JpegReader reader;
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.info.client_data = &reader;
  reader.errors.error_exit = jump_out;
  reader.errors.emit_message = on_message;
  reader.errors.output_message = on_output;
  reader.progress.progress_monitor = on_progress;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  if (jumped_in_header(reader, data, bytes.size())) fail_corrupt(reader);

  const std::uint64_t width = reader.info.image_width;
  const std::uint64_t height = reader.info.image_height;
  const int components = reader.info.num_components;
  check_image_size("JPEG", width, height, limits);
  check_against_file_size(reader.info, bytes.size());
  if (components != 1 && components != 3 && components != 4) {
    fail(ErrorCode::kCorruptData, "JPEG: expected 1, 3 or 4 colour components, found {}", components);
  }
  reader.info.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;

  if (jumped_in_start(reader)) fail_corrupt(reader);
  Image image = blank_image(width, height);
  if (components == 3) {
    if (jumped_in_rows(reader, image.pixels.data(), width * 3)) fail_corrupt(reader);
    return image;
  }
  const auto channels = static_cast<std::size_t>(components);
  std::vector<std::uint8_t> samples(width * height * channels);
  if (jumped_in_rows(reader, samples.data(), width * channels)) fail_corrupt(reader);
  if (components == 4) {
    rgb_from_inverted_cmyk(samples.data(), image.pixels.data(), width * height);
  } else {
    for (std::size_t i = 0; i < samples.size(); ++i) std::fill_n(image.pixels.data() + i * 3, 3, samples[i]);
  }
  return image;
}

}  // namespace imagerank::images
