#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "reward/conv_plane_kernels.h"

// The passes of PlaneKernels over a vector type V. Include it where functions are compiled for V's instructions: V is
// kLanes floats, with the arithmetic of a Vector and with Places, which of four numbers each lane's largest is.

// NOLINTBEGIN(modernize-avoid-c-arrays): std::array loses what the compiler knows of a vector's alignment
namespace imagerank::reward {

template <class V>
struct PlaneLoops {
  using Vector = typename V::Vector;
  static constexpr std::size_t kLanes = V::kLanes;

  /// The zero-padded input's even and odd columns, apart: a pooled column's four input columns then lie at one index.
  static void split_columns(const PlaneShape& shape, const float* input, float* halves) {
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

  /// The 4 x 4 numbers under kLanes pooled columns: patch[row][column].
  struct Patch {
    const float* even;
    const float* odd;
    std::size_t stride;

    Patch(const PlaneShape& shape, const float* halves, std::size_t pooled_row, std::size_t column)
        : even(halves + 2 * pooled_row * shape.stride + column),
          odd(even + (kPlaneRows + 2) * shape.stride),
          stride(shape.stride) {}
    [[nodiscard]] Vector at(std::size_t row, std::size_t column) const {
      return V::load((column % 2 == 0 ? even : odd) + row * stride + column / 2);
    }
  };

  /// First convolution, pool and ReLU of one channel.
  static void first_layer(const PlaneShape& shape, const float* weight, float bias, const float* halves, float* pooled,
                          std::uint8_t* places) {
    Vector taps[9];
    for (int i = 0; i < 9; ++i) taps[i] = V::spread(weight + i);
    const Vector shift = V::spread(&bias), zero = V::zero();
    std::memset(pooled, 0, (kPooledRows + 2) * shape.stride * sizeof(float));
    for (std::size_t y = 0; y < kPooledRows; ++y) {
      for (std::size_t block = 0; block < shape.blocks; ++block) {
        const Patch patch(shape, halves, y, block * kLanes);
        Vector sums[4] = {zero, zero, zero, zero};
#pragma GCC unroll 4
        for (int row = 0; row < 4; ++row) {
#pragma GCC unroll 4
          for (int column = 0; column < 4; ++column) {
            const Vector value = patch.at(static_cast<std::size_t>(row), static_cast<std::size_t>(column));
#pragma GCC unroll 4
            for (int sub = 0; sub < 4; ++sub) {
              const int dy = row - sub / 2;
              const int dx = column - sub % 2;
              if (dy >= 0 && dy < 3 && dx >= 0 && dx < 3) sums[sub] = V::fma(value, taps[3 * dy + dx], sums[sub]);
            }
          }
        }
        const Vector largest = V::largest(sums, places + (y * shape.blocks + block) * kLanes);
        V::store(pooled + (y + 1) * shape.stride + 1 + block * kLanes, V::max(V::add(largest, shift), zero));
      }
      // What a last, partial vector wrote behind the row is padding.
      float* const row = pooled + (y + 1) * shape.stride;
      std::memset(row + 1 + shape.pooled, 0, (shape.stride - 1 - shape.pooled) * sizeof(float));
    }
  }

  /// `kBlocks` vectors of all five outputs at one place.
  template <int kBlocks>
  static void second_layer_at(const PlaneShape& shape, const PlaneWeights& weights, const float* pooled, std::size_t y,
                              std::size_t column, float* output) {
    Vector sums[kChannels2][kBlocks];
    for (std::size_t o = 0; o < kChannels2; ++o) {
      for (int b = 0; b < kBlocks; ++b) sums[o][b] = V::spread(weights.bias2 + o);
    }
    const float* weight = weights.weight2;
    for (std::size_t channel = 0; channel < kChannels1; ++channel) {
      const float* const plane = pooled + channel * (kPooledRows + 2) * shape.stride + y * shape.stride + column;
#pragma GCC unroll 3
      for (std::size_t dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
        for (std::size_t dx = 0; dx < 3; ++dx, weight += kChannels2) {
          Vector values[kBlocks];
          for (int b = 0; b < kBlocks; ++b) values[b] = V::load(plane + dy * shape.stride + dx + kLanes * b);
#pragma GCC unroll 5
          for (std::size_t o = 0; o < kChannels2; ++o) {
            const Vector one = V::spread(weight + o);
            for (int b = 0; b < kBlocks; ++b) sums[o][b] = V::fma(values[b], one, sums[o][b]);
          }
        }
      }
    }
    for (std::size_t o = 0; o < kChannels2; ++o) {
      float* const row = output + (o * kPooledRows + y) * shape.pooled;
      for (int b = 0; b < kBlocks; ++b) {
        const std::size_t begin = column + static_cast<std::size_t>(b) * kLanes;
        const Vector result = V::max(sums[o][b], V::zero());
        if (begin + kLanes <= shape.pooled) {
          V::store(row + begin, result);
        } else {
          float lanes[kLanes];
          V::store(lanes, result);
          std::memcpy(row + begin, lanes, (shape.pooled - begin) * sizeof(float));
        }
      }
    }
  }

  /// Gradient by what the second convolution gave before its ReLU, zero-padded; and by its bias.
  static void second_slopes(const PlaneShape& shape, const float* output, const float* output_gradient, float* slopes,
                            float* bias2) {
    std::memset(slopes, 0, shape.slopes_size() * sizeof(float));
    for (std::size_t o = 0; o < kChannels2; ++o) {
      for (std::size_t y = 0; y < kPooledRows; ++y) {
        const std::size_t at = (o * kPooledRows + y) * shape.pooled;
        float* const row = slopes + (o * (kPooledRows + 2) + y + 1) * shape.stride + 1;
        for (std::size_t x = 0; x < shape.pooled; ++x) row[x] = output[at + x] > 0.0F ? output_gradient[at + x] : 0.0F;
        Vector sum = V::load(bias2 + o * kLanes);
        for (std::size_t block = 0; block < shape.blocks; ++block) sum = V::add(sum, V::load(row + block * kLanes));
        V::store(bias2 + o * kLanes, sum);
      }
    }
  }

  /// Gradient by one channel's part of the second convolution's weights. @param weight2  [9][5][kLanes].
  static void second_weights(const PlaneShape& shape, const float* pooled, const float* slopes, float* weight2) {
    for (std::size_t dy = 0; dy < 3; ++dy) {
      float* const sums_of_row = weight2 + 3 * dy * kChannels2 * kLanes;
      Vector sums[3][kChannels2];
      for (std::size_t i = 0; i < 3 * kChannels2; ++i) {
        sums[i / kChannels2][i % kChannels2] = V::load(sums_of_row + i * kLanes);
      }
      for (std::size_t y = 0; y < kPooledRows; ++y) {
        const float* const values = pooled + (y + dy) * shape.stride;
        const float* const row = slopes + (y + 1) * shape.stride + 1;
        for (std::size_t block = 0; block < shape.blocks; ++block) {
#pragma GCC unroll 3
          for (std::size_t dx = 0; dx < 3; ++dx) {
            const Vector value = V::load(values + block * kLanes + dx);
#pragma GCC unroll 5
            for (std::size_t o = 0; o < kChannels2; ++o) {
              const Vector slope = V::load(row + o * (kPooledRows + 2) * shape.stride + block * kLanes);
              sums[dx][o] = V::fma(value, slope, sums[dx][o]);
            }
          }
        }
      }
      for (std::size_t i = 0; i < 3 * kChannels2; ++i) {
        V::store(sums_of_row + i * kLanes, sums[i / kChannels2][i % kChannels2]);
      }
    }
  }

  /// Gradient by the pooled numbers of kChannelsAtOnce channels, through their ReLU: [channel][16][blocks * kLanes].
  template <std::size_t kBlocks>
  static void pooled_gradient_at(const PlaneShape& shape, const PlaneWeights& weights, std::size_t channel,
                                 const float* pooled, const float* slopes, std::size_t y, std::size_t block,
                                 float* by_pooled) {
    constexpr std::size_t kTaps = 9 * kChannels2;
    Vector sums[kChannelsAtOnce][kBlocks];
    for (auto& of_channel : sums) {
      for (Vector& sum : of_channel) sum = V::zero();
    }
    for (std::size_t o = 0; o < kChannels2; ++o) {
      const float* const plane = slopes + o * (kPooledRows + 2) * shape.stride + block * kLanes;
#pragma GCC unroll 3
      for (std::size_t dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
        for (std::size_t dx = 0; dx < 3; ++dx) {
          Vector values[kBlocks];
          for (std::size_t b = 0; b < kBlocks; ++b) {
            values[b] = V::load(plane + (y + 2 - dy) * shape.stride + 2 - dx + b * kLanes);
          }
          const float* const weight = weights.weight2 + channel * kTaps + (3 * dy + dx) * kChannels2 + o;
#pragma GCC unroll 8
          for (std::size_t c = 0; c < kChannelsAtOnce; ++c) {
            const Vector one = V::spread(weight + c * kTaps);
            for (std::size_t b = 0; b < kBlocks; ++b) sums[c][b] = V::fma(values[b], one, sums[c][b]);
          }
        }
      }
    }
    for (std::size_t c = 0; c < kChannelsAtOnce; ++c) {
      for (std::size_t b = 0; b < kBlocks; ++b) {
        const std::size_t column = (block + b) * kLanes;
        const float* const active =
            pooled + (channel + c) * (kPooledRows + 2) * shape.stride + (y + 1) * shape.stride + 1 + column;
        V::store(by_pooled + ((channel + c) * kPooledRows + y) * shape.blocks * kLanes + column,
                 V::where_positive(V::load(active), sums[c][b]));
      }
    }
  }

  /// Gradient by one channel of the first convolution: each pooled number's goes to the one of four that it is.
  static void first_weights(const PlaneShape& shape, const float* halves, const float* by_pooled,
                            const std::uint8_t* places, float* weight1, float* bias1) {
    Vector sums[9];
    for (std::size_t i = 0; i < 9; ++i) sums[i] = V::load(weight1 + i * kLanes);
    Vector total = V::load(bias1);
    for (std::size_t y = 0; y < kPooledRows; ++y) {
      for (std::size_t block = 0; block < shape.blocks; ++block) {
        const std::size_t at = (y * shape.blocks + block) * kLanes;
        const Patch patch(shape, halves, y, block * kLanes);
        const Vector gradient = V::load(by_pooled + at);
        const typename V::Places place = V::load_places(places + at);
        total = V::add(total, gradient);
#pragma GCC unroll 4
        for (int sub = 0; sub < 4; ++sub) {
          const Vector part = V::where_place(place, sub, gradient);
#pragma GCC unroll 3
          for (int dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
            for (int dx = 0; dx < 3; ++dx) {
              const Vector value = patch.at(static_cast<std::size_t>(sub / 2) + static_cast<std::size_t>(dy),
                                            static_cast<std::size_t>(sub % 2) + static_cast<std::size_t>(dx));
              sums[3 * dy + dx] = V::fma(part, value, sums[3 * dy + dx]);
            }
          }
        }
      }
    }
    for (std::size_t i = 0; i < 9; ++i) V::store(weight1 + i * kLanes, sums[i]);
    V::store(bias1, total);
  }

  static void forward(const PlaneShape& shape, const PlaneWeights& weights, const float* input, float* halves,
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

  static void backward(const PlaneShape& shape, const PlaneWeights& weights, const float* input, const float* pooled,
                       const std::uint8_t* places, const float* output, const float* output_gradient, float* halves,
                       float* slopes, float* by_pooled, const PlaneGradients& gradients) {
    split_columns(shape, input, halves);
    second_slopes(shape, output, output_gradient, slopes, gradients.bias2);
    for (std::size_t channel = 0; channel < kChannels1; channel += kChannelsAtOnce) {
      for (std::size_t y = 0; y < kPooledRows; ++y) {
        std::size_t block = 0;
        for (; block + V::kBlocksAtOnce <= shape.blocks; block += V::kBlocksAtOnce) {
          pooled_gradient_at<V::kBlocksAtOnce>(shape, weights, channel, pooled, slopes, y, block, by_pooled);
        }
        for (; block < shape.blocks; ++block) {
          pooled_gradient_at<1>(shape, weights, channel, pooled, slopes, y, block, by_pooled);
        }
      }
    }
    const std::size_t plane = (kPooledRows + 2) * shape.stride;
    const std::size_t area = kPooledRows * shape.blocks * kLanes;
    for (std::size_t channel = 0; channel < kChannels1; ++channel) {
      second_weights(shape, pooled + channel * plane, slopes, gradients.weight2 + channel * 9 * kChannels2 * kLanes);
      first_weights(shape, halves, by_pooled + channel * area, places + channel * area,
                    gradients.weight1 + channel * 9 * kLanes, gradients.bias1 + channel * kLanes);
    }
  }

 private:
  static constexpr std::size_t kChannelsAtOnce = 8;
};

}  // namespace imagerank::reward
// NOLINTEND(modernize-avoid-c-arrays)
