#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/format.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

namespace imagerank::kernels {

// Products of matrices that change with each call, as training's do: both sides are packed on the way, in memory of the
// caller's. kFp32 and kBf16; sums are float32.

/// Of a panel whose columns have `depth` numbers.
[[nodiscard]] inline std::size_t panel_bytes(std::size_t depth, Format format) noexcept {
  return padded_depth(depth, format) * bytes_of(format) * kPanelColumns;
}

/// Columns [column, column + kPanelColumns) of b [depth, columns] as a panel; what is beyond them is 0.
/// @param panel  panel_bytes(b.rows, format), aligned to 64 bytes.
void pack_panel(const Kernels& kernels, Format format, const MatrixView& b, std::size_t column, std::byte* panel);
/// The same of b^T [columns, depth]. @param scratch  panel_bytes(b.columns, format), aligned to 64 bytes.
void pack_panel_of_transposed(const Kernels& kernels, Format format, const MatrixView& transposed, std::size_t column,
                              std::byte* panel, std::byte* scratch);

/// A block of a product's left rows and of its sums.
class RowBlock {
 public:
  RowBlock(const Kernels& kernels, Format format, std::size_t depth) noexcept;
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }      ///< whole tiles
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }  ///< of a row, bytes
  /// Memory that it needs, aligned to 64 bytes.
  [[nodiscard]] std::size_t bytes() const noexcept { return rows_ * (stride_ + kPanelColumns * sizeof(float)); }
  [[nodiscard]] static float* sums(std::byte* scratch) noexcept { return reinterpret_cast<float*>(scratch); }
  [[nodiscard]] std::byte* begin(std::byte* scratch) const noexcept {
    return scratch + rows_ * kPanelColumns * sizeof(float);
  }
  /// Rows [first, first + count) of a, count at most rows().
  void pack(const Kernels& kernels, Format format, const MatrixView& a, std::size_t first, std::size_t count,
            std::byte* scratch) const;

 private:
  std::size_t rows_, stride_;
};

/// Calls finish(first row, height, column, tile) for each tile of rows [first, first + count) of a b. b is `panels`
/// panels, one behind the other. A row's numbers do not depend on the rows around it. @param scratch  block.bytes().
template <class Finish>
void multiply_rows(const Kernels& kernels, Format format, const MatrixView& a, std::size_t first, std::size_t count,
                   const std::byte* b, std::size_t panels, const RowBlock& block, std::byte* scratch, Finish&& finish) {
  const Panels right{b, panel_bytes(a.columns, format),
                     padded_depth(a.columns, format) * bytes_of(format) / kStepBytes};
  for (std::size_t begin = 0; begin < count; begin += block.rows()) {
    const std::size_t rows = std::min(block.rows(), count - begin);
    block.pack(kernels, format, a, first + begin, rows, scratch);
    run_panels(kernels.tile(format), {block.begin(scratch), block.stride(), rows}, right, 0, panels,
               RowBlock::sums(scratch), [&](std::size_t row, std::size_t height, std::size_t panel, float* tile) {
                 finish(first + begin + row, height, panel * kPanelColumns, tile);
               });
  }
}

}  // namespace imagerank::kernels
