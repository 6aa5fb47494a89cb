#include "images/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/fail.h"
#include "images/preprocess.h"

// The inner loops are compiled twice, and the machine picks: a build must run on any x86-64, and 32-bit products want
// more than its first vector instructions. The arithmetic is exact, so both give the same pixels.
#if defined(__x86_64__) && defined(__GNUC__)
#define IMAGERANK_HAS_AVX2_CLONE 1
#define IMAGERANK_INLINE inline __attribute__((always_inline))
#else
#define IMAGERANK_HAS_AVX2_CLONE 0
#define IMAGERANK_INLINE inline
#endif

namespace imagerank::images {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  ///< 8 bits of pixel, 2 for sums beyond 1: Pillow's fixed point
constexpr double kSupport = 2.0;
constexpr std::size_t kLanes = 8;  ///< image rows that the horizontal pass does side by side
constexpr std::size_t kBlock =
    1024;  ///< bytes of a row that the vertical pass sums at once, to stay in the first cache

double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

/// For each output position of one axis: the first input position that it reads, and the weights from there on.
struct Weights {
  std::vector<std::int32_t> first;
  std::vector<std::int32_t> count;
  std::vector<std::int32_t> values;  ///< [positions, width], fixed point
  std::size_t width = 0;

  [[nodiscard]] std::span<const std::int32_t> of(std::size_t position) const {
    return {values.data() + position * width, static_cast<std::size_t>(count[position])};
  }
};

/// Positions [begin, begin + length) of an axis resized from `in` to `out`. The order of the floating-point operations
/// is Pillow's, since a weight that rounds otherwise is a pixel that differs.
Weights make_weights(std::int32_t in, std::int32_t out, std::int32_t begin, std::int32_t length) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kSupport * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Weights weights;
  weights.width = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  weights.values.resize(weights.width * static_cast<std::size_t>(length));
  std::vector<double> raw(weights.width);
  for (std::int32_t i = 0; i < length; ++i) {
    const double center = (begin + i + 0.5) * scale;
    // Pillow's own rounding, down after adding a half.
    // NOLINTBEGIN(bugprone-incorrect-roundings)
    const std::int32_t first = std::max(static_cast<std::int32_t>(center - support + 0.5), 0);
    const std::int32_t last = std::min(static_cast<std::int32_t>(center + support + 0.5), in);
    // NOLINTEND(bugprone-incorrect-roundings)
    const std::int32_t count = last - first;
    double sum = 0.0;
    for (std::int32_t x = 0; x < count; ++x) {
      const double weight = bicubic((x + first - center + 0.5) * inverse);
      raw[static_cast<std::size_t>(x)] = weight;
      sum += weight;
    }
    for (std::int32_t x = 0; x < count; ++x) {
      double weight = raw[static_cast<std::size_t>(x)];
      if (sum != 0.0) weight /= sum;
      const double fixed = weight * (1 << kPrecisionBits);
      weights.values[static_cast<std::size_t>(i) * weights.width + static_cast<std::size_t>(x)] =
          static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    weights.first.push_back(first);
    weights.count.push_back(count);
  }
  return weights;
}

IMAGERANK_INLINE std::uint8_t clip_to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

/// kLanes rows, interleaved as [width * 3, kLanes], to [length * 3, kLanes].
IMAGERANK_INLINE void horizontal_body(const std::uint8_t* __restrict in, const Weights& weights,
                                      std::uint8_t* __restrict out) {
  for (std::size_t i = 0; i < weights.first.size(); ++i) {
    std::array<std::int32_t, 3 * kLanes> sums;
    sums.fill(1 << (kPrecisionBits - 1));
    const std::uint8_t* taps = in + static_cast<std::size_t>(weights.first[i]) * sums.size();
    for (const std::int32_t weight : weights.of(i)) {
      for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += taps[lane] * weight;
      taps += sums.size();
    }
    for (std::size_t lane = 0; lane < sums.size(); ++lane) out[lane] = clip_to_byte(sums[lane]);
    out += sums.size();
  }
}

/// One output row of `bytes` from rows `stride` apart.
IMAGERANK_INLINE void vertical_body(const std::uint8_t* __restrict in, std::size_t stride, std::size_t bytes,
                                    std::span<const std::int32_t> weights, std::uint8_t* __restrict out) {
  std::array<std::int32_t, kBlock> sums;
  for (std::size_t begin = 0; begin < bytes; begin += kBlock) {
    const std::size_t count = std::min(kBlock, bytes - begin);
    sums.fill(1 << (kPrecisionBits - 1));
    const std::uint8_t* row = in + begin;
    for (const std::int32_t weight : weights) {
      for (std::size_t x = 0; x < count; ++x) sums[x] += row[x] * weight;
      row += stride;
    }
    for (std::size_t x = 0; x < count; ++x) out[begin + x] = clip_to_byte(sums[x]);
  }
}

#if IMAGERANK_HAS_AVX2_CLONE
__attribute__((target("avx2"))) void horizontal_avx2(const std::uint8_t* in, const Weights& weights,
                                                     std::uint8_t* out) {
  horizontal_body(in, weights, out);
}
__attribute__((target("avx2"))) void vertical_avx2(const std::uint8_t* in, std::size_t stride, std::size_t bytes,
                                                   std::span<const std::int32_t> weights, std::uint8_t* out) {
  vertical_body(in, stride, bytes, weights, out);
}
bool has_avx2() {
  // NOLINTNEXTLINE(readability-implicit-bool-conversion): GCC gives an int, clang a bool
  static const bool kResult = __builtin_cpu_supports("avx2") != 0;
  return kResult;
}
#endif

void horizontal(const std::uint8_t* in, const Weights& weights, std::uint8_t* out) {
#if IMAGERANK_HAS_AVX2_CLONE
  if (has_avx2()) return horizontal_avx2(in, weights, out);
#endif
  horizontal_body(in, weights, out);
}

void vertical(const std::uint8_t* in, std::size_t stride, std::size_t bytes, std::span<const std::int32_t> weights,
              std::uint8_t* out) {
#if IMAGERANK_HAS_AVX2_CLONE
  if (has_avx2()) return vertical_avx2(in, stride, bytes, weights, out);
#endif
  vertical_body(in, stride, bytes, weights, out);
}

/// Rows [top, top + rows) of `image`, each resized. @return [rows, weights.first.size(), 3].
std::vector<std::uint8_t> resize_rows(const Image& image, const Weights& weights, std::size_t top, std::size_t rows) {
  const std::size_t in_bytes = static_cast<std::size_t>(image.width) * 3;
  const std::size_t out_bytes = weights.first.size() * 3;
  std::vector<std::uint8_t> result(rows * out_bytes);
  std::vector<std::uint8_t> in(in_bytes * kLanes);
  std::vector<std::uint8_t> out(out_bytes * kLanes);
  for (std::size_t begin = 0; begin < rows; begin += kLanes) {
    // The last group repeats its last row rather than treat fewer lanes.
    std::array<const std::uint8_t*, kLanes> sources;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sources[lane] = image.pixels.data() + (top + std::min(begin + lane, rows - 1)) * in_bytes;
    }
    for (std::size_t x = 0; x < in_bytes; ++x) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) in[x * kLanes + lane] = sources[lane][x];
    }
    horizontal(in.data(), weights, out.data());
    for (std::size_t lane = 0; lane < std::min(kLanes, rows - begin); ++lane) {
      std::uint8_t* target = result.data() + (begin + lane) * out_bytes;
      for (std::size_t x = 0; x < out_bytes; ++x) target[x] = out[x * kLanes + lane];
    }
  }
  return result;
}

