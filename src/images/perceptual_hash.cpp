#include "images/perceptual_hash.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>

#include "core/fail.h"

namespace imagerank::images {
namespace {

constexpr std::size_t kSide = 32;
constexpr std::size_t kFrequencies = 8;
/// A frequency counts as a feature from this far off the median: what compression does to a flat picture is less.
constexpr double kFeature = 2.0;
/// Fewer features than these are no picture to tell from another.
constexpr std::ptrdiff_t kLeastFeatures = 16;

using Grid = std::array<double, kSide * kSide>;

/// The part of one axis that each of 32 cells covers. In units of 1/32 pixel a pixel is 32 long and a cell `length`, so
/// that all weights are integers.
struct Cell {
  std::size_t first = 0;  ///< pixels first..last
  std::size_t last = 0;
  std::uint64_t first_weight = 0;  ///< of 32, as are those between
  std::uint64_t last_weight = 0;   ///< 0 if first is last
};

std::array<Cell, kSide> cells_of(std::size_t length) {
  std::array<Cell, kSide> cells;
  for (std::size_t i = 0; i < kSide; ++i) {
    const std::size_t begin = i * length;
    const std::size_t end = begin + length;
    Cell& cell = cells[i];
    cell.first = begin / kSide;
    cell.last = (end - 1) / kSide;
    cell.first_weight = std::min(end, (cell.first + 1) * kSide) - begin;
    cell.last_weight = cell.last == cell.first ? 0 : end - cell.last * kSide;
  }
  return cells;
}

std::uint64_t grey(std::uint64_t red, std::uint64_t green, std::uint64_t blue) {
  return 299 * red + 587 * green + 114 * blue;
}

std::uint64_t grey(const std::uint8_t* pixel) { return grey(pixel[0], pixel[1], pixel[2]); }

/// One row of pixels over the cells: 1000 times grey times 32.
void sum_row(const std::uint8_t* row, const std::array<Cell, kSide>& cells, std::array<std::uint64_t, kSide>& sums) {
  for (std::size_t i = 0; i < kSide; ++i) {
    const Cell& cell = cells[i];
    std::uint64_t red = 0, green = 0, blue = 0;
    const std::uint8_t* const end = row + 3 * cell.last;
    for (const std::uint8_t* pixel = row + 3 * (cell.first + 1); pixel < end; pixel += 3) {
      red += pixel[0];
      green += pixel[1];
      blue += pixel[2];
    }
    sums[i] = kSide * grey(red, green, blue) + cell.first_weight * grey(row + 3 * cell.first) +
              cell.last_weight * grey(row + 3 * cell.last);
  }
}

/// Exact up to the last division: 255,000 * 2^26 pixels fit in 64 bits.
Grid average(const Image& image) {
  const auto width = static_cast<std::size_t>(image.width);
  const auto height = static_cast<std::size_t>(image.height);
  const auto columns = cells_of(width);
  const auto rows = cells_of(height);
  const double scale = 1.0 / (1000.0 * static_cast<double>(width) * static_cast<double>(height));
  Grid grid;
  std::array<std::uint64_t, kSide> row{};
  std::size_t held = height;  ///< the pixel row that `row` holds; neighbouring cells share one
  for (std::size_t y = 0; y < kSide; ++y) {
    std::array<std::uint64_t, kSide> cell{};
    const Cell& rows_of_cell = rows[y];
    for (std::size_t pixel_row = rows_of_cell.first; pixel_row <= rows_of_cell.last; ++pixel_row) {
      if (pixel_row != held) sum_row(image.pixels.data() + 3 * width * pixel_row, columns, row);
      held = pixel_row;
      const std::uint64_t weight = pixel_row == rows_of_cell.first  ? rows_of_cell.first_weight
                                   : pixel_row == rows_of_cell.last ? rows_of_cell.last_weight
                                                                    : kSide;
      for (std::size_t x = 0; x < kSide; ++x) cell[x] += weight * row[x];
    }
    for (std::size_t x = 0; x < kSide; ++x) grid[y * kSide + x] = scale * static_cast<double>(cell[x]);
  }
  return grid;
}

/// The rows of the orthonormal DCT-II of 32 numbers for frequencies 1 to 8: [8, 32].
const std::array<double, kFrequencies * kSide>& cosines() {
  static const auto kTable = [] {
    std::array<double, kFrequencies * kSide> table;
    for (std::size_t k = 0; k < kFrequencies; ++k) {
      for (std::size_t x = 0; x < kSide; ++x) {
        const double angle = std::numbers::pi * static_cast<double>((2 * x + 1) * (k + 1)) / (2.0 * kSide);
        table[k * kSide + x] = std::sqrt(2.0 / kSide) * std::cos(angle);
      }
    }
    return table;
  }();
  return kTable;
}

double median_of(std::array<double, 64> values) {
  std::ranges::sort(values);
  return (values[31] + values[32]) / 2.0;
}

}  // namespace

std::array<double, 64> low_frequencies(const Image& image) {
  const std::size_t expected = image.width <= 0 || image.height <= 0
                                   ? 0
                                   : static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
  if (expected == 0 || image.pixels.size() != expected) {
    fail(ErrorCode::kInvalidArgument, "perceptual hash: expected {} bytes of pixels for {} x {}, found {}", expected,
         image.width, image.height, image.pixels.size());
  }
  const Grid grid = average(image);
  const auto& table = cosines();
  std::array<double, kSide * kFrequencies> across{};  // [32, 8]: each row's frequencies
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t k = 0; k < kFrequencies; ++k) {
      for (std::size_t x = 0; x < kSide; ++x)
        across[y * kFrequencies + k] += table[k * kSide + x] * grid[y * kSide + x];
    }
  }
  std::array<double, 64> result{};
  for (std::size_t k = 0; k < kFrequencies; ++k) {
    for (std::size_t y = 0; y < kSide; ++y) {
      for (std::size_t x = 0; x < kFrequencies; ++x)
        result[k * kFrequencies + x] += table[k * kSide + y] * across[y * kFrequencies + x];
    }
  }
  return result;
}

std::optional<std::uint64_t> perceptual_hash(const Image& image) {
  const std::array<double, 64> values = low_frequencies(image);
  const double median = median_of(values);
  const auto features =
      std::ranges::count_if(values, [&](double value) { return std::abs(value - median) >= kFeature; });
  if (features < kLeastFeatures) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] > median) bits |= std::uint64_t{1} << i;
  }
  return bits;
}

}  // namespace imagerank::images
