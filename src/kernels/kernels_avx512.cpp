// GCC 12's intrinsics pass what they leave undefined (GCC bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/levels.h"

// Standard headers come first, so that what they define is compiled for any CPU.
#include "kernels/kernels.h"

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma"))), apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma")
#endif

#include "kernels/row_loops.h"

// NOLINTBEGIN(portability-simd-intrinsics): the instructions are the point
namespace imagerank::kernels {
namespace {

struct Avx512 {
  static constexpr std::size_t kLanes = 16;
  __m512 v;

  static Avx512 load(const float* x) { return {_mm512_loadu_ps(x)}; }
  static Avx512 set(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* x) const { _mm512_storeu_ps(x, v); }
  [[nodiscard]] float total() const { return _mm512_reduce_add_ps(v); }
  [[nodiscard]] float largest() const { return _mm512_reduce_max_ps(v); }
  /// By integers rather than AVX512_BF16's own conversion, which not every AVX-512 CPU has.
  void store_bf16(std::uint16_t* x) const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(x),
                        _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(nan, rounded, quiet)));
  }
  /// The first `count` of x, then those of `other`.
  static Avx512 load_first(const float* x, std::size_t count, Avx512 other) {
    return {_mm512_mask_loadu_ps(other.v, static_cast<__mmask16>((1U << count) - 1U), x)};
  }
  /// x [n] * factor, rounded, kInt8Offset added, within 0 to 255.
  static void store_int8(const float* x, std::size_t n, Avx512 factor, std::uint8_t* out) {
    const auto rounded = [&](std::size_t i) {
      return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), factor.v));
    };
    // What is packed two by two comes in quarters of 4 bytes of each.
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(kInt8Offset));
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
      const __m512i low = _mm512_packs_epi32(rounded(i), rounded(i + 16));
      const __m512i high = _mm512_packs_epi32(rounded(i + 32), rounded(i + 48));
      const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
      _mm512_storeu_si512(out + i, _mm512_xor_si512(bytes, offset));
    }
    for (; i < n; i += 16) {
      const __m128i bytes = _mm512_cvtsepi32_epi8(rounded(i));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_xor_si128(bytes, _mm512_castsi512_si128(offset)));
    }
  }
  static Avx512 difference(const std::int32_t* a, const std::int32_t* b) {
    return {_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(a), _mm512_loadu_si512(b)))};
  }
  /// Byte `at` of each step of a panel of int8.
  static Avx512 weights(const std::byte* step, int at) {
    const __m512i shifted = _mm512_sll_epi32(_mm512_loadu_si512(step), _mm_cvtsi32_si128(24 - 8 * at));
    return {_mm512_cvtepi32_ps(_mm512_srai_epi32(shifted, 24))};
  }
  /// 16 rows of 16 words, `stride` bytes apart, to 16 columns.
  static void transpose(const std::byte* rows, std::size_t stride, std::byte* out, std::size_t out_stride) {
    __m512i a[16], b[16];  // NOLINT(modernize-avoid-c-arrays)
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) a[i] = _mm512_loadu_si512(rows + i * stride);
    // Words, pairs of words, then the four quarters of a vector change places.
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 16; i += 2) {
      b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 16; i += 4) {
      a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
      a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
      a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
      a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      b[i] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
      b[i + 4] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
      b[i + 8] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
      b[i + 12] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88));
      _mm512_storeu_si512(out + (i + 4) * out_stride, _mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0x88));
      _mm512_storeu_si512(out + (i + 8) * out_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd));
      _mm512_storeu_si512(out + (i + 12) * out_stride, _mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0xdd));
    }
  }
  static void interleave(const std::byte* a, const std::byte* b, std::byte* out) {
    const __m512i low = _mm512_loadu_si512(a), high = _mm512_loadu_si512(b);
    const __m512i even = _mm512_unpacklo_epi16(low, high), odd = _mm512_unpackhi_epi16(low, high);
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(even, first, odd));
    _mm512_storeu_si512(out + 64, _mm512_permutex2var_epi64(even, second, odd));
  }
};
Avx512 operator+(Avx512 a, Avx512 b) { return {_mm512_add_ps(a.v, b.v)}; }
Avx512 operator-(Avx512 a, Avx512 b) { return {_mm512_sub_ps(a.v, b.v)}; }
Avx512 operator*(Avx512 a, Avx512 b) { return {_mm512_mul_ps(a.v, b.v)}; }
Avx512 fma(Avx512 a, Avx512 b, Avx512 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/// By the CPU's 14 bits and a Newton step: within 2e-7 of it.
Avx512 reciprocal(Avx512 a) {
  const __m512 guess = _mm512_rcp14_ps(a.v);
  return {_mm512_mul_ps(guess, _mm512_fnmadd_ps(a.v, guess, _mm512_set1_ps(2.0F)))};
}
Avx512 min(Avx512 a, Avx512 b) { return {_mm512_min_ps(a.v, b.v)}; }
Avx512 max(Avx512 a, Avx512 b) { return {_mm512_max_ps(a.v, b.v)}; }
Avx512 abs(Avx512 a) { return {_mm512_abs_ps(a.v)}; }
/// a * b - c
Avx512 fms(Avx512 a, Avx512 b, Avx512 c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
/// A bit for each lane in which a > b.
std::uint32_t lanes_above(Avx512 a, Avx512 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
/// The first `count` of a, then zeros.
Avx512 keep_first(Avx512 a, std::size_t count) {
  return {_mm512_maskz_mov_ps(static_cast<__mmask16>((1U << count) - 1U), a.v)};
}
Avx512 scale_by_power(Avx512 a, Avx512 k) { return {_mm512_scalef_ps(a.v, k.v)}; }
Avx512 select_negative(Avx512 a, Avx512 yes, Avx512 no) {
  return {_mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(a.v)), no.v, yes.v)};
}

// How a step's 4 bytes are multiplied: in one part, or the even numbers and then the odd ones, widened. number<kPart>
// makes a part of a row's step, once for all columns of a run, and weights<kPart> that of a panel's.

struct Fp32Dot {
  using Sum = __m512;
  static constexpr std::size_t kParts = 1;
  static Sum zero() { return _mm512_setzero_ps(); }
  template <std::size_t kPart>
  static __m512i weights(__m512i b) {
    return b;
  }
  static Sum add(Sum sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  static Sum load(const void* sums) { return _mm512_loadu_ps(sums); }
  static void store(void* out, Sum sum) { _mm512_storeu_ps(out, sum); }
};

/// Exactly, as bfloat16 is the upper half of a float32.
struct WideBf16Dot : Fp32Dot {
  static constexpr std::size_t kParts = 2;
  template <std::size_t kPart>
  static __m512i weights(__m512i b) {
    return kPart == 0 ? _mm512_slli_epi32(b, 16) : _mm512_andnot_si512(_mm512_set1_epi32(0xffff), b);
  }
  template <std::size_t kPart>
  static __m512i number(__m512i a) {
    return weights<kPart>(a);
  }
};

struct Bf16Dot : Fp32Dot {
  static Sum add(Sum sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

struct Int8Dot {
  using Sum = __m512i;
  static constexpr std::size_t kParts = 1;
  static Sum zero() { return _mm512_setzero_si512(); }
  template <std::size_t kPart>
  static __m512i weights(__m512i b) {
    return b;
  }
  static Sum add(Sum sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, a, b); }
  static Sum load(const void* sums) { return _mm512_loadu_si512(sums); }
  static void store(void* out, Sum sum) { _mm512_storeu_si512(out, sum); }
};

/// 28 sums, a part of a step's two vectors of weights, and one number of a row at a time: 31 of 32 registers.
constexpr std::size_t kHeight = 14;
/// Steps whose rows are widened at a time: 14 KB of them, beside 16 KB of a panel.
constexpr std::size_t kWideSteps = 128;

template <class Dot, std::size_t kPart>
void add_part(typename Dot::Sum* left, typename Dot::Sum* right, const std::byte* rows, std::size_t stride,
              const std::byte* panel) {
  const __m512i b0 = Dot::template weights<kPart>(_mm512_loadu_si512(panel));
  const __m512i b1 = Dot::template weights<kPart>(_mm512_loadu_si512(panel + 64));
#pragma GCC unroll 14
  for (std::size_t r = 0; r < kHeight; ++r) {
    std::int32_t number = 0;
    std::memcpy(&number, rows + r * stride, sizeof(number));
    const __m512i a = _mm512_set1_epi32(number);
    left[r] = Dot::add(left[r], a, b0);
    right[r] = Dot::add(right[r], a, b1);
    if constexpr (Dot::kParts > 1)
      asm volatile("" : "+v"(left[r]), "+v"(right[r]));  // or GCC 12 mixes the parts, and runs out of registers
  }
}

/// @param part_stride  bytes between the parts of a row.
template <class Dot>
void run_parts(const std::byte* rows, std::size_t stride, std::size_t part_stride, const std::byte* panel,
               std::size_t steps, std::byte* out, bool add) {
  // NOLINTNEXTLINE(modernize-avoid-c-arrays): std::array loses what the compiler knows of a vector's alignment
  typename Dot::Sum left[kHeight], right[kHeight];
#pragma GCC unroll 14
  for (std::size_t r = 0; r < kHeight; ++r) {
    left[r] = add ? Dot::load(out + r * kPanelColumns * 4) : Dot::zero();
    right[r] = add ? Dot::load(out + r * kPanelColumns * 4 + 64) : Dot::zero();
  }
  for (std::size_t step = 0; step < steps; ++step) {
    add_part<Dot, 0>(left, right, rows, stride, panel);
    if constexpr (Dot::kParts > 1) add_part<Dot, 1>(left, right, rows + part_stride, stride, panel);
    rows += kStepBytes;
    panel += kPanelColumns * kStepBytes;
  }
#pragma GCC unroll 14
  for (std::size_t r = 0; r < kHeight; ++r) {
    Dot::store(out + r * kPanelColumns * 4, left[r]);
    Dot::store(out + r * kPanelColumns * 4 + 64, right[r]);
  }
}

template <class Dot>
void run_tile(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
              bool add) {
  run_parts<Dot>(rows, stride, 0, panel, steps, static_cast<std::byte*>(tile), add);
}

template <class Dot>
void run_widened(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
                 bool add) {
  constexpr std::size_t kPartBytes = kWideSteps * kStepBytes, kLanes = sizeof(__m512i) / kStepBytes;
  alignas(64) std::byte wide[kHeight * 2 * kPartBytes];  // NOLINT(modernize-avoid-c-arrays): not zeroed
  for (std::size_t first = 0; first < steps; first += kWideSteps) {
    const std::size_t count = std::min(kWideSteps, steps - first);
    for (std::size_t r = 0; r < kHeight; ++r) {
      const std::byte* from = rows + r * stride + first * kStepBytes;
      std::byte* to = wide + r * 2 * kPartBytes;
      for (std::size_t i = 0; i < count; i += kLanes) {
        const __m512i numbers = _mm512_loadu_si512(from + i * kStepBytes);
        _mm512_store_si512(to + i * kStepBytes, Dot::template number<0>(numbers));
        _mm512_store_si512(to + kPartBytes + i * kStepBytes, Dot::template number<1>(numbers));
      }
    }
    run_parts<Dot>(wide, 2 * kPartBytes, kPartBytes, panel + first * kPanelColumns * kStepBytes, count,
                   static_cast<std::byte*>(tile), add || first != 0);
  }
}

}  // namespace

Tile avx512_fp32_tile() { return {kHeight, "AVX-512", run_tile<Fp32Dot>}; }
Tile avx512_widened_tile() { return {kHeight, "AVX-512, bfloat16 widened", run_widened<WideBf16Dot>}; }
Tile avx512_bf16_tile() { return {kHeight, "AVX-512 BF16", run_tile<Bf16Dot>}; }
Tile avx512_int8_tile() { return {kHeight, "AVX-512 VNNI", run_tile<Int8Dot>}; }
RowKernels avx512_rows() { return row_kernels<Avx512>(); }

}  // namespace imagerank::kernels
// NOLINTEND(portability-simd-intrinsics)

#if defined(__clang__)
#pragma clang attribute pop
#endif
