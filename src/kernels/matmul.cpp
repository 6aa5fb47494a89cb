#include "kernels/matmul.h"

#include <array>
#include <cstring>

namespace imagerank::kernels {
namespace {

/// x [n] in the format, then zeros up to `padded` numbers.
void pack_numbers(const Kernels& kernels, Format format, const float* x, std::size_t n, std::size_t padded,
                  std::byte* out) {
  if (format == Format::kFp32) {
    std::memcpy(out, x, n * sizeof(float));
    std::memset(out + n * sizeof(float), 0, (padded - n) * sizeof(float));
    return;
  }
  constexpr std::size_t kLanes = 16;
  auto* const halves = reinterpret_cast<std::uint16_t*>(out);
  const std::size_t whole = n / kLanes * kLanes;
  kernels.rows.to_bf16(x, whole, halves);
  for (std::size_t i = whole; i < n; ++i) halves[i] = bfloat16_from_float(x[i]);
  std::fill(halves + n, halves + padded, std::uint16_t{0});
}

}  // namespace

void pack_panel(const Kernels& kernels, Format format, const MatrixView& b, std::size_t column, std::byte* panel) {
  const std::size_t columns = std::min(kPanelColumns, b.columns - column);
  const std::size_t padded = padded_depth(b.rows, format);
  const auto row = [&](std::size_t k, std::byte* out) {
    if (k < b.rows) {
      pack_numbers(kernels, format, b.data + k * b.stride + column, columns, kPanelColumns, out);
    } else {
      std::memset(out, 0, kPanelColumns * bytes_of(format));
    }
  };
  constexpr std::size_t kStepOfColumns = kPanelColumns * kStepBytes;
  if (format == Format::kFp32) {
    for (std::size_t k = 0; k < padded; ++k) row(k, panel + k * kStepOfColumns);
    return;
  }
  alignas(64) std::array<std::byte, kStepOfColumns> two;
  for (std::size_t k = 0; k < padded; k += 2) {
    row(k, two.data());
    row(k + 1, two.data() + kStepOfColumns / 2);
    kernels.rows.interleave(two.data(), two.data() + kStepOfColumns / 2, panel + k / 2 * kStepOfColumns);
  }
}

void pack_panel_of_transposed(const Kernels& kernels, Format format, const MatrixView& transposed, std::size_t column,
                              std::byte* panel, std::byte* scratch) {
  const std::size_t columns = std::min(kPanelColumns, transposed.rows - column);
  const std::size_t padded = padded_depth(transposed.columns, format);
  const std::size_t bytes = padded * bytes_of(format);
  const float* const first = transposed.data + column * transposed.stride;
  if (format == Format::kFp32 && columns == kPanelColumns && padded == transposed.columns) {
    kernels.rows.transpose(reinterpret_cast<const std::byte*>(first), transposed.stride * sizeof(float),
                           bytes / kStepBytes, panel);
    return;
  }
  for (std::size_t c = 0; c < columns; ++c) {
    pack_numbers(kernels, format, first + c * transposed.stride, transposed.columns, padded, scratch + c * bytes);
  }
  std::memset(scratch + columns * bytes, 0, (kPanelColumns - columns) * bytes);
  kernels.rows.transpose(scratch, bytes, bytes / kStepBytes, panel);
}

RowBlock::RowBlock(const Kernels& kernels, Format format, std::size_t depth) noexcept
    // A stride of whole pages would put all rows of a tile into one set of the cache.
    : stride_(padded_depth(depth, format) * bytes_of(format) + kBlockBytes) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 18, kMostTiles = 8;  // beside the panels in the second cache
  const std::size_t height = kernels.tile(format).height;
  rows_ = height * std::clamp<std::size_t>(kMostBytes / (height * stride_), 1, kMostTiles);
}

void RowBlock::pack(const Kernels& kernels, Format format, const MatrixView& a, std::size_t first, std::size_t count,
                    std::byte* scratch) const {
  const std::size_t padded = padded_depth(a.columns, format);
  for (std::size_t r = 0; r < count; ++r) {
    pack_numbers(kernels, format, a.data + (first + r) * a.stride, a.columns, padded, begin(scratch) + r * stride_);
  }
}

}  // namespace imagerank::kernels
