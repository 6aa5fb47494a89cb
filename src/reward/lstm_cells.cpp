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
  static IMAGERANK_INLINE void run(std::size_t count, const FirstCells& unit) {
    const auto [in, candidate, out, unused] = unit.gates;
    const GateBiases biases = unit.biases;
    float* const cell = unit.cell;
    float* const squashed = unit.squashed;
    float* const state = unit.state;
#pragma GCC ivdep
    for (std::size_t j = 0; j < count; ++j) {
      const float i = sigmoid(in[j] + biases.input), g = hyperbolic_tangent(candidate[j] + biases.candidate);
      const float o = sigmoid(out[j] + biases.output), c = i * g, t = hyperbolic_tangent(c);
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
  static IMAGERANK_INLINE void run(std::size_t count, const SecondCells& unit) {
    const auto [in, candidate, out, forget] = unit.gates;
    const GateBiases biases = unit.biases;
    const float* const first = unit.first_cell;
    float* const squashed = unit.squashed;
    float* const state = unit.state;
#pragma GCC ivdep
    for (std::size_t j = 0; j < count; ++j) {
      const float i = sigmoid(in[j] + biases.input), f = sigmoid(forget[j] + biases.forget);
      const float o = sigmoid(out[j] + biases.output), g = hyperbolic_tangent(candidate[j] + biases.candidate);
      const float t = hyperbolic_tangent(f * first[j] + i * g);
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
  static IMAGERANK_INLINE void run(std::size_t count, const SecondSlopes& unit) {
    const auto [in, candidate, out, forget] = unit.gates;
    const auto [by_in, by_candidate, by_out, by_forget] = unit.by_gates;
    const float* const squashed = unit.squashed;
    const float* const first = unit.first_cell;
    const float* const by_states = unit.by_state;
    float* const by_first = unit.by_first_cell;
#pragma GCC ivdep
    for (std::size_t j = 0; j < count; ++j) {
      const float i = in[j], f = forget[j], g = candidate[j], o = out[j];
      const float t = squashed[j], by_state = by_states[j], by_cell = by_state * o * tanh_slope(t);
      by_in[j] = by_cell * g * sigmoid_slope(i);
      by_forget[j] = by_cell * first[j] * sigmoid_slope(f);
      by_candidate[j] = by_cell * i * tanh_slope(g);
      by_out[j] = by_state * t * sigmoid_slope(o);
      by_first[j] = by_cell * f;
    }
  }
};

struct ByFirst {
  static IMAGERANK_INLINE void run(std::size_t count, const FirstSlopes& unit) {
    const auto [in, candidate, out, unused] = unit.gates;
    const auto [by_in, by_candidate, by_out, by_unused] = unit.by_gates;
    const float* const squashed = unit.squashed;
    const float* const by_states = unit.by_state;
    const float* const by_cells = unit.by_cell;
#pragma GCC ivdep
    for (std::size_t j = 0; j < count; ++j) {
      const float i = in[j], g = candidate[j], o = out[j];
      const float t = squashed[j], by_state = by_states[j], by_cell = by_cells[j] + by_state * o * tanh_slope(t);
      by_in[j] = by_cell * g * sigmoid_slope(i);
      by_candidate[j] = by_cell * i * tanh_slope(g);
      by_out[j] = by_state * t * sigmoid_slope(o);
    }
  }
};

#if defined(__x86_64__)
const bool kHasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
const bool kHasAvx512 = kHasAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#define IMAGERANK_AVX2 __attribute__((target("avx2,fma")))
#define IMAGERANK_AVX512 __attribute__((target("avx512f,avx512dq,fma,prefer-vector-width=512")))
#else
constexpr bool kHasAvx2 = false, kHasAvx512 = false;
#define IMAGERANK_AVX2
#define IMAGERANK_AVX512
#endif

template <typename Pass, typename Unit>
IMAGERANK_AVX512 void run_avx512(std::size_t count, const Unit& unit) noexcept {
  Pass::run(count, unit);
}
template <typename Pass, typename Unit>
IMAGERANK_AVX2 void run_avx2(std::size_t count, const Unit& unit) noexcept {
  Pass::run(count, unit);
}
template <typename Pass, typename Unit>
void run(std::size_t count, const Unit& unit) noexcept {
  if (kHasAvx512) {
    run_avx512<Pass>(count, unit);
  } else if (kHasAvx2) {
    run_avx2<Pass>(count, unit);
  } else {
    Pass::run(count, unit);
  }
}

}  // namespace

void first_cells(std::size_t count, const FirstCells& unit) noexcept { run<First>(count, unit); }
void second_cells(std::size_t count, const SecondCells& unit) noexcept { run<Second>(count, unit); }
void second_slopes(std::size_t count, const SecondSlopes& unit) noexcept { run<BySecond>(count, unit); }
void first_slopes(std::size_t count, const FirstSlopes& unit) noexcept { run<ByFirst>(count, unit); }

}  // namespace imagerank::reward
