#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/levels.h"

// Standard headers come first, so that what they define is compiled for any CPU.
#include "kernels/kernels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("avx2,fma")
#endif

#include "kernels/row_loops.h"

// NOLINTBEGIN(portability-simd-intrinsics): the instructions are the point
namespace imagerank::kernels {
namespace {

struct Avx2 {
  static constexpr std::size_t kLanes = 8;
  __m256 v;

  static Avx2 load(const float* x) { return {_mm256_loadu_ps(x)}; }
  static Avx2 set(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* x) const { _mm256_storeu_ps(x, v); }
  [[nodiscard]] float total() const {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  [[nodiscard]] float largest() const {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  void store_bf16(std::uint16_t* x) const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, nan);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(x),
                     _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1)));
  }
  /// Of the first `count` lanes.
  static __m256 mask(std::size_t count) {
    const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes));
  }
  /// The first `count` of x, then those of `other`.
  static Avx2 load_first(const float* x, std::size_t count, Avx2 other) {
    const __m256 first = mask(count);
    return {_mm256_blendv_ps(other.v, _mm256_maskload_ps(x, _mm256_castps_si256(first)), first)};
  }
  /// x [n] * factor, rounded, kInt8Offset added, within 0 to 255.
  static void store_int8(const float* x, std::size_t n, Avx2 factor, std::uint8_t* out) {
    const auto rounded = [&](std::size_t i) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor.v));
    };
    const __m128i offset = _mm_set1_epi8(static_cast<char>(kInt8Offset));
    for (std::size_t i = 0; i < n; i += 16) {
      // What is packed comes in halves of 8 bytes of each.
      const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded(i), rounded(i + 8)), 0xd8);
      const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_xor_si128(bytes, offset));
    }
  }
  static Avx2 difference(const std::int32_t* a, const std::int32_t* b) {
    return {_mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                                                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b))))};
  }
  /// Byte `at` of each step of a panel of int8.
  static Avx2 weights(const std::byte* step, int at) {
    const __m256i shifted =
        _mm256_sll_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(step)), _mm_cvtsi32_si128(24 - 8 * at));
    return {_mm256_cvtepi32_ps(_mm256_srai_epi32(shifted, 24))};
  }
  /// 8 rows of 8 words, `stride` bytes apart, to 8 columns.
  static void transpose(const std::byte* rows, std::size_t stride, std::byte* out, std::size_t out_stride) {
    __m256 a[8], b[8];  // NOLINT(modernize-avoid-c-arrays)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(rows + i * stride));
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 8; i += 2) {
      b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 2
    for (std::size_t i = 0; i < 8; i += 4) {
      a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
      a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
      a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
      a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      _mm256_storeu_ps(reinterpret_cast<float*>(out + i * out_stride), _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
      _mm256_storeu_ps(reinterpret_cast<float*>(out + (i + 4) * out_stride),
                       _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
  }
  static void interleave(const std::byte* a, const std::byte* b, std::byte* out) {
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + half * 32));
      const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + half * 32));
      const __m256i even = _mm256_unpacklo_epi16(low, high), odd = _mm256_unpackhi_epi16(low, high);
      auto* target = reinterpret_cast<__m256i*>(out + half * 64);
      _mm256_storeu_si256(target, _mm256_permute2x128_si256(even, odd, 0x20));
      _mm256_storeu_si256(target + 1, _mm256_permute2x128_si256(even, odd, 0x31));
    }
  }
};
Avx2 operator+(Avx2 a, Avx2 b) { return {_mm256_add_ps(a.v, b.v)}; }
Avx2 operator-(Avx2 a, Avx2 b) { return {_mm256_sub_ps(a.v, b.v)}; }
Avx2 operator*(Avx2 a, Avx2 b) { return {_mm256_mul_ps(a.v, b.v)}; }
Avx2 reciprocal(Avx2 a) { return {_mm256_div_ps(_mm256_set1_ps(1.0F), a.v)}; }
Avx2 fma(Avx2 a, Avx2 b, Avx2 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
Avx2 min(Avx2 a, Avx2 b) { return {_mm256_min_ps(a.v, b.v)}; }
Avx2 max(Avx2 a, Avx2 b) { return {_mm256_max_ps(a.v, b.v)}; }
Avx2 abs(Avx2 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
/// a * b - c
Avx2 fms(Avx2 a, Avx2 b, Avx2 c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
/// A bit for each lane in which a > b.
std::uint32_t lanes_above(Avx2 a, Avx2 b) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)));
}
/// The first `count` of a, then zeros.
Avx2 keep_first(Avx2 a, std::size_t count) { return {_mm256_and_ps(a.v, Avx2::mask(count))}; }
Avx2 scale_by_power(Avx2 a, Avx2 k) {
  // e^88.3 needs 2^127, and rounds k to 127 at most: the exponent fits.
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(exponent))};
}
Avx2 select_negative(Avx2 a, Avx2 yes, Avx2 no) { return {_mm256_blendv_ps(no.v, yes.v, a.v)}; }

