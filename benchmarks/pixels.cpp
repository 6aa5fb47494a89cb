// What an image costs on its way to the image tower: for each file the decoder, the resize to a shortest edge of 224
// and the whole of preprocess, and for PNG files what libspng takes for the same pixels. One thread; medians. usage:
// pixels FILE...    (benchmarks/pixels.py is the same for Pillow)
#include <fmt/format.h>
#include <malloc.h>
#include <spng.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "images/decode.h"
#include "images/preprocess.h"

namespace {

using namespace imagerank;

constexpr int kEdge = 224;

/// Milliseconds of one call, the median of as many as fit into half a second.
template <typename Call>
double median_ms(Call call) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  for (const auto end = Clock::now() + std::chrono::milliseconds(500); Clock::now() < end || times.size() < 3;) {
    const auto start = Clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

std::vector<std::uint8_t> spng_pixels(std::span<const std::byte> bytes) {
  spng_ctx* context = spng_ctx_new(0);
  spng_set_png_buffer(context, bytes.data(), bytes.size());
  std::size_t size = 0;
  spng_decoded_image_size(context, SPNG_FMT_RGB8, &size);
  std::vector<std::uint8_t> pixels(size);
  const int result = spng_decode_image(context, pixels.data(), size, SPNG_FMT_RGB8, 0);
  spng_ctx_free(context);
  if (result != SPNG_OK) pixels.clear();
  return pixels;
}

void measure(const std::string& path) {
  const std::string file = load_file(path);
  const auto bytes = std::as_bytes(std::span(file));
  const images::Image image = images::decode_image(bytes);
  const int shorter = std::min(image.width, image.height);
  const int width = kEdge * image.width / shorter;
  const int height = kEdge * image.height / shorter;
  std::cout << fmt::format("{}: {} x {}: decode {:.3f} ms, resize {:.3f} ms, preprocess {:.3f} ms",
                           std::filesystem::path(path).filename().string(), image.width, image.height,
                           median_ms([&] { return images::decode_image(bytes); }),
                           median_ms([&] { return images::resize_bicubic(image, width, height); }),
                           median_ms([&] { return images::preprocess(image, {}); }));
  if (images::sniff_format(bytes) == images::ImageFormat::kPng) {
    std::cout << fmt::format(", libspng {:.3f} ms", median_ms([&] { return spng_pixels(bytes); }));
  }
  std::cout << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: pixels FILE...\n";
    return 2;
  }
  // Memory that is freed stays with the process: where page faults are dear, they would be all that is measured.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  for (const std::string path : std::span(argv + 1, static_cast<std::size_t>(argc - 1))) measure(path);
}
