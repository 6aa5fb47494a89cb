#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "core/fail.h"
#include "images/decode_formats.h"

namespace imagerank::images {
namespace {

/// The most that GIF's LZW can expand: a 12-bit code stands for at most 4,096 pixels.
constexpr std::uint64_t kMaxPixelsPerByte = 2731;

struct CloseGif {
  void operator()(GifFileType* file) const { DGifCloseFile(file, nullptr); }
};
using File = std::unique_ptr<GifFileType, CloseGif>;

struct MemorySource {
  std::span<const std::byte> rest;
};

int read_memory(GifFileType* file, GifByteType* out, int count) {
  auto* source = static_cast<MemorySource*>(file->UserData);
  const std::size_t length = std::min(source->rest.size(), static_cast<std::size_t>(std::max(count, 0)));
  if (length != 0) std::memcpy(out, source->rest.data(), length);
  source->rest = source->rest.subspan(length);
  return static_cast<int>(length);
}

[[noreturn]] void fail_corrupt(int error_code) {
  const char* reason = GifErrorString(error_code);
  fail(ErrorCode::kCorruptData, "GIF does not decode: {}", reason != nullptr ? reason : "cut short");
}

/// Reads over one extension. @return the transparent index, where it is a graphics control block that has one.
std::optional<std::uint8_t> read_extension(GifFileType* file) {
  std::optional<std::uint8_t> transparent;
  int code = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(file, &code, &block) == GIF_ERROR) fail_corrupt(file->Error);
  while (block != nullptr) {
    GraphicsControlBlock control{};
    if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK &&
        control.TransparentColor != NO_TRANSPARENT_COLOR) {
      transparent = static_cast<std::uint8_t>(control.TransparentColor);
    }
    if (DGifGetExtensionNext(file, &block) == GIF_ERROR) fail_corrupt(file->Error);
  }
  return transparent;
}

/// Stops at the first image's descriptor. @return the index that fills what the image leaves free.
std::uint8_t seek_first_image(GifFileType* file) {
  std::uint8_t fill = 0;
  for (;;) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(file, &record) == GIF_ERROR) fail_corrupt(file->Error);
    if (record == IMAGE_DESC_RECORD_TYPE) break;
    if (record == TERMINATE_RECORD_TYPE) fail(ErrorCode::kCorruptData, "GIF: expected an image, found none");
    if (record == EXTENSION_RECORD_TYPE) fill = read_extension(file).value_or(fill);
  }
  if (DGifGetImageDesc(file) == GIF_ERROR) fail_corrupt(file->Error);
  return fill;
}

/// The colours of the frame's own palette or the file's; as in Pillow an index beyond it is the grey of its own number.
std::array<std::array<std::uint8_t, 3>, 256> colours(const GifFileType* file) {
  std::array<std::array<std::uint8_t, 3>, 256> result;
  for (std::size_t i = 0; i < result.size(); ++i) result[i].fill(static_cast<std::uint8_t>(i));
  const ColorMapObject* map = file->Image.ColorMap != nullptr ? file->Image.ColorMap : file->SColorMap;
  for (std::size_t i = 0; map != nullptr && i < static_cast<std::size_t>(map->ColorCount); ++i) {
    result[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
  }
  return result;
}

/// The rows of an interlaced image in the order of the file.
std::vector<int> row_order(int height, bool interlaced) {
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(height));
  constexpr std::array<std::array<int, 2>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  if (interlaced) {
    for (const auto& [start, step] : kPasses) {
      for (int y = start; y < height; y += step) order.push_back(y);
    }
  } else {
    for (int y = 0; y < height; ++y) order.push_back(y);
  }
  return order;
}

}  // namespace

Image decode_gif(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  MemorySource source{bytes};
  int error_code = 0;
  const File file(DGifOpen(&source, read_memory, &error_code));
  if (file == nullptr) fail_corrupt(error_code);
  const std::uint8_t fill = seek_first_image(file.get());

  const GifImageDesc& frame = file->Image;
  if (frame.Width <= 0 || frame.Height <= 0 || frame.Left < 0 || frame.Top < 0) {
    fail(ErrorCode::kCorruptData, "GIF: its first image has {} x {} pixels", frame.Width, frame.Height);
  }
  const auto frame_width = static_cast<std::uint64_t>(frame.Width);
  const auto frame_height = static_cast<std::uint64_t>(frame.Height);
  const auto left = static_cast<std::uint64_t>(frame.Left);
  const auto top = static_cast<std::uint64_t>(frame.Top);
  // Pillow lets a frame that sticks out enlarge the canvas.
  const std::uint64_t width =
      std::max<std::uint64_t>(static_cast<std::uint64_t>(std::max(file->SWidth, 0)), left + frame_width);
  const std::uint64_t height =
      std::max<std::uint64_t>(static_cast<std::uint64_t>(std::max(file->SHeight, 0)), top + frame_height);
  check_image_size("GIF", width, height, limits);
  if (frame_width * frame_height / kMaxPixelsPerByte > bytes.size()) {
    fail(ErrorCode::kCorruptData, "GIF: its first image says {} x {} pixels, which {} bytes cannot hold", frame_width,
         frame_height, bytes.size());
  }

  const auto palette = colours(file.get());
  Image image = blank_image(width, height);
  if (frame_width != width || frame_height != height) {
    auto* pixel = image.pixels.data();
    for (std::uint64_t i = 0; i < width * height; ++i) pixel = std::ranges::copy(palette[fill], pixel).out;
  }
  std::vector<GifPixelType> row(frame_width);
  for (const int y : row_order(frame.Height, frame.Interlace)) {
    if (DGifGetLine(file.get(), row.data(), frame.Width) == GIF_ERROR) fail_corrupt(file->Error);
    std::uint8_t* pixel = image.pixels.data() + ((top + static_cast<std::uint64_t>(y)) * width + left) * 3;
    for (const GifPixelType index : row) pixel = std::ranges::copy(palette[index], pixel).out;
  }
  return image;
}

}  // namespace imagerank::images
