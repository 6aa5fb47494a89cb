#pragma once

#include <cstddef>

#include "kernels/buffer.h"
#include "kernels/kernels.h"

namespace imagerank::kernels {

/// Attention of one head over one sequence at a time, in float32, through the tiles of the products. Holds the buffers
/// of the longest sequence.
class HeadAttention {
 public:
  HeadAttention() = default;
  /// @param depth  numbers of a head, at least 1.
  HeadAttention(std::size_t longest, std::size_t depth);

  /// The keys and values of the sequence that attend() works on. Rows of [length, depth], `stride` numbers apart.
  void set_sequence(const float* keys, const float* values, std::size_t stride, std::size_t length);
  /// context [count, depth] = softmax(queries * keys^T) * values; whole panels of columns are written, with zeros.
  /// @param queries  [count, depth], `stride` numbers apart, kSpareRows readable behind them; their scale is the
  /// caller's. @param first  with `causal`, query i sees the keys up to first + i.
  void attend(const Kernels& kernels, const float* queries, std::size_t stride, std::size_t count, bool causal,
              std::size_t first, float* context, std::size_t context_stride);

 private:
  std::size_t depth_ = 0, length_ = 0;
  Buffer keys_;    ///< [length / 32, depth, 32]
  Buffer values_;  ///< [depth / 32, length, 32]
  FloatRows scores_;
};

}  // namespace imagerank::kernels
