#include "images/encode.h"

#include <spng.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>

// libjpeg's header needs <cstdio> first.
#include <jpeglib.h>

#include "core/fail.h"

namespace imagerank::images {
namespace {

struct FreeContext {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
struct FreeBuffer {
  void operator()(void* buffer) const { std::free(buffer); }
};

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

}  // namespace

std::string encode_png(const Image& image) {
  check_image("PNG", image);
  const std::unique_ptr<spng_ctx, FreeContext> context(spng_ctx_new(SPNG_CTX_ENCODER));
  if (context == nullptr) fail(ErrorCode::kResourceLimit, "PNG: no memory for an encoder");
  const auto check = [](int result) {
    if (result != SPNG_OK) fail(ErrorCode::kResourceLimit, "PNG does not encode: {}", spng_strerror(result));
  };
  check(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1));
  // Three times as fast as the default for a tenth more bytes, on photographs of 512 pixels.
  check(spng_set_option(context.get(), SPNG_IMG_COMPRESSION_LEVEL, 1));
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(image.width);
  header.height = static_cast<std::uint32_t>(image.height);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  check(spng_set_ihdr(context.get(), &header));
  check(spng_encode_image(context.get(), image.pixels.data(), image.pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));
  std::size_t bytes = 0;
  int result = SPNG_OK;
  const std::unique_ptr<void, FreeBuffer> buffer(spng_get_png_buffer(context.get(), &bytes, &result));
  check(result);
  return {static_cast<const char*>(buffer.get()), bytes};
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
