#pragma once

#include <cstddef>
#include <vector>

#include "kernels/buffer.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

namespace imagerank::clip {

/// The first layer of a vision transformer on the CPU: a convolution whose stride is its kernel, as one product over
/// the patches. Shared by threads, each with its own buffers.
class CpuPatches {
 public:
  CpuPatches() = default;
  /// @param weights  float32 [width, 3, patch_size, patch_size].
  CpuPatches(const kernels::Kernels& kernels, const std::vector<float>& weights, std::size_t width,
             std::size_t image_size, std::size_t patch_size, kernels::Format format);

  struct Buffers {
    kernels::ProductRows rows;  ///< [patches, part of a patch]
    std::vector<float> patch;   ///< [part of a patch, padded]; zeros stay behind it
  };
  /// @param images  of a pass, at most.
  [[nodiscard]] Buffers make_buffers(std::size_t images) const;
  [[nodiscard]] std::size_t patches() const noexcept { return side_ * side_; }

  /// Adds each patch's product to its token's row: of image i, row i * (1 + patches()) + 1 and those that follow.
  /// @param pixels  float32 [count, 3, image_size, image_size].
  void add(const kernels::Kernels& kernels, Buffers& buffers, const float* pixels, std::size_t count,
           const kernels::FloatRows& hidden) const;

 private:
  kernels::PackedMatrix weights_;  ///< [width, 3 * patch_size * patch_size]
  std::size_t image_size_ = 0, patch_size_ = 0, side_ = 0;
};

}  // namespace imagerank::clip
