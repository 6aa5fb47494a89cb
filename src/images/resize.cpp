#include "images/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "core/fail.h"
#include "images/preprocess.h"
#include "images/resize_kernels.h"

namespace imagerank::images {
namespace {

constexpr double kSupport = 2.0;

double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

/// Positions [begin, begin + length) of an axis resized from `in` to `out`. The order of the floating-point operations
/// is Pillow's, since a weight that rounds otherwise is a pixel that differs.
AxisWeights make_weights(std::int32_t in, std::int32_t out, std::int32_t begin, std::int32_t length) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kSupport * filter_scale;
  const double inverse = 1.0 / filter_scale;
  // Pillow's own rounding, down after adding a half.
  // NOLINTBEGIN(bugprone-incorrect-roundings)
  const auto first_of = [&](double center) { return std::max(static_cast<std::int32_t>(center - support + 0.5), 0); };
  const auto last_of = [&](double center) { return std::min(static_cast<std::int32_t>(center + support + 0.5), in); };
  // NOLINTEND(bugprone-incorrect-roundings)
  const auto center_of = [&](std::int32_t position) { return (begin + position + 0.5) * scale; };

  const std::int32_t origin = first_of(center_of(0));
  const std::size_t most_taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  AxisWeights weights;
  weights.begin = static_cast<std::size_t>(origin);
  weights.length = static_cast<std::size_t>(last_of(center_of(length - 1)) - origin);
  weights.stride = (most_taps + 6) / 4;  // the first quad may begin up to three samples early
  weights.values.resize(weights.stride * static_cast<std::size_t>(length));
  std::vector<double> raw(most_taps);
  for (std::int32_t i = 0; i < length; ++i) {
    const double center = center_of(i);
    const std::int32_t first = first_of(center);
    const std::int32_t count = last_of(center) - first;
    double sum = 0.0;
    for (std::int32_t x = 0; x < count; ++x) {
      const double weight = bicubic((x + first - center + 0.5) * inverse);
      raw[static_cast<std::size_t>(x)] = weight;
      sum += weight;
    }
    const auto early = static_cast<std::size_t>(first - origin) % 4;
    WeightQuad* quads = weights.values.data() + static_cast<std::size_t>(i) * weights.stride;
    for (std::size_t x = 0; x < static_cast<std::size_t>(count); ++x) {
      const double weight = sum != 0.0 ? raw[x] / sum : raw[x];
      const double fixed = weight * (1 << kWeightBits);
      quads[(early + x) / 4][(early + x) % 4] = static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    weights.runs.push_back(
        {static_cast<std::size_t>(first - origin) / 4, (early + static_cast<std::size_t>(count) + 3) / 4});
  }
  return weights;
}

/// The image's rows after the pass along them, as quads of rows: only as many as the pass down needs at a time, so that
/// they stay in the cache.
class RowBuffer {
 public:
  RowBuffer(const Image& image, const AxisWeights& across, const AxisWeights& down, const ResizeKernels& kernels)
      : image_(image),
        across_(across),
        down_(down),
        kernels_(kernels),
        columns_((across.runs.size() * 3 + kColumnStep - 1) / kColumnStep * kColumnStep),
        packed_(across.quads() * 3 * kBlockRows * 4),
        capacity_(2 * (down.stride + kBlockQuads)),
        buffer_(capacity_ * stride()) {}

  /// Padded to a multiple of kColumnStep.
  [[nodiscard]] std::size_t columns() const { return columns_; }
  /// Bytes from one quad of rows to the next.
  [[nodiscard]] std::size_t stride() const { return columns_ * 4; }
  /// The quads of `run`, which begins no earlier than the one before it. Valid until the next call.
  const std::uint8_t* quads(const AxisWeights::Run& run) {
    while (end_ < run.first + run.count) {
      if (end_ + kBlockQuads > begin_ + capacity_) {
        std::copy(at(run.first), at(end_), buffer_.begin());
        begin_ = run.first;
      }
      add_block();
    }
    return &*at(run.first);
  }

 private:
  static constexpr std::size_t kBlockQuads = kBlockRows / 4;

  [[nodiscard]] std::vector<std::uint8_t>::iterator at(std::size_t quad) {
    return buffer_.begin() + static_cast<std::ptrdiff_t>((quad - begin_) * stride());
  }
  void add_block() {
    std::array<const std::uint8_t*, kBlockRows> rows;
    for (std::size_t k = 0; k < kBlockRows; ++k) {
      // Rows beyond the last have no weight; any will do.
      const std::size_t y = down_.begin + std::min(end_ * 4 + k, down_.length - 1);
      rows[k] = image_.pixels.data() + (y * static_cast<std::size_t>(image_.width) + across_.begin) * 3;
    }
    kernels_.pack(rows, across_.length, packed_.data());
    kernels_.across(packed_.data(), across_, &*at(end_), stride());
    end_ += kBlockQuads;
  }

  const Image& image_;
  const AxisWeights& across_;
  const AxisWeights& down_;
  const ResizeKernels& kernels_;
  std::size_t columns_;
  std::vector<std::uint8_t> packed_;
  std::size_t capacity_;  ///< in quads of rows
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  ///< the first quad of rows in the buffer
  std::size_t end_ = 0;    ///< the first one that is not there yet
};

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
  return resize_bicubic_window(image, out_width, out_height, window, resize_kernels().front());
}

// An axis that keeps its size has weights of exactly 1 and 0, and its pass changes nothing.
Image resize_bicubic_window(const Image& image, std::int32_t out_width, std::int32_t out_height, const Window& window,
                            const ResizeKernels& kernels) {
  check_arguments(image, out_width, out_height, window);
  AxisWeights across = make_weights(image.width, out_width, window.left, window.width);
  AxisWeights down = make_weights(image.height, out_height, window.top, window.height);
  kernels.encode(across.values);
  kernels.encode(down.values);

  const auto row_bytes = static_cast<std::size_t>(window.width) * 3;
  Image result{window.width, window.height, {}};
  result.pixels.resize(row_bytes * static_cast<std::size_t>(window.height));
  RowBuffer rows(image, across, down, kernels);
  std::vector<std::uint8_t> row(rows.columns());
  for (std::size_t y = 0; y < down.runs.size(); ++y) {
    kernels.down(rows.quads(down.runs[y]), rows.stride(), down.of(y), rows.columns(), row.data());
    std::copy_n(row.data(), row_bytes, result.pixels.data() + y * row_bytes);
  }
  return result;
}

}  // namespace imagerank::images
