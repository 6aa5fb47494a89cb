#include "kernels/attention.h"

#include <algorithm>
#include <cstring>

namespace imagerank::kernels {

HeadAttention::HeadAttention(std::size_t longest, std::size_t depth, Format format)
    : format_(format),
      depth_(depth),
      longest_(round_up(longest, kPanelColumns)),
      keys_(longest_ * depth * bytes_of(format)),
      values_(longest_ * depth * bytes_of(format)),
      scores_(kSpareRows, longest_) {
  if (format == Format::kBf16) narrow_ = Buffer(2 * kSpareRows * scores_.stride() * sizeof(float));
}

void HeadAttention::set_sequence(const Kernels& kernels, const std::byte* keys, const std::byte* values,
                                 std::size_t stride, std::size_t length) {
  length_ = length;
  const std::size_t size = bytes_of(format_), words = depth_ * size / kStepBytes;
  for (std::size_t token = 0; token < length; token += kPanelColumns) {
    kernels.rows.transpose(keys + token * stride, stride, words, keys_.data() + token * depth_ * size);
  }
  const std::size_t rows = round_up(length, kPanelColumns), panel_bytes = longest_ * kPanelColumns * size;
  for (std::size_t panel = 0; panel < depth_ / kPanelColumns; ++panel) {
    const std::byte* from = values + panel * kPanelColumns * size;
    std::byte* to = values_.data() + panel * panel_bytes;
    // What stands behind the sequence may be anything, and is multiplied by 0: it must be finite.
    if (format_ == Format::kFp32) {
      for (std::size_t token = 0; token < length; ++token) {
        std::memcpy(to + token * kPanelColumns * size, from + token * stride, kPanelColumns * size);
      }
      std::memset(to + length * kPanelColumns * size, 0, (rows - length) * kPanelColumns * size);
      continue;
    }
    alignas(64) constexpr std::array<std::byte, kPanelColumns * 2> kZeros{};
    for (std::size_t token = 0; token < rows; token += 2, to += kPanelColumns * kStepBytes) {
      kernels.rows.interleave(token < length ? from + token * stride : kZeros.data(),
                              token + 1 < length ? from + (token + 1) * stride : kZeros.data(), to);
    }
  }
}

const std::byte* HeadAttention::probabilities(const Kernels& kernels, std::size_t height, std::size_t columns) {
  if (format_ == Format::kFp32) return reinterpret_cast<const std::byte*>(scores_.row(0));
  auto* narrow = reinterpret_cast<std::uint16_t*>(narrow_.data());
  const std::size_t stride = scores_.stride() * 2;
  for (std::size_t r = 0; r < height; ++r) kernels.rows.to_bf16(scores_.row(r), columns, narrow + r * stride);
  return narrow_.data();
}

void HeadAttention::attend(const Kernels& kernels, const std::byte* queries, std::size_t stride, std::size_t count,
                           bool causal, std::size_t first, ProductRows& context, std::size_t context_row,
                           std::size_t context_column) {
  const Tile& tile = kernels.tile(format_);
  const std::size_t size = bytes_of(format_);
  const auto steps_of = [&](std::size_t numbers) { return numbers * size / kStepBytes; };
  alignas(64) float sums[kSpareRows * kPanelColumns];  // NOLINT(modernize-avoid-c-arrays): not zeroed on each call
  tile.prepare();
  for (std::size_t row = 0; row < count; row += tile.height) {
    const std::size_t height = std::min(tile.height, count - row);
    // No row of this tile sees a key beyond.
    const std::size_t seen = causal ? std::min(length_, first + row + height) : length_;
    const std::size_t columns = round_up(seen, kPanelColumns);
    for (std::size_t key = 0; key < columns; key += kPanelColumns) {
      tile.run(queries + row * stride, stride, keys_.data() + key * depth_ * size, steps_of(depth_), sums, false);
      kernels.rows.store(sums, height, kNoBias.data(), scores_.row(0) + key, scores_.stride());
    }
    for (std::size_t r = 0; r < height; ++r) {
      kernels.rows.softmax(scores_.row(r), causal ? std::min(length_, first + row + r + 1) : length_, columns);
    }
    const std::byte* weights = probabilities(kernels, height, columns);
    for (std::size_t panel = 0; panel < depth_ / kPanelColumns; ++panel) {
      tile.run(weights, scores_.stride() * sizeof(float), values_.data() + panel * longest_ * kPanelColumns * size,
               steps_of(columns), sums, false);
      context.store_tile(kernels, context_row + row, height, context_column + panel * kPanelColumns, sums,
                         kNoBias.data());
    }
  }
}

}  // namespace imagerank::kernels
