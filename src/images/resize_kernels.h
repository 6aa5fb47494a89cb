#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace imagerank::images {

/// Bits behind the point of a weight: what Pillow leaves beside 8 bits of pixel and 2 for sums beyond 1.
inline constexpr int kWeightBits = 32 - 8 - 2;
/// Rows that the pass along rows does side by side; also the columns that padded rows are a multiple of, times 4.
inline constexpr std::size_t kBlockRows = 16;
inline constexpr std::size_t kColumnStep = 64;

/// The weights of four neighbouring samples, which is what one step of a sum takes; their samples are four bytes side
/// by side, a "quad".
using WeightQuad = std::array<std::int32_t, 4>;

/// For each output position of one axis: the quads of input positions that it reads, and their weights.
struct AxisWeights {
  struct Run {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  std::size_t begin = 0;           ///< the first input position that any output reads; quads count from it
  std::size_t length = 0;          ///< input positions from there to the last one read
  std::vector<Run> runs;           ///< [positions], in quads
  std::vector<WeightQuad> values;  ///< [positions, stride]; 0 where a quad reaches beyond what the output reads
  std::size_t stride = 0;

  [[nodiscard]] std::size_t quads() const { return (length + 3) / 4; }
  [[nodiscard]] std::span<const WeightQuad> of(std::size_t position) const {
    return {values.data() + position * stride, runs[position].count};
  }
};

/// One way to compute the two passes of a resize. All ways give the same bytes: products and sums are exact, in 32-bit
/// integers that wrap, and what they sum up to fits.
struct ResizeKernels {
  const char* name;
  /// Weights as numbers of kWeightBits, |w| below 2, into the form that this way's sums read. In place.
  void (*encode)(std::span<WeightQuad> weights);
  /// @param rows  each `pixels` RGB pixels. @param out  [ceil(pixels / 4), 3, kBlockRows, 4].
  void (*pack)(const std::array<const std::uint8_t*, kBlockRows>& rows, std::size_t pixels, std::uint8_t* out);
  /// Along kBlockRows rows. @param in  as `pack` leaves it.
  /// @param out  four rows of quads `stride` bytes apart, each [positions * 3, 4]: four image rows interleaved.
  void (*across)(const std::uint8_t* in, const AxisWeights& weights, std::uint8_t* out, std::size_t stride);
  /// One output row. @param in  rows of quads as `across` leaves them. @param columns  a multiple of kColumnStep.
  void (*down)(const std::uint8_t* in, std::size_t stride, std::span<const WeightQuad> weights, std::size_t columns,
               std::uint8_t* out);
};

/// The ways that this machine can run, the fastest first, plain C++ last.
[[nodiscard]] std::span<const ResizeKernels> resize_kernels();

}  // namespace imagerank::images