// How a step's 4 bytes are multiplied: in one part, or the even numbers and then the odd ones, widened. number<kPart>
// makes a part of a row's step, once for all columns of a run, and weights<kPart> that of a panel's.

struct Fp32Dot {
  using Sum = __m256;
  static constexpr std::size_t kParts = 1;
  static Sum zero() { return _mm256_setzero_ps(); }
  template <std::size_t kPart>
  static __m256i weights(__m256i b) {
    return b;
  }
  static Sum add(Sum sum, __m256i a, __m256i b) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum);
  }
  static Sum load(const void* sums) { return _mm256_loadu_ps(static_cast<const float*>(sums)); }
  static void store(void* out, Sum sum) { _mm256_storeu_ps(static_cast<float*>(out), sum); }
};

/// No bfloat16 products here: the numbers are widened, exactly.
struct Bf16Dot : Fp32Dot {
  static constexpr std::size_t kParts = 2;
  template <std::size_t kPart>
  static __m256i weights(__m256i b) {
    return kPart == 0 ? _mm256_slli_epi32(b, 16)
                      : _mm256_and_si256(b, _mm256_set1_epi32(static_cast<int>(0xffff0000U)));
  }
  template <std::size_t kPart>
  static __m256i number(__m256i a) {
    return weights<kPart>(a);
  }
};

/// Through 16 bits: the product of bytes that AVX2 has would saturate.
struct Int8Dot {
  using Sum = __m256i;
  static constexpr std::size_t kParts = 2;
  static Sum zero() { return _mm256_setzero_si256(); }
  template <std::size_t kPart>
  static __m256i weights(__m256i b) {
    return _mm256_srai_epi16(kPart == 0 ? _mm256_slli_epi16(b, 8) : b, 8);
  }
  template <std::size_t kPart>
  static __m256i number(__m256i a) {
    return kPart == 0 ? _mm256_and_si256(a, _mm256_set1_epi16(0xff)) : _mm256_srli_epi16(a, 8);
  }
  static Sum add(Sum sum, __m256i a, __m256i b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
  static Sum load(const void* sums) { return _mm256_loadu_si256(static_cast<const __m256i*>(sums)); }
  static void store(void* out, Sum sum) { _mm256_storeu_si256(static_cast<__m256i*>(out), sum); }
};

/// 12 sums, a part of a step's two vectors of weights, a number of a row, a product: the 16 registers.
constexpr std::size_t kHeight = 6;
/// Steps whose rows are widened at a time: 12 KB of them.
constexpr std::size_t kWideSteps = 256;

template <class Dot, std::size_t kPart>
void add_part(typename Dot::Sum* left, typename Dot::Sum* right, const std::byte* rows, std::size_t stride,
              const std::byte* panel) {
  const auto b0 = Dot::template weights<kPart>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel)));
  const auto b1 = Dot::template weights<kPart>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 32)));
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kHeight; ++r) {
    std::int32_t number = 0;
    std::memcpy(&number, rows + r * stride, sizeof(number));
    const __m256i a = _mm256_set1_epi32(number);
    left[r] = Dot::add(left[r], a, b0);
    right[r] = Dot::add(right[r], a, b1);
    if constexpr (Dot::kParts > 1)
      asm volatile("" : "+x"(left[r]), "+x"(right[r]));  // or GCC 12 mixes the parts, and runs out of registers
  }
}

