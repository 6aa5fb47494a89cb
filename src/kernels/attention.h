#pragma once

#include <cstddef>

#include "kernels/buffer.h"
#include "kernels/kernels.h"
#include "kernels/product.h"

namespace imagerank::kernels {

/// Attention of one head over one sequence at a time, through the tiles of the products. Holds the buffers of the
/// longest sequence.
class HeadAttention {
 public:
  HeadAttention() = default;
  /// @param depth  numbers of a head, whole panels: what pads them is 0. @param format  kFp32 or kBf16, of all rows.
  HeadAttention(std::size_t longest, std::size_t depth, Format format);

  /// The keys and values of the sequence that attend() works on. @param keys, values  rows of [length, depth], `stride`
  /// bytes apart, kSpareRows readable behind them.
  void set_sequence(const Kernels& kernels, const std::byte* keys, const std::byte* values, std::size_t stride,
                    std::size_t length);
  /// Tiles of softmax(queries * keys^T) * values [count, depth] into `context`, from a row and a column of it on.
  /// @param queries  rows of [count, depth], `stride` bytes apart, kSpareRows readable behind them; their scale is the
  /// caller's. @param first  with `causal`, query i sees the keys up to first + i.
  void attend(const Kernels& kernels, const std::byte* queries, std::size_t stride, std::size_t count, bool causal,
              std::size_t first, ProductRows& context, std::size_t context_row, std::size_t context_column);

 private:
  /// Probabilities of `height` rows of scores, as the next product reads them.
  const std::byte* probabilities(const Kernels& kernels, std::size_t height, std::size_t columns);

  Format format_ = Format::kFp32;
  std::size_t depth_ = 0, length_ = 0;
  std::size_t longest_ = 0;  ///< whole panels
  Buffer keys_;              ///< [longest / 32, steps of depth, 32, kStepBytes]
  Buffer values_;            ///< [depth / 32, steps of longest, 32, kStepBytes]
  FloatRows scores_;         ///< [a tile's rows, longest]
  Buffer narrow_;            ///< the same as bfloat16, kBf16 only; rows as far apart as those of scores_
};

}  // namespace imagerank::kernels
