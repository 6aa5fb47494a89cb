#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>

#include "kernels/kernels.h"

// The loops of RowKernels over a vector type V. Include it where functions are compiled for V's instructions: V is
// kLanes floats with load, store, set, the arithmetic below, and whole-vector sums in a fixed order.

namespace imagerank::kernels {

template <class V>
struct RowLoops {
  static constexpr std::size_t kLanes = V::kLanes;

  static void layer_norm(const float* x, const float* weight, const float* bias, std::size_t n, float eps, float* out) {
    const V mean = V::set(sum_of(x, n, [](V value) { return value; }) / static_cast<float>(n));
    const float squares = sum_of(x, n, [&](V value) { return (value - mean) * (value - mean); });
    const V inverse = V::set(1.0F / std::sqrt(squares / static_cast<float>(n) + eps));
    for (std::size_t i = 0; i < n; i += kLanes) {
      const V centered = (V::load(x + i) - mean) * inverse;
      fma(centered, V::load(weight + i), V::load(bias + i)).store(out + i);
    }
  }

  /// e^x, relative error below 2e-7 + 1.3e-8 |x|: 2^k times a polynomial on [-1 / 2, 1 / 2]. Below -87.3 it stays at
  /// e^-87.3.
  static V exp(V x) {
    x = min(max(x, V::set(-87.3F)), V::set(88.3F));
    constexpr float kLog2E = std::numbers::log2e_v<float>;
    const V shift = V::set(0x1.8p23F);  // what is added to it is rounded to whole numbers
    const V k = fma(x, V::set(kLog2E), shift) - shift;
    const V f = fms(x, V::set(kLog2E), k);
    // The degree's minimax polynomial of 2^f in relative error, exact at 0.
    V p = V::set(1.326472725e-3F);
    p = fma(p, f, V::set(9.671512786e-3F));
    p = fma(p, f, V::set(5.550733744e-2F));
    p = fma(p, f, V::set(2.402224208e-1F));
    p = fma(p, f, V::set(6.931469776e-1F));  // NOLINT(modernize-use-std-numbers): not quite ln 2
    return scale_by_power(fma(p, f, V::set(1.0F)), k);
  }

  static void softmax(float* x, std::size_t used, std::size_t n) {
    const std::size_t whole = used / kLanes * kLanes;
    const V nothing = V::set(-std::numeric_limits<float>::infinity());
    // A vector that holds what another loop has just stored in pieces would wait for it: the last one is made of masks.
    const V last = V::load_first(x + whole, used - whole, nothing);
    V largest = last;
    for (std::size_t i = 0; i < whole; i += kLanes) largest = max(largest, V::load(x + i));
    const V shift = V::set(largest.largest());
    V sum = V::set(0.0F);
    for (std::size_t i = 0; i < whole; i += kLanes) {
      const V value = exp(V::load(x + i) - shift);
      value.store(x + i);
      sum = sum + value;
    }
    const V tail = keep_first(exp(last - shift), used - whole);
    const V inverse = V::set(1.0F / (sum + tail).total());
    for (std::size_t i = 0; i < whole; i += kLanes) (V::load(x + i) * inverse).store(x + i);
    if (whole < n) (tail * inverse).store(x + whole);
    for (std::size_t i = whole + kLanes; i < n; i += kLanes) V::set(0.0F).store(x + i);
  }

  static void to_bf16(const float* x, std::size_t n, std::uint16_t* out) {
    for (std::size_t i = 0; i < n; i += kLanes) V::load(x + i).store_bf16(out + i);
  }

