#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/buffer.h"
#include "kernels/format.h"
#include "kernels/kernels.h"

namespace imagerank::kernels {

/// A float32 matrix in memory, rows `stride` numbers apart.
struct MatrixView {
  const float* data;
  std::size_t rows, columns, stride;
};

/// Weights of a product, in panels of kPanelColumns columns: [columns / 32, steps, 32, kStepBytes]. Depth and columns
/// are padded with zeros. kInt8 has a scale for each column: its largest magnitude / 127.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// @param weights  float32 [columns, depth], row-major.
  /// @param part  a product may be taken over parts of the depth, each so long: whole blocks, a divisor of the padded
  /// depth. 0: over all of it.
  PackedMatrix(const Kernels& kernels, std::span<const float> weights, std::size_t columns, std::size_t depth,
               Format format, std::size_t part = 0);

  [[nodiscard]] Format format() const noexcept { return format_; }
  [[nodiscard]] std::size_t panels() const noexcept { return panels_; }
  [[nodiscard]] std::size_t parts() const noexcept { return parts_; }
  /// Padded depth of a part.
  [[nodiscard]] std::size_t part_depth() const noexcept { return part_depth_; }
  [[nodiscard]] std::size_t part_steps() const noexcept { return part_depth_ * bytes_of(format_) / kStepBytes; }
  [[nodiscard]] std::size_t part_bytes() const noexcept { return part_steps() * kPanelColumns * kStepBytes; }
  [[nodiscard]] const std::byte* panel(std::size_t index, std::size_t part) const noexcept {
    return buffer_.data() + (index * parts_ + part) * part_bytes();
  }
  [[nodiscard]] const float* scales(std::size_t panel) const noexcept { return scales_.data() + panel * kPanelColumns; }
  /// The sum of each column's weights, times kInt8Offset: what the rows' offset adds to a product.
  [[nodiscard]] const std::int32_t* offsets(std::size_t panel, std::size_t part) const noexcept {
    return offsets_.data() + (panel * parts_ + part) * kPanelColumns;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return buffer_.size(); }

 private:
  /// Of kInt8. @param row  [padded depth] of float32, what is beyond the depth 0. @param scratch  of a panel.
  void pack_int8_panel(const Kernels& kernels, const MatrixView& weights, std::size_t panel, std::byte* out,
                       std::byte* scratch, std::vector<float>& row);

  Format format_ = Format::kFp32;
  std::size_t panels_ = 0, parts_ = 0, part_depth_ = 0;
  Buffer buffer_;
  std::vector<float> scales_;          ///< [panels * 32], kInt8
  std::vector<std::int32_t> offsets_;  ///< [panels, parts, 32], kInt8
};

/// Rows of a product, in the format of its weights: [capacity, padded depth], and spare rows. Behind each row a panel's
/// columns are free, so that whole tiles may be stored to columns that end inside one.
class ProductRows {
 public:
  ProductRows() = default;
  /// @param tiled  filled by store_tile and finish: the whole depth in panels of columns.
  ProductRows(std::size_t capacity, std::size_t depth, Format format, bool tiled = false);

  [[nodiscard]] std::byte* row(std::size_t index) const noexcept { return buffer_.data() + index * stride_; }
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }  ///< bytes
  [[nodiscard]] const RowScale* scales() const noexcept { return scales_.data(); }
  /// Fills a row. @param x  [depth rounded up to 16], what is beyond the depth 0.
  void set(const Kernels& kernels, std::size_t index, const float* x);
  /// Fills a tile's part of rows [row, row + height), which is tile + bias: any column, whole panels. @param tile
  /// [height, kPanelColumns].
  void store_tile(const Kernels& kernels, std::size_t row, std::size_t height, std::size_t column, const float* tile,
                  const float* bias);
  /// After the last tile of rows [0, count): a row's scale is known only now.
  void finish(const Kernels& kernels, std::size_t count);
  void copy_row(std::size_t from, ProductRows& target, std::size_t to) const;
  /// Where multiply keeps the tiles of one panel: [capacity, kPanelColumns], and spare rows.
  [[nodiscard]] float* sums() const noexcept { return reinterpret_cast<float*>(sums_.data()); }

 private:
  Format format_ = Format::kFp32;
  std::size_t depth_ = 0, stride_ = 0;
  Buffer buffer_, sums_;
  std::vector<RowScale> scales_;
  FloatRows tiles_;  ///< kInt8, until finish
};

