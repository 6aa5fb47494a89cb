#pragma once

#include <cstddef>
#include <cstdint>

namespace imagerank::reward {

// One row of the CNN head's convolutions, in vectors of 8 (AVX2) or 16 (AVX-512). All arrays are float32 and belong to
// the caller.
constexpr std::size_t kPlaneRows = 32;   ///< of the input
constexpr std::size_t kPooledRows = 16;  ///< behind the pool
constexpr std::size_t kChannels1 = 32;
constexpr std::size_t kChannels2 = 5;

/// Sizes that follow from the input's columns (even) and a vector's lanes.
struct PlaneShape {
  PlaneShape(std::size_t input_columns, std::size_t vector_lanes)
      : columns(input_columns),
        pooled(input_columns / 2),
        lanes(vector_lanes),
        blocks((pooled + lanes - 1) / lanes),
        stride(blocks * lanes + lanes) {}
  std::size_t columns;  ///< W
  std::size_t pooled;   ///< W / 2
  std::size_t lanes;
  std::size_t blocks;  ///< vectors that cover a pooled row
  std::size_t stride;  ///< of a padded pooled row: a zero, `pooled` numbers, zeros

  [[nodiscard]] std::size_t halves_size() const noexcept { return 2 * (kPlaneRows + 2) * stride; }
  [[nodiscard]] std::size_t pooled_size() const noexcept { return kChannels1 * (kPooledRows + 2) * stride; }
  [[nodiscard]] std::size_t places_size() const noexcept { return kChannels1 * kPooledRows * blocks * lanes; }
  [[nodiscard]] std::size_t output_size() const noexcept { return kChannels2 * kPooledRows * pooled; }
  [[nodiscard]] std::size_t slopes_size() const noexcept { return kChannels2 * (kPooledRows + 2) * stride; }
};

/// Weights as the kernels read them.
struct PlaneWeights {
  const float* weight1;  ///< [32][9]
  const float* bias1;    ///< [32]
  const float* weight2;  ///< [32][9][5]: channel, tap, output
  const float* bias2;    ///< [5]
};

/// Sums over rows, one a lane; whoever wants the gradient adds the lanes.
struct PlaneGradients {
  float* weight1;  ///< [32][9][lanes]
  float* bias1;    ///< [32][lanes]
  float* weight2;  ///< [32][9][5][lanes]
  float* bias2;    ///< [5][lanes]
};

struct PlaneKernels {
  std::size_t lanes = 0;  ///< of PlaneShape

  /// @param input   [32][W].
  /// @param halves  scratch, halves_size(). @param pooled  [32][18][stride], written whole: behind pool and ReLU, zeros
  /// around. @param places  places_size(): which of its four each pooled number is. @param output  [5][16][W/2].
  void (*forward)(const PlaneShape& shape, const PlaneWeights& weights, const float* input, float* halves,
                  float* pooled, std::uint8_t* places, float* output) = nullptr;
  /// @param output_gradient  [5][16][W/2], by `output`. @param slopes  scratch, slopes_size(). @param by_pooled
  /// scratch, places_size(). Adds to `gradients`.
  void (*backward)(const PlaneShape& shape, const PlaneWeights& weights, const float* input, const float* pooled,
                   const std::uint8_t* places, const float* output, const float* output_gradient, float* halves,
                   float* slopes, float* by_pooled, const PlaneGradients& gradients) = nullptr;
};

// Each may be called only where the CPU has its instructions.
[[nodiscard]] PlaneKernels avx2_plane_kernels() noexcept;    ///< and FMA
[[nodiscard]] PlaneKernels avx512_plane_kernels() noexcept;  ///< F, BW, DQ, VL

}  // namespace imagerank::reward
