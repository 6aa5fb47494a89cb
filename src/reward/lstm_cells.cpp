#include "reward/lstm_cells.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace imagerank::reward {
namespace {

#define IMAGERANK_INLINE __attribute__((always_inline)) inline

/// e^x, relative error below 2e-7; x is held to [-87, 87]. Written so that the compiler takes many at once.
IMAGERANK_INLINE float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 87.0F ? 87.0F : x;
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
  const float k = (x * std::numbers::log2e_v<float> + kRounder) - kRounder;
  // ln 2 in two parts, the first exact in few bits; minimax coefficients of Cephes' expf.
  const float r = (x - k * 0.693359375F) + k * 2.12194440e-4F;  // NOLINT(modernize-use-std-numbers): a part of it
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const auto power = std::bit_cast<float>((static_cast<std::int32_t>(k) + 127) << 23);
  return (p * (r * r) + (r + 1.0F)) * power;
}

IMAGERANK_INLINE float sigmoid(float x) { return 1.0F / (1.0F + exponential(-x)); }

/// Near 0, where a difference of numbers close to 1 would lose them, a polynomial of Cephes' tanhf.
IMAGERANK_INLINE float hyperbolic_tangent(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z + -5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z + -3.33332819422e-1F;
  const float near = x + x * (z * p);
  const float far = 1.0F - 2.0F / (exponential(2.0F * x) + 1.0F);
  return z < 0.390625F ? near : far;
}

/// Of a sigmoid and of a tanh, by what came out.
IMAGERANK_INLINE float sigmoid_slope(float y) { return y * (1.0F - y); }
IMAGERANK_INLINE float tanh_slope(float y) { return 1.0F - y * y; }

struct First {
  static IMAGERANK_INLINE void run(std::size_t hidden, const FirstCells& row) {
    float* const in = row.gates;
    float* const candidate = row.gates + 2 * hidden;
    float* const out = row.gates + 3 * hidden;
    float* const cell = row.cell;
    float* const squashed = row.squashed;
    float* const state = row.state;
#pragma GCC ivdep
    for (std::size_t j = 0; j < hidden; ++j) {
      const float i = sigmoid(in[j]), g = hyperbolic_tangent(candidate[j]), o = sigmoid(out[j]);
      const float c = i * g, t = hyperbolic_tangent(c);
      in[j] = i;
      candidate[j] = g;
      out[j] = o;
      cell[j] = c;
      squashed[j] = t;
      state[j] = o * t;
    }
  }
};

struct Second {
  static IMAGERANK_INLINE void run(std::size_t hidden, const SecondCells& row) {
    float* const in = row.gates;
    float* const forget = row.gates + hidden;
    float* const candidate = row.gates + 2 * hidden;
    float* const out = row.gates + 3 * hidden;
    const float* const first = row.first_cell;
    float* const squashed = row.squashed;
    float* const state = row.state;
#pragma GCC ivdep
    for (std::size_t j = 0; j < hidden; ++j) {
      const float i = sigmoid(in[j]), f = sigmoid(forget[j]), o = sigmoid(out[j]);
      const float g = hyperbolic_tangent(candidate[j]), t = hyperbolic_tangent(f * first[j] + i * g);
      in[j] = i;
      forget[j] = f;
      candidate[j] = g;
      out[j] = o;
      squashed[j] = t;
      state[j] = o * t;
    }
  }
};

struct BySecond {
  static IMAGERANK_INLINE void run(std::size_t hidden, const SecondSlopes& row) {
    const float* const gates = row.gates;
    const float* const squashed = row.squashed;
    const float* const first = row.first_cell;
    const float* const by_states = row.by_state;
    float* const by_gates = row.by_gates;
    float* const by_first = row.by_first_cell;
#pragma GCC ivdep
    for (std::size_t j = 0; j < hidden; ++j) {
      const float i = gates[j], f = gates[hidden + j], g = gates[2 * hidden + j], o = gates[3 * hidden + j];
      const float t = squashed[j], by_state = by_states[j], by_cell = by_state * o * tanh_slope(t);
      by_gates[j] = by_cell * g * sigmoid_slope(i);
      by_gates[hidden + j] = by_cell * first[j] * sigmoid_slope(f);
      by_gates[2 * hidden + j] = by_cell * i * tanh_slope(g);
      by_gates[3 * hidden + j] = by_state * t * sigmoid_slope(o);
      by_first[j] = by_cell * f;
    }
  }
};

struct ByFirst {
  static IMAGERANK_INLINE void run(std::size_t hidden, const FirstSlopes& row) {
    const float* const gates = row.gates;
    const float* const squashed = row.squashed;
    const float* const by_states = row.by_state;
    const float* const by_cells = row.by_cell;
    float* const by_gates = row.by_gates;
#pragma GCC ivdep
    for (std::size_t j = 0; j < hidden; ++j) {
      const float i = gates[j], g = gates[2 * hidden + j], o = gates[3 * hidden + j];
      const float t = squashed[j], by_state = by_states[j], by_cell = by_cells[j] + by_state * o * tanh_slope(t);
      by_gates[j] = by_cell * g * sigmoid_slope(i);
      by_gates[hidden + j] = 0.0F;
      by_gates[2 * hidden + j] = by_cell * i * tanh_slope(g);
      by_gates[3 * hidden + j] = by_state * t * sigmoid_slope(o);
    }
  }
};

#if defined(__x86_64__)
// NOLINTNEXTLINE(readability-implicit-bool-conversion): GCC gives an int, clang a bool
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#define IMAGERANK_AVX2 __attribute__((target("avx2,fma")))
#else
constexpr bool kHasAvx2 = false;
#define IMAGERANK_AVX2
#endif

IMAGERANK_AVX2 void first_cells_avx2(std::size_t hidden, const FirstCells& row) noexcept { First::run(hidden, row); }
IMAGERANK_AVX2 void second_cells_avx2(std::size_t hidden, const SecondCells& row) noexcept { Second::run(hidden, row); }
IMAGERANK_AVX2 void second_slopes_avx2(std::size_t hidden, const SecondSlopes& row) noexcept {
  BySecond::run(hidden, row);
}
IMAGERANK_AVX2 void first_slopes_avx2(std::size_t hidden, const FirstSlopes& row) noexcept {
  ByFirst::run(hidden, row);
}

}  // namespace

void first_cells(std::size_t hidden, const FirstCells& row) noexcept {
  kHasAvx2 ? first_cells_avx2(hidden, row) : First::run(hidden, row);
}
void second_cells(std::size_t hidden, const SecondCells& row) noexcept {
  kHasAvx2 ? second_cells_avx2(hidden, row) : Second::run(hidden, row);
}
void second_slopes(std::size_t hidden, const SecondSlopes& row) noexcept {
  kHasAvx2 ? second_slopes_avx2(hidden, row) : BySecond::run(hidden, row);
}
void first_slopes(std::size_t hidden, const FirstSlopes& row) noexcept {
  kHasAvx2 ? first_slopes_avx2(hidden, row) : ByFirst::run(hidden, row);
}

}  // namespace imagerank::reward