  static void to_int8(const float* x, std::size_t n, std::uint8_t* out, RowScale& row) {
    Magnitudes even, odd;  // two, as an addition takes four of the CPU's steps
    std::size_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      even.add(V::load(x + i));
      odd.add(V::load(x + i + kLanes));
    }
    if (i < n) even.add(V::load(x + i));
    float limit = max(even.largest, odd.largest).largest();
    const float mean = (even.sum + odd.sum).total() / static_cast<float>(n);
    row.outliers.count = 0;
    // The mean that outliers hide behind is taken again with each held to a few times the first. It is at least
    // kBound * mean / limit of the first, so that most rows need no second look.
    if (limit * limit > kOutlier * kBound * mean * mean) {
      const V bound = V::set(kBound * mean);
      const float held = sum_of(x, n, [&](V value) { return min(abs(value), bound); });
      const float threshold = kOutlier * held / static_cast<float>(n);
      if (limit > threshold) limit = take_outliers(x, n, threshold, row.outliers);
    }
    row.scale = limit / 127.0F;
    const V inverse = V::set(limit > 0.0F ? 127.0F / limit : 0.0F);
    V::store_int8(x, n, inverse, out);
    for (std::size_t j = 0; j < row.outliers.count; ++j) {
      out[row.outliers.at[j]] = static_cast<std::uint8_t>(kInt8Offset);
    }
  }

