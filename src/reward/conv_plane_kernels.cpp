#include "reward/conv_plane_kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace imagerank::reward {
namespace {

using Vector = __m256;

inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline Vector spread(const float* from) { return _mm256_broadcast_ss(from); }
inline Vector larger(Vector a, Vector b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
inline Vector number(int value) { return _mm256_castsi256_ps(_mm256_set1_epi32(value)); }
inline Vector multiply_add(Vector a, Vector b, Vector sum) { return _mm256_fmadd_ps(a, b, sum); }

/// The zero-padded input's even and odd columns, apart: a pooled column's four input columns then lie at one index.
void split_columns(const PlaneShape& shape, const float* input, float* halves) {
  float* const even = halves;
  float* const odd = halves + (kPlaneRows + 2) * shape.stride;
  std::memset(halves, 0, shape.halves_size() * sizeof(float));
  for (std::size_t y = 0; y < kPlaneRows; ++y) {
    const float* const row = input + y * shape.columns;
    float* const to_even = even + (y + 1) * shape.stride;
    float* const to_odd = odd + (y + 1) * shape.stride;
    // Padded column j is input column j - 1.
    for (std::size_t k = 0; k < shape.pooled; ++k) {
      to_odd[k] = row[2 * k];
      to_even[k + 1] = row[2 * k + 1];
    }
  }
}

/// The 4 x 4 numbers under 8 pooled columns: patch[row][column].
struct Patch {
  const float* even;
  const float* odd;
  std::size_t stride;

  Patch(const PlaneShape& shape, const float* halves, std::size_t pooled_row, std::size_t column)
      : even(halves + 2 * pooled_row * shape.stride + column),
        odd(even + (kPlaneRows + 2) * shape.stride),
        stride(shape.stride) {}
  [[nodiscard]] Vector at(std::size_t row, std::size_t column) const {
    return load((column % 2 == 0 ? even : odd) + row * stride + column / 2);
  }
};

/// First convolution, pool and ReLU of one channel.
void first_layer(const PlaneShape& shape, const float* weight, float bias, const float* halves, float* pooled,
                 std::uint8_t* places) {
  Vector taps[9];
  for (int i = 0; i < 9; ++i) taps[i] = spread(weight + i);
  const Vector shift = _mm256_set1_ps(bias);
  std::memset(pooled, 0, (kPooledRows + 2) * shape.stride * sizeof(float));
  for (std::size_t y = 0; y < kPooledRows; ++y) {
    for (std::size_t block = 0; block < shape.blocks; ++block) {
      const Patch patch(shape, halves, y, block * kLanes);
      Vector sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
#pragma GCC unroll 4
      for (int row = 0; row < 4; ++row) {
#pragma GCC unroll 4
        for (int column = 0; column < 4; ++column) {
          const Vector value = patch.at(static_cast<std::size_t>(row), static_cast<std::size_t>(column));
#pragma GCC unroll 4
          for (int sub = 0; sub < 4; ++sub) {
            const int dy = row - sub / 2;
            const int dx = column - sub % 2;
            if (dy >= 0 && dy < 3 && dx >= 0 && dx < 3) sums[sub] = multiply_add(value, taps[3 * dy + dx], sums[sub]);
          }
        }
      }
      const Vector top = _mm256_max_ps(sums[0], sums[1]);
      const Vector bottom = _mm256_max_ps(sums[2], sums[3]);
      const Vector in_top = _mm256_blendv_ps(number(0), number(1), larger(sums[1], sums[0]));
      const Vector in_bottom = _mm256_blendv_ps(number(2), number(3), larger(sums[3], sums[2]));
      const __m256i place = _mm256_castps_si256(_mm256_blendv_ps(in_top, in_bottom, larger(bottom, top)));
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(place), _mm256_extracti128_si256(place, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(places + (y * shape.blocks + block) * kLanes),
                       _mm_packs_epi16(words, words));
      const Vector result = _mm256_max_ps(_mm256_max_ps(top, bottom) + shift, _mm256_setzero_ps());
      _mm256_storeu_ps(pooled + (y + 1) * shape.stride + 1 + block * kLanes, result);
    }
    // What a last, partial vector wrote behind the row is padding.
    float* const row = pooled + (y + 1) * shape.stride;
    std::memset(row + 1 + shape.pooled, 0, (shape.stride - 1 - shape.pooled) * sizeof(float));
  }
}

/// `kBlocks` vectors of all five outputs at one place.
template <int kBlocks>
inline void second_layer_at(const PlaneShape& shape, const PlaneWeights& weights, const float* pooled, std::size_t y,
                            std::size_t column, float* output) {
  Vector sums[kChannels2][kBlocks];
  for (std::size_t o = 0; o < kChannels2; ++o) {
    for (int b = 0; b < kBlocks; ++b) sums[o][b] = spread(weights.bias2 + o);
  }
  const float* weight = weights.weight2;
  for (std::size_t channel = 0; channel < kChannels1; ++channel) {
    const float* const plane = pooled + channel * (kPooledRows + 2) * shape.stride + y * shape.stride + column;
#pragma GCC unroll 3
    for (std::size_t dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
      for (std::size_t dx = 0; dx < 3; ++dx, weight += kChannels2) {
        Vector values[kBlocks];
        for (int b = 0; b < kBlocks; ++b) values[b] = load(plane + dy * shape.stride + dx + 8 * b);
#pragma GCC unroll 5
        for (std::size_t o = 0; o < kChannels2; ++o) {
          const Vector one = spread(weight + o);
          for (int b = 0; b < kBlocks; ++b) sums[o][b] = multiply_add(values[b], one, sums[o][b]);
        }
      }
    }
  }
  for (std::size_t o = 0; o < kChannels2; ++o) {
    float* const row = output + (o * kPooledRows + y) * shape.pooled;
    for (int b = 0; b < kBlocks; ++b) {
      const std::size_t begin = column + static_cast<std::size_t>(b) * kLanes;
      const Vector result = _mm256_max_ps(sums[o][b], _mm256_setzero_ps());
      if (begin + kLanes <= shape.pooled) {
        _mm256_storeu_ps(row + begin, result);
      } else {
        float lanes[kLanes];
        _mm256_storeu_ps(lanes, result);
        std::memcpy(row + begin, lanes, (shape.pooled - begin) * sizeof(float));
      }
    }
  }
}

/// Gradient by what the second convolution gave before its ReLU, zero-padded; and by its bias.
void second_slopes(const PlaneShape& shape, const float* output, const float* output_gradient, float* slopes,
                   float* bias2) {
  std::memset(slopes, 0, shape.slopes_size() * sizeof(float));
  for (std::size_t o = 0; o < kChannels2; ++o) {
    for (std::size_t y = 0; y < kPooledRows; ++y) {
      const std::size_t at = (o * kPooledRows + y) * shape.pooled;
      float* const row = slopes + (o * (kPooledRows + 2) + y + 1) * shape.stride + 1;
      for (std::size_t x = 0; x < shape.pooled; ++x) row[x] = output[at + x] > 0.0F ? output_gradient[at + x] : 0.0F;
      Vector sum = load(bias2 + o * kLanes);
      for (std::size_t block = 0; block < shape.blocks; ++block) sum = sum + load(row + block * kLanes);
      _mm256_storeu_ps(bias2 + o * kLanes, sum);
    }
  }
}

/// Gradient by one channel's part of the second convolution's weights. @param weight2  [9][5][8].
void second_weights(const PlaneShape& shape, const float* pooled, const float* slopes, float* weight2) {
  for (std::size_t dy = 0; dy < 3; ++dy) {
    float* const sums_of_row = weight2 + 3 * dy * kChannels2 * kLanes;
    Vector sums[3][kChannels2];
    for (std::size_t i = 0; i < 3 * kChannels2; ++i) sums[i / kChannels2][i % kChannels2] = load(sums_of_row + i * 8);
    for (std::size_t y = 0; y < kPooledRows; ++y) {
      const float* const values = pooled + (y + dy) * shape.stride;
      const float* const row = slopes + (y + 1) * shape.stride + 1;
      for (std::size_t block = 0; block < shape.blocks; ++block) {
#pragma GCC unroll 3
        for (std::size_t dx = 0; dx < 3; ++dx) {
          const Vector value = load(values + block * kLanes + dx);
#pragma GCC unroll 5
          for (std::size_t o = 0; o < kChannels2; ++o) {
            sums[dx][o] =
                multiply_add(value, load(row + o * (kPooledRows + 2) * shape.stride + block * kLanes), sums[dx][o]);
          }
        }
      }
    }
    for (std::size_t i = 0; i < 3 * kChannels2; ++i) {
      _mm256_storeu_ps(sums_of_row + i * 8, sums[i / kChannels2][i % kChannels2]);
    }
  }
}

/// Gradient by the pooled numbers of `kCount` channels, through their ReLU: [channel][16][blocks * 8].
template <std::size_t kCount>
inline void pooled_gradient(const PlaneShape& shape, const PlaneWeights& weights, std::size_t channel,
                            const float* pooled, const float* slopes, float* by_pooled) {
  constexpr std::size_t kTaps = 9 * kChannels2;
  for (std::size_t y = 0; y < kPooledRows; ++y) {
    for (std::size_t block = 0; block < shape.blocks; ++block) {
      Vector sums[kCount];
      for (Vector& sum : sums) sum = _mm256_setzero_ps();
      for (std::size_t o = 0; o < kChannels2; ++o) {
        const float* const plane = slopes + o * (kPooledRows + 2) * shape.stride + block * kLanes;
#pragma GCC unroll 3
        for (std::size_t dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
          for (std::size_t dx = 0; dx < 3; ++dx) {
            const Vector value = load(plane + (y + 2 - dy) * shape.stride + 2 - dx);
            const float* const weight = weights.weight2 + channel * kTaps + (3 * dy + dx) * kChannels2 + o;
#pragma GCC unroll 8
            for (std::size_t c = 0; c < kCount; ++c) sums[c] = multiply_add(value, spread(weight + c * kTaps), sums[c]);
          }
        }
      }
      for (std::size_t c = 0; c < kCount; ++c) {
        const float* const active =
            pooled + (channel + c) * (kPooledRows + 2) * shape.stride + (y + 1) * shape.stride + 1 + block * kLanes;
        const Vector open = larger(load(active), _mm256_setzero_ps());
        _mm256_storeu_ps(by_pooled + ((channel + c) * kPooledRows + y) * shape.blocks * kLanes + block * kLanes,
                         _mm256_and_ps(sums[c], open));
      }
    }
  }
}

/// Gradient by one channel of the first convolution: each pooled number's goes to the one of four that it is.
void first_weights(const PlaneShape& shape, const float* halves, const float* by_pooled, const std::uint8_t* places,
                   float* weight1, float* bias1) {
  Vector sums[9];
  for (std::size_t i = 0; i < 9; ++i) sums[i] = load(weight1 + i * kLanes);
  Vector total = load(bias1);
  for (std::size_t y = 0; y < kPooledRows; ++y) {
    for (std::size_t block = 0; block < shape.blocks; ++block) {
      const std::size_t at = (y * shape.blocks + block) * kLanes;
      const Patch patch(shape, halves, y, block * kLanes);
      const Vector gradient = load(by_pooled + at);
      const __m256i place = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(places + at)));
      total = total + gradient;
#pragma GCC unroll 4
      for (int sub = 0; sub < 4; ++sub) {
        const __m256i here = _mm256_cmpeq_epi32(place, _mm256_set1_epi32(sub));
        const Vector part = _mm256_and_ps(gradient, _mm256_castsi256_ps(here));
#pragma GCC unroll 3
        for (int dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
          for (int dx = 0; dx < 3; ++dx) {
            const Vector value =
                patch.at(static_cast<std::size_t>(sub / 2 + dy), static_cast<std::size_t>(sub % 2 + dx));
            sums[3 * dy + dx] = multiply_add(part, value, sums[3 * dy + dx]);
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < 9; ++i) _mm256_storeu_ps(weight1 + i * kLanes, sums[i]);
  _mm256_storeu_ps(bias1, total);
}

}  // namespace

bool has_plane_kernels() noexcept { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

void plane_forward(const PlaneShape& shape, const PlaneWeights& weights, const float* input, float* halves,
                   float* pooled, std::uint8_t* places, float* output) {
  split_columns(shape, input, halves);
  for (std::size_t channel = 0; channel < kChannels1; ++channel) {
    first_layer(shape, weights.weight1 + 9 * channel, weights.bias1[channel], halves,
                pooled + channel * (kPooledRows + 2) * shape.stride,
                places + channel * kPooledRows * shape.blocks * kLanes);
  }
  for (std::size_t y = 0; y < kPooledRows; ++y) {
    std::size_t block = 0;
    for (; block + 2 <= shape.blocks; block += 2) {
      second_layer_at<2>(shape, weights, pooled, y, block * kLanes, output);
    }
    if (block < shape.blocks) second_layer_at<1>(shape, weights, pooled, y, block * kLanes, output);
  }
}

void plane_backward(const PlaneShape& shape, const PlaneWeights& weights, const float* input, const float* pooled,
                    const std::uint8_t* places, const float* output, const float* output_gradient, float* halves,
                    float* slopes, float* by_pooled, const PlaneGradients& gradients) {
  split_columns(shape, input, halves);
  second_slopes(shape, output, output_gradient, slopes, gradients.bias2);
  constexpr std::size_t kAtOnce = 8;
  for (std::size_t channel = 0; channel < kChannels1; channel += kAtOnce) {
    pooled_gradient<kAtOnce>(shape, weights, channel, pooled, slopes, by_pooled);
  }
  const std::size_t plane = (kPooledRows + 2) * shape.stride;
  const std::size_t area = kPooledRows * shape.blocks * kLanes;
  for (std::size_t channel = 0; channel < kChannels1; ++channel) {
    second_weights(shape, pooled + channel * plane, slopes, gradients.weight2 + channel * 9 * kChannels2 * kLanes);
    first_weights(shape, halves, by_pooled + channel * area, places + channel * area,
                  gradients.weight1 + channel * 9 * kLanes, gradients.bias1 + channel * kLanes);
  }
}

}  // namespace imagerank::reward

#pragma GCC pop_options
#else

namespace imagerank::reward {

bool has_plane_kernels() noexcept { return false; }
void plane_forward(const PlaneShape&, const PlaneWeights&, const float*, float*, float*, std::uint8_t*, float*) {}
void plane_backward(const PlaneShape&, const PlaneWeights&, const float*, const float*, const std::uint8_t*,
                    const float*, const float*, float*, float*, float*, const PlaneGradients&) {}

}  // namespace imagerank::reward
#endif