/// Half a panel's columns. @param part_stride  bytes between the parts of a row.
template <class Dot>
void run_half(const std::byte* rows, std::size_t stride, std::size_t part_stride, const std::byte* panel,
              std::size_t steps, std::byte* out, bool add) {
  // NOLINTNEXTLINE(modernize-avoid-c-arrays): std::array loses what the compiler knows of a vector's alignment
  typename Dot::Sum left[kHeight], right[kHeight];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kHeight; ++r) {
    left[r] = add ? Dot::load(out + r * kPanelColumns * 4) : Dot::zero();
    right[r] = add ? Dot::load(out + r * kPanelColumns * 4 + 32) : Dot::zero();
  }
  for (std::size_t step = 0; step < steps; ++step) {
    add_part<Dot, 0>(left, right, rows, stride, panel);
    if constexpr (Dot::kParts > 1) add_part<Dot, 1>(left, right, rows + part_stride, stride, panel);
    rows += kStepBytes;
    panel += kPanelColumns * kStepBytes;
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < kHeight; ++r) {
    Dot::store(out + r * kPanelColumns * 4, left[r]);
    Dot::store(out + r * kPanelColumns * 4 + 32, right[r]);
  }
}

template <class Dot>
void run_whole(const std::byte* rows, std::size_t stride, std::size_t part_stride, const std::byte* panel,
               std::size_t steps, std::byte* out, bool add) {
  run_half<Dot>(rows, stride, part_stride, panel, steps, out, add);
  run_half<Dot>(rows, stride, part_stride, panel + kPanelColumns * kStepBytes / 2, steps, out + kPanelColumns * 2, add);
}

void run_fp32(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
              bool add) {
  run_whole<Fp32Dot>(rows, stride, 0, panel, steps, static_cast<std::byte*>(tile), add);
}

template <class Dot>
void run_widened(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
                 bool add) {
  constexpr std::size_t kPartBytes = kWideSteps * kStepBytes, kLanes = sizeof(__m256i) / kStepBytes;
  alignas(32) std::byte wide[kHeight * 2 * kPartBytes];  // NOLINT(modernize-avoid-c-arrays): not zeroed
  for (std::size_t first = 0; first < steps; first += kWideSteps) {
    const std::size_t count = std::min(kWideSteps, steps - first);
    for (std::size_t r = 0; r < kHeight; ++r) {
      const std::byte* from = rows + r * stride + first * kStepBytes;
      std::byte* to = wide + r * 2 * kPartBytes;
      for (std::size_t i = 0; i < count; i += kLanes) {
        const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i * kStepBytes));
        auto* const target = reinterpret_cast<__m256i*>(to + i * kStepBytes);
        _mm256_store_si256(target, Dot::template number<0>(numbers));
        _mm256_store_si256(target + kPartBytes / sizeof(__m256i), Dot::template number<1>(numbers));
      }
    }
    run_whole<Dot>(wide, 2 * kPartBytes, kPartBytes, panel + first * kPanelColumns * kStepBytes, count,
                   static_cast<std::byte*>(tile), add || first != 0);
  }
}

}  // namespace

Tile avx2_tile(Format format) {
  if (format == Format::kFp32) return {kHeight, "AVX2", run_fp32};
  if (format == Format::kBf16) return {kHeight, "AVX2, bfloat16 widened", run_widened<Bf16Dot>};
  return {kHeight, "AVX2, int8 widened", run_widened<Int8Dot>};
}
RowKernels avx2_rows() { return row_kernels<Avx2>(); }

}  // namespace imagerank::kernels
// NOLINTEND(portability-simd-intrinsics)

#if defined(__clang__)
#pragma clang attribute pop
#endif
