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
    V sum = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) sum = sum + V::load(x + i);
    const V mean = V::set(sum.total() / static_cast<float>(n));
    V squares = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) {
      const V centered = V::load(x + i) - mean;
      squares = fma(centered, centered, squares);
    }
    const V inverse = V::set(1.0F / std::sqrt(squares.total() / static_cast<float>(n) + eps));
    for (std::size_t i = 0; i < n; i += kLanes) {
      const V centered = (V::load(x + i) - mean) * inverse;
      fma(centered, V::load(weight + i), V::load(bias + i)).store(out + i);
    }
  }

  /// e^x, relative error below 2e-7: 2^k times a polynomial on [-ln 2 / 2, ln 2 / 2]. Below -87.3 it stays at e^-87.3.
  static V exp(V x) {
    x = min(max(x, V::set(-87.3F)), V::set(88.3F));
    const V k = round(x * V::set(std::numbers::log2e_v<float>));
    // ln 2 in two parts, the first exact in few bits.
    V r = fma(k, V::set(-0.693359375F), x);  // NOLINT(modernize-use-std-numbers): a part of it
    r = fma(k, V::set(2.12194440e-4F), r);
    // Minimax coefficients of Cephes' expf.
    V p = V::set(1.9875691500e-4F);
    p = fma(p, r, V::set(1.3981999507e-3F));
    p = fma(p, r, V::set(8.3334519073e-3F));
    p = fma(p, r, V::set(4.1665795894e-2F));
    p = fma(p, r, V::set(1.6666665459e-1F));
    p = fma(p, r, V::set(5.0000001201e-1F));
    return scale_by_power(fma(p, r * r, r + V::set(1.0F)), k);
  }

  static void softmax(float* x, std::size_t used, std::size_t n) {
    for (std::size_t i = used; i < n; ++i) x[i] = -std::numeric_limits<float>::infinity();
    V largest = V::load(x);
    for (std::size_t i = kLanes; i < n; i += kLanes) largest = max(largest, V::load(x + i));
    const V shift = V::set(largest.largest());
    for (std::size_t i = 0; i < n; i += kLanes) exp(V::load(x + i) - shift).store(x + i);
    for (std::size_t i = used; i < n; ++i) x[i] = 0.0F;
    V sum = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) sum = sum + V::load(x + i);
    const V inverse = V::set(1.0F / sum.total());
    for (std::size_t i = 0; i < n; i += kLanes) (V::load(x + i) * inverse).store(x + i);
  }

  static void to_bf16(const float* x, std::size_t n, std::uint16_t* out) {
    for (std::size_t i = 0; i < n; i += kLanes) V::load(x + i).store_bf16(out + i);
  }

  static void to_int8(const float* x, std::size_t n, std::uint8_t* out, RowScale& row) {
    V magnitudes = V::set(0.0F), largest = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) {
      const V magnitude = abs(V::load(x + i));
      magnitudes = magnitudes + magnitude;
      largest = max(largest, magnitude);
    }
    float limit = largest.largest();
    row.outliers.count = 0;
    // The mean that outliers hide behind is taken again with each held to a few times the first.
    const V bound = V::set(kBound * magnitudes.total() / static_cast<float>(n));
    magnitudes = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) magnitudes = magnitudes + min(abs(V::load(x + i)), bound);
    const float threshold = kOutlier * magnitudes.total() / static_cast<float>(n);
    if (limit > threshold) limit = take_outliers(x, n, threshold, row.outliers);
    row.scale = limit / 127.0F;
    const V inverse = V::set(limit > 0.0F ? 127.0F / limit : 0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) V::store_int8(V::load(x + i) * inverse, out + i);
    for (std::size_t i = 0; i < row.outliers.count; ++i) {
      out[row.outliers.at[i]] = static_cast<std::uint8_t>(kInt8Offset);
    }
  }

  static float weights_to_int8(const float* x, std::size_t n, std::int8_t* out) {
    V largest = V::set(0.0F);
    for (std::size_t i = 0; i < n; i += kLanes) largest = max(largest, abs(V::load(x + i)));
    const float scale = largest.largest() / 127.0F;
    const V divisor = V::set(scale > 0.0F ? scale : 1.0F);
    auto* const offset = reinterpret_cast<std::uint8_t*>(out);
    for (std::size_t i = 0; i < n; i += kLanes) V::store_int8(V::load(x + i) / divisor, offset + i);
    for (std::size_t i = 0; i < n; ++i) offset[i] ^= static_cast<std::uint8_t>(kInt8Offset);  // signed again
    return scale;
  }

  static void from_int8(void* tile, std::size_t height, const RowScale* rows, const std::int32_t* sums,
                        const float* scales, const std::byte* panel) {
    auto* values = static_cast<float*>(tile);
    const auto* integers = static_cast<const std::int32_t*>(tile);
    for (std::size_t r = 0; r < height; ++r) {
      const Outliers& outliers = rows[r].outliers;
      for (std::size_t i = 0; i < kPanelColumns; i += kLanes) {
        V value = V::difference(integers + i, sums + i, kInt8Offset) * V::set(rows[r].scale);
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
    float left = 0.0F;
    for (std::size_t i = 0; i < n; ++i) {
      const float magnitude = std::abs(x[i]);
      if (!(magnitude > threshold)) {
        left = std::max(left, magnitude);
        continue;
      }
      std::size_t place = outliers.count;
      if (place == Outliers::kMost) {
        place = 0;
        for (std::size_t j = 1; j < Outliers::kMost; ++j) {
          if (std::abs(outliers.value[j]) < std::abs(outliers.value[place])) place = j;
        }
        const float smallest = std::abs(outliers.value[place]);
        left = std::max(left, std::min(smallest, magnitude));
        if (magnitude <= smallest) continue;
      } else {
        ++outliers.count;
      }
      outliers.at[place] = static_cast<std::uint16_t>(i);
      outliers.value[place] = x[i];
    }
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