  static float weights_to_int8(const float* x, std::size_t n, std::int8_t* out) {
    V largest = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) largest = max(largest, abs(V::load(x + i)));
    const float scale = largest.largest() / 127.0F;
    for (std::size_t i = 0; i < n; ++i) {  // the compiler's own vectors do
      out[i] = static_cast<std::int8_t>(scale > 0.0F ? std::nearbyint(x[i] / scale) : 0.0F);
    }
    return scale;
  }

  static void from_int8(void* tile, std::size_t height, const RowScale* rows, const std::int32_t* offsets,
                        const float* scales, const std::byte* panel) {
    auto* values = static_cast<float*>(tile);
    const auto* integers = static_cast<const std::int32_t*>(tile);
    for (std::size_t r = 0; r < height; ++r) {
      const Outliers& outliers = rows[r].outliers;
      for (std::size_t i = 0; i < kPanelColumns; i += kLanes) {
        V value = V::difference(integers + i, offsets + i) * V::set(rows[r].scale);
        for (std::size_t j = 0; j < outliers.count; ++j) {
          const std::size_t at = outliers.at[j];
          const std::byte* step = panel + ((at / 4) * kPanelColumns + i) * kStepBytes;
          value = fma(V::weights(step, static_cast<int>(at % 4)), V::set(outliers.value[j]), value);
        }
        (value * V::load(scales + i)).store(values + i);
      }
      integers += kPanelColumns;
      values += kPanelColumns;
    }
  }

  static void quick_gelu(float* tile, std::size_t height, const float* bias) {
    const V one = V::set(1.0F);
    for_each(tile, height, bias, [&](V x, std::size_t r, std::size_t i) {
      (x * reciprocal(one + exp(x * V::set(-1.702F)))).store(tile + r * kPanelColumns + i);
    });
  }

  static void gelu(float* tile, std::size_t height, const float* bias) {
    const V one = V::set(1.0F);
    for_each(tile, height, bias, [&](V x, std::size_t r, std::size_t i) {
      const V z = abs(x) * V::set(0.707106781F);
      // Abramowitz and Stegun 7.1.26: 1 - erf(z) = p(t) e^(-z^2), t = 1 / (1 + 0.3275911 z).
      const V t = reciprocal(fma(z, V::set(0.3275911F), one));
      V p = V::set(1.061405429F);
      p = fma(p, t, V::set(-1.453152027F));
      p = fma(p, t, V::set(1.421413741F));
      p = fma(p, t, V::set(-0.284496736F));
      p = fma(p, t, V::set(0.254829592F));
      const V tail = V::set(0.5F) * p * t * exp(V::set(0.0F) - z * z);
      // Phi(x) is the tail left of 0, and 1 less the tail right of it.
      (x * select_negative(x, tail, one - tail)).store(tile + r * kPanelColumns + i);
    });
  }

  static void store(const float* tile, std::size_t height, const float* bias, float* out, std::size_t stride) {
    for_each(tile, height, bias, [&](V x, std::size_t r, std::size_t i) { x.store(out + r * stride + i); });
  }

  static void add(const float* tile, std::size_t height, const float* bias, float* out, std::size_t stride) {
    for_each(tile, height, bias, [&](V x, std::size_t r, std::size_t i) {
      float* sum = out + r * stride + i;
      (V::load(sum) + x).store(sum);
    });
  }

  static void store_bf16(const float* tile, std::size_t height, const float* bias, std::uint16_t* out,
                         std::size_t stride) {
    for_each(tile, height, bias, [&](V x, std::size_t r, std::size_t i) { x.store_bf16(out + r * stride + i); });
  }

  static void transpose(const std::byte* rows, std::size_t stride, std::size_t words, std::byte* out) {
    for (std::size_t word = 0; word < words; word += kLanes) {
      for (std::size_t column = 0; column < kPanelColumns; column += kLanes) {
        V::transpose(rows + column * stride + word * kStepBytes, stride,
                     out + (word * kPanelColumns + column) * kStepBytes, kPanelColumns * kStepBytes);
      }
    }
  }

 private:
  struct Magnitudes {
    V sum = V::set(0.0F), largest = V::set(0.0F);
    void add(V x) {
      const V magnitude = abs(x);
      sum = sum + magnitude;
      largest = max(largest, magnitude);
    }
  };

  /// Of part(x), in a fixed order: four sums side by side, as an addition takes four of the CPU's steps.
  template <class Part>
  static float sum_of(const float* x, std::size_t n, Part part) {
    V sums[4] = {V::set(0.0F), V::set(0.0F), V::set(0.0F), V::set(0.0F)};  // NOLINT(modernize-avoid-c-arrays)
    std::size_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
      for (std::size_t j = 0; j < 4; ++j) sums[j] = sums[j] + part(V::load(x + i + j * kLanes));
    }
    for (; i < n; i += kLanes) sums[0] = sums[0] + part(V::load(x + i));
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])).total();
  }

  /// work(tile + bias, row, column) for each vector of a tile.
  template <class Work>
  static void for_each(const float* tile, std::size_t height, const float* bias, Work work) {
    for (std::size_t i = 0; i < kPanelColumns; i += kLanes) {
      const V added = V::load(bias + i);
      for (std::size_t r = 0; r < height; ++r) work(V::load(tile + r * kPanelColumns + i) + added, r, i);
    }
  }

  static constexpr float kBound = 3.0F;
  /// Times the mean magnitude of a row. A normal row's largest of 768 is some 4.2 times, a row's after GELU 10.
  static constexpr float kOutlier = 10.0F;

  /// Takes the largest numbers above the threshold, at most Outliers::kMost. @return the largest magnitude left.
  static float take_outliers(const float* x, std::size_t n, float threshold, Outliers& outliers) {
    V others = V::set(0.0F);
    float left = 0.0F;
    for (std::size_t first = 0; first < n; first += kLanes) {
      const V magnitudes = abs(V::load(x + first));
      const std::uint32_t above = lanes_above(magnitudes, V::set(threshold));
      if (above == 0) others = max(others, magnitudes);
      // Few vectors hold any.
      for (std::size_t i = first; above != 0 && i < first + kLanes; ++i) {
        left = std::max(left, take_outlier(x, i, ((above >> (i - first)) & 1U) != 0, outliers));
      }
    }
    return std::max(left, others.largest());
  }

  /// @return the magnitude that is left of number i, or of the one that it takes the place of.
  static float take_outlier(const float* x, std::size_t i, bool is_above, Outliers& outliers) {
    const float magnitude = std::abs(x[i]);
    if (!is_above) return magnitude;
    float left = 0.0F;
    std::size_t place = outliers.count;
    if (place == Outliers::kMost) {
      place = 0;
      for (std::size_t j = 1; j < Outliers::kMost; ++j) {
        if (std::abs(outliers.value[j]) < std::abs(outliers.value[place])) place = j;
      }
      left = std::abs(outliers.value[place]);
      if (magnitude <= left) return magnitude;
    } else {
      ++outliers.count;
    }
    outliers.at[place] = static_cast<std::uint16_t>(i);
    outliers.value[place] = x[i];
    return left;
  }
};

template <class V>
constexpr RowKernels row_kernels() {
  using L = RowLoops<V>;
  return {L::layer_norm, L::softmax, L::to_bf16, L::to_int8,    L::weights_to_int8, L::from_int8, L::quick_gelu,
          L::gelu,       L::store,   L::add,     L::store_bf16, L::transpose,       V::interleave};
}

}  // namespace imagerank::kernels