void check_arguments(const Image& image, std::int32_t out_width, std::int32_t out_height, const Window& window) {
  if (image.width <= 0 || image.height <= 0 || out_width <= 0 || out_height <= 0) {
    fail(ErrorCode::kInvalidArgument, "resize: expected positive sizes, found {} x {} to {} x {}", image.width,
         image.height, out_width, out_height);
  }
  const std::size_t expected = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
  if (image.pixels.size() != expected) {
    fail(ErrorCode::kInvalidArgument, "resize: expected {} bytes of pixels for {} x {}, found {}", expected,
         image.width, image.height, image.pixels.size());
  }
  if (window.left < 0 || window.top < 0 || window.width <= 0 || window.height <= 0 ||
      window.left > out_width - window.width || window.top > out_height - window.height) {
    fail(ErrorCode::kInvalidArgument, "resize: expected a window inside {} x {}, found {} x {} at {}, {}", out_width,
         out_height, window.width, window.height, window.left, window.top);
  }
}

}  // namespace

Image resize_bicubic(const Image& image, std::int32_t out_width, std::int32_t out_height) {
  return resize_bicubic_window(image, out_width, out_height, {0, 0, out_width, out_height});
}

Image resize_bicubic_window(const Image& image, std::int32_t out_width, std::int32_t out_height, const Window& window) {
  check_arguments(image, out_width, out_height, window);
  const Weights down = make_weights(image.height, out_height, window.top, window.height);
  const auto top = static_cast<std::size_t>(down.first.front());
  const std::size_t rows = static_cast<std::size_t>(down.first.back() + down.count.back()) - top;
  const auto row_bytes = static_cast<std::size_t>(window.width) * 3;

  // An axis that keeps its size has weights of exactly 1 and 0, so that running it would change nothing.
  std::vector<std::uint8_t> between;
  if (out_width == image.width) {
    between.reserve(rows * row_bytes);
    for (std::size_t y = top; y < top + rows; ++y) {
      const auto* row =
          image.pixels.data() + (y * static_cast<std::size_t>(image.width) + static_cast<std::size_t>(window.left)) * 3;
      between.insert(between.end(), row, row + row_bytes);
    }
  } else {
    between = resize_rows(image, make_weights(image.width, out_width, window.left, window.width), top, rows);
  }

  Image result;
  result.width = window.width;
  result.height = window.height;
  result.pixels.resize(row_bytes * static_cast<std::size_t>(window.height));
  for (std::size_t y = 0; y < static_cast<std::size_t>(window.height); ++y) {
    const std::uint8_t* from = between.data() + (static_cast<std::size_t>(down.first[y]) - top) * row_bytes;
    vertical(from, row_bytes, row_bytes, down.of(y), result.pixels.data() + y * row_bytes);
  }
  return result;
}

}  // namespace imagerank::images
