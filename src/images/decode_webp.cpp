#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "core/fail.h"
#include "images/decode_formats.h"

namespace imagerank::images {
namespace {

struct FreeDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

/// The first frame's own file bytes and where it lies on the canvas; a still image is a frame that covers it.
struct FirstFrame {
  WebPIterator iterator{};
  explicit FirstFrame(const WebPDemuxer* demuxer) {
    if (WebPDemuxGetFrame(demuxer, 1, &iterator) == 0 || iterator.complete == 0) {
      fail(ErrorCode::kCorruptData, "WebP does not decode: no whole first frame");
    }
  }
  FirstFrame(const FirstFrame&) = delete;
  FirstFrame& operator=(const FirstFrame&) = delete;
  ~FirstFrame() { WebPDemuxReleaseIterator(&iterator); }
};

}  // namespace

Image decode_webp(std::span<const std::byte> bytes, const DecodeLimits& limits) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, FreeDemuxer> demuxer(WebPDemux(&data));
  if (demuxer == nullptr) fail(ErrorCode::kCorruptData, "WebP does not decode: cut short, or its chunks are damaged");
  const std::uint64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::uint64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  check_image_size("WebP", width, height, limits);
  const FirstFrame frame(demuxer.get());
  const auto x = static_cast<std::uint64_t>(frame.iterator.x_offset);
  const auto y = static_cast<std::uint64_t>(frame.iterator.y_offset);
  const auto frame_width = static_cast<std::uint64_t>(frame.iterator.width);
  const auto frame_height = static_cast<std::uint64_t>(frame.iterator.height);
  int coded_width = 0;
  int coded_height = 0;
  const WebPData& fragment = frame.iterator.fragment;
  if (WebPGetInfo(fragment.bytes, fragment.size, &coded_width, &coded_height) == 0 ||
      coded_width != frame.iterator.width || coded_height != frame.iterator.height || x + frame_width > width ||
      y + frame_height > height) {
    fail(ErrorCode::kCorruptData, "WebP: its first frame does not fit the {} x {} pixels of its header", width, height);
  }
  // What the first frame leaves free stays black, as in Pillow, which ignores the file's background colour.
  Image image = blank_image(width, height);
  const std::uint64_t stride = width * 3;
  const std::uint64_t offset = y * stride + x * 3;
  if (WebPDecodeRGBInto(fragment.bytes, fragment.size, image.pixels.data() + offset, image.pixels.size() - offset,
                        static_cast<int>(stride)) == nullptr) {
    fail(ErrorCode::kCorruptData, "WebP does not decode: its pixels are damaged");
  }
  return image;
}

}  // namespace imagerank::images
