#include "kernels/attention.h"

#include <algorithm>
#include <cstring>

namespace imagerank::kernels {

HeadAttention::HeadAttention(std::size_t longest, std::size_t depth)
    : depth_(depth),
      keys_(round_up(longest, kPanelColumns) * depth * sizeof(float)),
      values_(round_up(depth, kPanelColumns) * longest * sizeof(float)),
      scores_(kSpareRows, round_up(longest, kPanelColumns)) {}

void HeadAttention::set_sequence(const float* keys, const float* values, std::size_t stride, std::size_t length) {
  length_ = length;
  auto* key_panels = reinterpret_cast<float*>(keys_.data());
  for (std::size_t token = 0; token < length; ++token) {
    float* column = key_panels + (token / kPanelColumns) * depth_ * kPanelColumns + token % kPanelColumns;
    const float* key = keys + token * stride;
    for (std::size_t k = 0; k < depth_; ++k) column[k * kPanelColumns] = key[k];
  }
  auto* panel = reinterpret_cast<float*>(values_.data());
  for (std::size_t column = 0; column < depth_; column += kPanelColumns) {
    const std::size_t width = std::min(kPanelColumns, depth_ - column);
    for (std::size_t token = 0; token < length; ++token, panel += kPanelColumns) {
      std::memcpy(panel, values + token * stride + column, width * sizeof(float));
    }
  }
}

void HeadAttention::attend(const Kernels& kernels, const float* queries, std::size_t stride, std::size_t count,
                           bool causal, std::size_t first, float* context, std::size_t context_stride) {
  const Tile& tile = kernels.tile(Format::kFp32);
  const auto bytes = [](const void* pointer) { return static_cast<const std::byte*>(pointer); };
  alignas(64) float sums[32 * kPanelColumns];  // NOLINT(modernize-avoid-c-arrays): not zeroed on each call
  for (std::size_t row = 0; row < count; row += tile.height) {
    const std::size_t height = std::min(tile.height, count - row);
    // No row of this tile sees a key beyond.
    const std::size_t seen = causal ? std::min(length_, first + row + height) : length_;
    const std::size_t panels = round_up(seen, kPanelColumns) / kPanelColumns;
    for (std::size_t panel = 0; panel < panels; ++panel) {
      tile.run(bytes(queries + row * stride), stride * sizeof(float),
               keys_.data() + panel * depth_ * kPanelColumns * sizeof(float), depth_, sums);
      kernels.rows.store(sums, height, scores_.row(0) + panel * kPanelColumns, scores_.stride());
    }
    for (std::size_t r = 0; r < height; ++r) {
      kernels.rows.softmax(scores_.row(r), causal ? std::min(length_, first + row + r + 1) : length_,
                           panels * kPanelColumns);
    }
    for (std::size_t column = 0; column < depth_; column += kPanelColumns) {
      tile.run(bytes(scores_.row(0)), scores_.stride() * sizeof(float),
               values_.data() + column * length_ * sizeof(float), seen, sums);
      kernels.rows.store(sums, height, context + row * context_stride + column, context_stride);
    }
  }
}

}  // namespace imagerank::kernels
