#include "kernels/product.h"

#include <cassert>
#include <cstring>
#include <numeric>

#include "kernels/matmul.h"

namespace imagerank::kernels {

PackedMatrix::PackedMatrix(const Kernels& kernels, std::span<const float> weights, std::size_t columns,
                           std::size_t depth, Format format, std::size_t part)
    : format_(format), panels_(round_up(columns, kPanelColumns) / kPanelColumns) {
  const std::size_t padded = padded_depth(depth, format);
  part_depth_ = part == 0 ? padded : part;
  assert(padded % part_depth_ == 0 && part_depth_ % (kBlockBytes / bytes_of(format)) == 0);
  parts_ = padded / part_depth_;
  const std::size_t bytes = panel_bytes(depth, format);
  buffer_ = Buffer(panels_ * bytes);
  const Buffer scratch(bytes);
  std::vector<float> row;
  if (format == Format::kInt8) {
    scales_.resize(panels_ * kPanelColumns);
    offsets_.resize(panels_ * parts_ * kPanelColumns);
    row.resize(padded);
  }
  const MatrixView matrix{weights.data(), columns, depth, depth};
  for (std::size_t panel = 0; panel < panels_; ++panel) {
    std::byte* const out = buffer_.data() + panel * bytes;
    if (format == Format::kInt8) {
      pack_int8_panel(kernels, matrix, panel, out, scratch.data(), row);
    } else {
      pack_panel_of_transposed(kernels, format, matrix, panel * kPanelColumns, out, scratch.data());
    }
  }
}

void PackedMatrix::pack_int8_panel(const Kernels& kernels, const MatrixView& weights, std::size_t panel, std::byte* out,
                                   std::byte* scratch, std::vector<float>& row) {
  const std::size_t first = panel * kPanelColumns, count = std::min(kPanelColumns, weights.rows - first);
  auto* const values = reinterpret_cast<std::int8_t*>(scratch);
  std::memset(values + count * row.size(), 0, (kPanelColumns - count) * row.size());
  for (std::size_t lane = 0; lane < count; ++lane) {
    std::copy_n(weights.data + (first + lane) * weights.stride, weights.columns, row.begin());
    std::int8_t* const column = values + lane * row.size();
    scales_[first + lane] = kernels.rows.weights_to_int8(row.data(), row.size(), column);
    for (std::size_t part = 0; part < parts_; ++part) {
      const std::int8_t* const begin = column + part * part_depth_;
      offsets_[(panel * parts_ + part) * kPanelColumns + lane] =
          kInt8Offset * std::accumulate(begin, begin + part_depth_, std::int32_t{0});
    }
  }
  kernels.rows.transpose(scratch, row.size(), row.size() / kStepBytes, out);
}

ProductRows::ProductRows(std::size_t capacity, std::size_t depth, Format format, bool tiled)
    : format_(format),
      depth_(depth),
      stride_(padded_depth(depth, format) * bytes_of(format) +
              std::max(kBlockBytes, kPanelColumns * bytes_of(format))) {
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
