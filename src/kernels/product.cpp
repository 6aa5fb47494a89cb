#include "kernels/product.h"

#include <cassert>
#include <cmath>
#include <cstring>

namespace imagerank::kernels {

PackedMatrix::PackedMatrix(std::span<const float> weights, std::size_t columns, std::size_t depth, Format format,
                           std::size_t part)
    : format_(format), panels_(round_up(columns, kPanelColumns) / kPanelColumns) {
  const std::size_t padded = padded_depth(depth, format);
  part_depth_ = part == 0 ? padded : part;
  assert(padded % part_depth_ == 0 && part_depth_ % (kBlockBytes / bytes_of(format)) == 0);
  parts_ = padded / part_depth_;
  buffer_ = Buffer(panels_ * kPanelColumns * padded * bytes_of(format));
  if (format == Format::kInt8) {
    scales_.resize(panels_ * kPanelColumns);
    sums_.resize(panels_ * parts_ * kPanelColumns);
  }
  for (std::size_t column = 0; column < columns; ++column) pack_column(weights.data() + column * depth, column, depth);
}

void PackedMatrix::pack_column(const float* weights, std::size_t column, std::size_t depth) {
  const std::size_t panel = column / kPanelColumns, lane = column % kPanelColumns;
  const std::size_t size = bytes_of(format_), step_numbers = kStepBytes / size;
  float scale = 0.0F;
  if (format_ == Format::kInt8) {
    for (std::size_t k = 0; k < depth; ++k) scale = std::max(scale, std::abs(weights[k]) / 127.0F);
    scales_[column] = scale;
  }
  std::byte* start = buffer_.data() + panel * parts_ * part_steps() * kPanelColumns * kStepBytes;
  for (std::size_t k = 0; k < depth; ++k) {
    std::byte* at = start + ((k / step_numbers) * kPanelColumns + lane) * kStepBytes + (k % step_numbers) * size;
    if (format_ == Format::kFp32) {
      std::memcpy(at, weights + k, size);
    } else if (format_ == Format::kBf16) {
      const std::uint16_t value = bfloat16_from_float(weights[k]);
      std::memcpy(at, &value, size);
    } else {
      const auto value = static_cast<std::int8_t>(scale > 0.0F ? std::lrint(weights[k] / scale) : 0);
      std::memcpy(at, &value, size);
      sums_[(panel * parts_ + k / part_depth_) * kPanelColumns + lane] += value;
    }
  }
}

ProductRows::ProductRows(std::size_t capacity, std::size_t depth, Format format, bool tiled)
    : format_(format), depth_(depth), stride_(padded_depth(depth, format) * bytes_of(format) + kBlockBytes) {
  buffer_ = Buffer((capacity + kSpareRows) * stride_);
  sums_ = Buffer((capacity + kSpareRows) * kPanelColumns * sizeof(float));
  if (format != Format::kInt8) return;
  scales_.resize(capacity + kSpareRows);
  if (tiled) tiles_ = FloatRows(capacity, depth);
}

void ProductRows::store_tile(const Kernels& kernels, std::size_t row_index, std::size_t height, std::size_t column,
                             const float* tile, const float* bias) {
  std::byte* at = row(row_index) + column * bytes_of(format_);
  if (format_ == Format::kFp32) {
    kernels.rows.store(tile, height, bias, reinterpret_cast<float*>(at), stride_ / sizeof(float));
  } else if (format_ == Format::kBf16) {
    kernels.rows.store_bf16(tile, height, bias, reinterpret_cast<std::uint16_t*>(at), stride_ / sizeof(std::uint16_t));
  } else {
    kernels.rows.store(tile, height, bias, tiles_.row(row_index) + column, tiles_.stride());
  }
}

void ProductRows::finish(const Kernels& kernels, std::size_t count) {
  if (format_ != Format::kInt8) return;
  for (std::size_t r = 0; r < count; ++r) set(kernels, r, tiles_.row(r));
}

void ProductRows::set(const Kernels& kernels, std::size_t index, const float* x) {
  const std::size_t n = round_up(depth_, 16);
  if (format_ == Format::kFp32) {
    std::memcpy(row(index), x, depth_ * sizeof(float));
  } else if (format_ == Format::kBf16) {
    kernels.rows.to_bf16(x, n, reinterpret_cast<std::uint16_t*>(row(index)));
  } else {
    kernels.rows.to_int8(x, n, reinterpret_cast<std::uint8_t*>(row(index)), scales_[index]);
  }
}

void ProductRows::copy_row(std::size_t from, ProductRows& target, std::size_t to) const {
  std::memcpy(target.row(to), row(from), stride_);
  if (format_ == Format::kInt8) target.scales_[to] = scales_[from];
}

}  // namespace imagerank::kernels
