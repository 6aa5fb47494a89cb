#include "clip/cpu_patches.h"

#include <cstring>

namespace imagerank::clip {
namespace {

/// Numbers of a patch that are multiplied at a time: all, or a colour's plane; 0 for all of it.
std::size_t patch_part(std::size_t patch_size) {
  constexpr std::size_t kMost = 1024;
  const std::size_t plane = patch_size * patch_size;
  return 3 * plane <= kMost || plane % kernels::kBlockBytes != 0 ? 0 : plane;
}

}  // namespace

CpuPatches::CpuPatches(const kernels::Kernels& kernels, const std::vector<float>& weights, std::size_t width,
                       std::size_t image_size, std::size_t patch_size, kernels::Format format)
    : weights_(kernels, weights, width, 3 * patch_size * patch_size, format, patch_part(patch_size)),
      image_size_(image_size),
      patch_size_(patch_size),
      side_(image_size / patch_size) {}

CpuPatches::Buffers CpuPatches::make_buffers(std::size_t images) const {
  return {kernels::ProductRows(images * patches(), weights_.part_depth(), weights_.format()),
          std::vector<float>(weights_.part_depth())};
}

void CpuPatches::add(const kernels::Kernels& kernels, Buffers& buffers, const float* pixels, std::size_t count,
                     const kernels::FloatRows& hidden) const {
  const std::size_t per_image = patches(), lines = 3 * patch_size_ / weights_.parts();
  for (std::size_t part = 0; part < weights_.parts(); ++part) {
    for (std::size_t i = 0; i < count * per_image; ++i) {
      const std::size_t image = i / per_image, y = i % per_image / side_, x = i % side_;
      for (std::size_t l = 0; l < lines; ++l) {  // a line of a patch, of one colour
        const std::size_t line = part * lines + l, colour = line / patch_size_;
        const std::size_t row = (image * 3 + colour) * image_size_ + y * patch_size_ + line % patch_size_;
        std::memcpy(buffers.patch.data() + l * patch_size_, pixels + row * image_size_ + x * patch_size_,
                    patch_size_ * sizeof(float));
      }
      buffers.rows.set(kernels, i, buffers.patch.data());
    }
    kernels::multiply(kernels, buffers.rows, count * per_image, weights_, 0, weights_.panels(), part,
                      [&](std::size_t row, std::size_t height, std::size_t column, float* tile) {
                        for (std::size_t r = row; r < row + height; ++r, tile += kernels::kPanelColumns) {
                          kernels.rows.add(tile, 1, kernels::kNoBias.data(), hidden.row(r + r / per_image + 1) + column,
                                           0);
                        }
                      });
  }
}

}  // namespace imagerank::clip