/// What is read next, on its way to the second cache, a share at a time.
class Prefetch {
 public:
  /// @param shares  calls of fetch() that fetch all. @param begin  nullptr: nothing.
  Prefetch(const std::byte* begin, std::size_t bytes, std::size_t shares)
      : at_(begin), left_(begin == nullptr ? 0 : bytes), share_(round_up((bytes + shares - 1) / shares, kBlockBytes)) {}
  void fetch() noexcept {
    constexpr int kRead = 0, kSecondCache = 2;
    for (std::size_t got = 0; got < share_ && left_ > 0; got += kBlockBytes) {
      __builtin_prefetch(at_, kRead, kSecondCache);
      at_ += kBlockBytes;
      left_ -= kBlockBytes;
    }
  }

 private:
  const std::byte* at_;
  std::size_t left_, share_;  ///< bytes
};

/// The left rows of a product, `stride` bytes apart, and spare rows up to whole tiles.
struct TileRows {
  const std::byte* first;
  std::size_t stride, count;
};

/// Its right panels, `bytes` apart.
struct Panels {
  const std::byte* first;
  std::size_t bytes, steps;
};

/// Calls finish(first row, height, panel, tile) for each tile of all rows times panels [first, last); tile is
/// [height, kPanelColumns] and may be overwritten. @param sums  as many rows, whole tiles, times kPanelColumns.
template <class Finish>
void run_panels(const Tile& kernel, const TileRows& rows, const Panels& panels, std::size_t first, std::size_t last,
                float* sums, Finish&& finish) {
  // A panel that the first cache does not hold passes over the rows in pieces, and their sums wait in the second.
  const std::size_t pieces =
      kernel.cached_steps == 0 ? 1 : (panels.steps + kernel.cached_steps - 1) / kernel.cached_steps;
  const std::size_t piece = round_up((panels.steps + pieces - 1) / pieces, kBlockBytes / kStepBytes);
  const std::size_t runs = (rows.count + kernel.height - 1) / kernel.height * pieces;
  kernel.prepare();
  for (std::size_t panel = first; panel < last; ++panel) {
    const std::byte* columns = panels.first + panel * panels.bytes;
    Prefetch next_panel(panel + 1 < last ? columns + panels.bytes : nullptr, panels.steps * kPanelColumns * kStepBytes,
                        runs);
    for (std::size_t step = 0; step < panels.steps; step += piece) {
      const std::size_t length = std::min(piece, panels.steps - step);
      for (std::size_t row = 0; row < rows.count; row += kernel.height) {
        float* const tile = sums + (pieces == 1 ? 0 : row * kPanelColumns);
        kernel.run(rows.first + row * rows.stride + step * kStepBytes, rows.stride,
                   columns + step * kPanelColumns * kStepBytes, length, tile, step != 0);
        next_panel.fetch();
        if (step + length == panels.steps) finish(row, std::min(kernel.height, rows.count - row), panel, tile);
      }
    }
  }
}

/// Calls finish(first row, height, column, tile) for each tile of rows [0, count) times panels [first, last) over one
/// part of the depth; tile is float32 [height, kPanelColumns] and may be overwritten. A row's numbers do not depend on
/// the rows around it.
template <class Finish>
void multiply(const Kernels& kernels, const ProductRows& rows, std::size_t count, const PackedMatrix& weights,
              std::size_t first, std::size_t last, std::size_t part, Finish&& finish) {
  const Panels panels{weights.panel(0, part), weights.parts() * weights.part_bytes(), weights.part_steps()};
  run_panels(kernels.tile(weights.format()), {rows.row(0), rows.stride(), count}, panels, first, last, rows.sums(),
             [&](std::size_t row, std::size_t height, std::size_t panel, float* tile) {
               if (weights.format() == Format::kInt8) {
                 kernels.rows.from_int8(tile, height, rows.scales() + row, weights.offsets(panel, part),
                                        weights.scales(panel), weights.panel(panel, part));
               }
               finish(row, height, panel * kPanelColumns, tile);
             });
}

}  // namespace imagerank::kernels
