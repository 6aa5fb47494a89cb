#include "images/resize_kernels.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define IMAGERANK_X86 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 warns of its own header (bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#define IMAGERANK_TARGET(list) __attribute__((target(list)))
#define IMAGERANK_INLINE inline __attribute__((always_inline))
#else
#define IMAGERANK_X86 0
#define IMAGERANK_INLINE inline
#endif

namespace imagerank::images {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
constexpr std::size_t kLanes = 16;  ///< sums that one step of `Weigh` makes of 64 bytes of quads

/// For each of kVectors * kLanes lanes the weighted sum of its quads, rounded and clipped to a byte.
/// @param quads  the first one of lane 0; lanes are 4 bytes apart, the quads of a lane `stride`.
template <std::size_t kVectors>
void weigh_plain(const std::uint8_t* quads, std::size_t stride, std::span<const WeightQuad> weights,
                 std::uint8_t* out) {
  std::array<std::int32_t, kVectors * kLanes> sums;
  sums.fill(kHalf);
  for (const WeightQuad& weight : weights) {
    for (std::size_t lane = 0; lane < sums.size(); ++lane) {
      for (std::size_t k = 0; k < 4; ++k) sums[lane] += quads[lane * 4 + k] * weight[k];
    }
    quads += stride;
  }
  for (std::size_t lane = 0; lane < sums.size(); ++lane) {
    out[lane] = static_cast<std::uint8_t>(std::clamp(sums[lane] >> kWeightBits, 0, 255));
  }
}

void encode_plain(std::span<WeightQuad> /*weights*/) {}

/// Pixels from quad `first` on; those beyond `pixels` count as 0.
void pack_from(std::size_t first, const std::array<const std::uint8_t*, kBlockRows>& rows, std::size_t pixels,
               std::uint8_t* out) {
  out += first * 3 * kBlockRows * 4;
  for (std::size_t x = first * 4; x < pixels; x += 4) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      for (const std::uint8_t* row : rows) {
        for (std::size_t k = 0; k < 4; ++k) {
          *out++ = x + k < pixels ? row[(x + k) * 3 + channel] : std::uint8_t{0};
        }
      }
    }
  }
}

void pack_plain(const std::array<const std::uint8_t*, kBlockRows>& rows, std::size_t pixels, std::uint8_t* out) {
  pack_from(0, rows, pixels, out);
}

// The loops around the sums, compiled once for each way: a call of `weigh` is resolved when they are inlined.

template <auto kWeigh>
IMAGERANK_INLINE void across_body(const std::uint8_t* in, const AxisWeights& weights, std::uint8_t* out,
                                  std::size_t stride) {
  std::array<std::uint8_t, 3 * kBlockRows> bytes;
  for (std::size_t i = 0; i < weights.runs.size(); ++i) {
    kWeigh(in + weights.runs[i].first * bytes.size() * 4, bytes.size() * 4, weights.of(i), bytes.data());
    for (std::size_t channel = 0; channel < 3; ++channel, out += 4) {
      for (std::size_t j = 0; j < 4; ++j) std::memcpy(out + j * stride, bytes.data() + channel * kBlockRows + j * 4, 4);
    }
  }
}

template <auto kWeigh>
IMAGERANK_INLINE void down_body(const std::uint8_t* in, std::size_t stride, std::span<const WeightQuad> weights,
                                std::size_t columns, std::uint8_t* out) {
  for (std::size_t x = 0; x < columns; x += kColumnStep) kWeigh(in + x * 4, stride, weights, out + x);
}

void across_plain(const std::uint8_t* in, const AxisWeights& weights, std::uint8_t* out, std::size_t stride) {
  across_body<weigh_plain<3>>(in, weights, out, stride);
}
void down_plain(const std::uint8_t* in, std::size_t stride, std::span<const WeightQuad> weights, std::size_t columns,
                std::uint8_t* out) {
  down_body<weigh_plain<4>>(in, stride, weights, columns, out);
}

#if IMAGERANK_X86

// Arrays of vectors are C's: std::array loses what the compiler knows of their alignment. The instructions are the
// point. NOLINTBEGIN(modernize-avoid-c-arrays,portability-simd-intrinsics)

std::int32_t two_halves(std::int32_t low, std::int32_t high) {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(low) & 0xffffU) |
                                   (static_cast<std::uint32_t>(high) << 16));
}

// AVX2 multiplies 16-bit numbers and adds them in pairs. A weight is high * 2^16 + low, both signed; the bytes of a
// quad become its even and its odd ones.

void encode_avx2(std::span<WeightQuad> weights) {
  for (WeightQuad& quad : weights) {
    WeightQuad low, high;
    for (std::size_t k = 0; k < 4; ++k) {
      low[k] = static_cast<std::int16_t>(quad[k] & 0xffff);
      high[k] = (quad[k] - low[k]) >> 16;
    }
    quad = {two_halves(low[0], low[2]), two_halves(low[1], low[3]), two_halves(high[0], high[2]),
            two_halves(high[1], high[3])};
  }
}

template <std::size_t kVectors>
IMAGERANK_TARGET("avx2")
inline void weigh_avx2(const std::uint8_t* quads, std::size_t stride, std::span<const WeightQuad> weights,
                       std::uint8_t* out) {
  constexpr std::size_t kHalves = 2 * kVectors;  // 8 lanes each
  __m256i low[kHalves], high[kHalves];
  for (std::size_t v = 0; v < kHalves; ++v) {
    low[v] = _mm256_set1_epi32(kHalf);
    high[v] = _mm256_setzero_si256();
  }
  const __m256i even_bytes = _mm256_set1_epi16(0xff);
  for (const WeightQuad& weight : weights) {
    const __m256i low_even = _mm256_set1_epi32(weight[0]), low_odd = _mm256_set1_epi32(weight[1]);
    const __m256i high_even = _mm256_set1_epi32(weight[2]), high_odd = _mm256_set1_epi32(weight[3]);
    for (std::size_t v = 0; v < kHalves; ++v) {
      const __m256i quad = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quads + v * 32));
      const __m256i even = _mm256_and_si256(quad, even_bytes);
      const __m256i odd = _mm256_srli_epi16(quad, 8);
      low[v] = _mm256_add_epi32(low[v],
                                _mm256_add_epi32(_mm256_madd_epi16(even, low_even), _mm256_madd_epi16(odd, low_odd)));
      high[v] = _mm256_add_epi32(
          high[v], _mm256_add_epi32(_mm256_madd_epi16(even, high_even), _mm256_madd_epi16(odd, high_odd)));
    }
    quads += stride;
  }
  for (std::size_t v = 0; v < kHalves; v += 2) {
    const __m256i first = _mm256_srai_epi32(_mm256_add_epi32(low[v], _mm256_slli_epi32(high[v], 16)), kWeightBits);
    const __m256i second =
        _mm256_srai_epi32(_mm256_add_epi32(low[v + 1], _mm256_slli_epi32(high[v + 1], 16)), kWeightBits);
    const __m256i words = _mm256_packs_epi32(first, second);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + v * 8), _mm256_castsi256_si128(ordered));
  }
}

/// 16 bytes of each of two rows, as (RRRR GGGG BBBB and four that nobody reads) twice.
IMAGERANK_TARGET("avx2") inline __m256i load_two(const std::uint8_t* low, const std::uint8_t* high) {
  const __m256i order = _mm256_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1, 0, 3, 6, 9, 1, 4, 7, 10,
                                         2, 5, 8, 11, -1, -1, -1, -1);
  return _mm256_shuffle_epi8(
      _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(high), reinterpret_cast<const __m128i*>(low)), order);
}

IMAGERANK_TARGET("avx2")
void pack_avx2(const std::array<const std::uint8_t*, kBlockRows>& rows, std::size_t pixels, std::uint8_t* out) {
  // Four pixels are 12 bytes and 16 are read.
  const std::size_t quads = pixels * 3 < 16 ? 0 : (pixels * 3 - 16) / 12 + 1;
  for (std::size_t quad = 0; quad < quads; ++quad, out += 3 * kBlockRows * 4) {
    for (std::size_t row = 0; row < kBlockRows; row += 8) {
      __m256i part[4];  // rows `row` + k and `row` + k + 4
      for (std::size_t k = 0; k < 4; ++k) part[k] = load_two(rows[row + k] + quad * 12, rows[row + k + 4] + quad * 12);
      const __m256i red_green_01 = _mm256_unpacklo_epi32(part[0], part[1]);
      const __m256i red_green_23 = _mm256_unpacklo_epi32(part[2], part[3]);
      const __m256i blue_01 = _mm256_unpackhi_epi32(part[0], part[1]);
      const __m256i blue_23 = _mm256_unpackhi_epi32(part[2], part[3]);
      auto* target = reinterpret_cast<__m256i*>(out + row * 4);
      _mm256_storeu_si256(target, _mm256_unpacklo_epi64(red_green_01, red_green_23));
      _mm256_storeu_si256(target + 2, _mm256_unpackhi_epi64(red_green_01, red_green_23));
      _mm256_storeu_si256(target + 4, _mm256_unpacklo_epi64(blue_01, blue_23));
    }
  }
  pack_from(quads, rows, pixels, out - quads * 3 * kBlockRows * 4);
}

IMAGERANK_TARGET("avx2")
void across_avx2(const std::uint8_t* in, const AxisWeights& weights, std::uint8_t* out, std::size_t stride) {
  across_body<weigh_avx2<3>>(in, weights, out, stride);
}
IMAGERANK_TARGET("avx2")
void down_avx2(const std::uint8_t* in, std::size_t stride, std::span<const WeightQuad> weights, std::size_t columns,
               std::uint8_t* out) {
  down_body<weigh_avx2<4>>(in, stride, weights, columns, out);
}

// AVX-512 VNNI multiplies the four bytes of a quad with four signed bytes and adds the products up. A weight is three
// signed digits to the base 256, the highest within +-128 as the weight is below 2.

void encode_vnni(std::span<WeightQuad> weights) {
  for (WeightQuad& quad : weights) {
    std::array<std::uint32_t, 3> digits{};
    for (std::size_t k = 0; k < 4; ++k) {
      std::int32_t rest = quad[k];
      for (std::uint32_t& digit : digits) {
        const auto low = static_cast<std::int8_t>(rest & 0xff);
        digit |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(low)) << (8 * k);
        rest = (rest - low) >> 8;
      }
    }
    for (std::size_t d = 0; d < digits.size(); ++d) quad[d] = static_cast<std::int32_t>(digits[d]);
  }
}

template <std::size_t kVectors>
IMAGERANK_TARGET("avx512f,avx512vnni")
inline void weigh_vnni(const std::uint8_t* quads, std::size_t stride, std::span<const WeightQuad> weights,
                       std::uint8_t* out) {
  __m512i sums[3][kVectors];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    sums[0][v] = _mm512_set1_epi32(kHalf);
    sums[1][v] = sums[2][v] = _mm512_setzero_si512();
  }
  for (const WeightQuad& weight : weights) {
    const __m512i digit0 = _mm512_set1_epi32(weight[0]);
    const __m512i digit1 = _mm512_set1_epi32(weight[1]);
    const __m512i digit2 = _mm512_set1_epi32(weight[2]);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const __m512i quad = _mm512_loadu_si512(quads + v * 64);
      sums[0][v] = _mm512_dpbusd_epi32(sums[0][v], quad, digit0);
      sums[1][v] = _mm512_dpbusd_epi32(sums[1][v], quad, digit1);
      sums[2][v] = _mm512_dpbusd_epi32(sums[2][v], quad, digit2);
    }
    quads += stride;
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    const __m512i upper = _mm512_add_epi32(sums[1][v], _mm512_slli_epi32(sums[2][v], 8));
    const __m512i sum = _mm512_add_epi32(sums[0][v], _mm512_slli_epi32(upper, 8));
    const __m512i level = _mm512_max_epi32(_mm512_srai_epi32(sum, kWeightBits), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + v * 16), _mm512_cvtusepi32_epi8(level));
  }
}

IMAGERANK_TARGET("avx512f,avx512vnni")
void across_vnni(const std::uint8_t* in, const AxisWeights& weights, std::uint8_t* out, std::size_t stride) {
  across_body<weigh_vnni<3>>(in, weights, out, stride);
}
IMAGERANK_TARGET("avx512f,avx512vnni")
void down_vnni(const std::uint8_t* in, std::size_t stride, std::span<const WeightQuad> weights, std::size_t columns,
               std::uint8_t* out) {
  down_body<weigh_vnni<4>>(in, stride, weights, columns, out);
}

// NOLINTEND(modernize-avoid-c-arrays,portability-simd-intrinsics)

#endif

std::vector<ResizeKernels> find_kernels() {
  std::vector<ResizeKernels> found;
#if IMAGERANK_X86
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool vnni = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
  if (vnni) found.push_back({"avx512-vnni", encode_vnni, pack_avx2, across_vnni, down_vnni});
  if (avx2) found.push_back({"avx2", encode_avx2, pack_avx2, across_avx2, down_avx2});
#endif
  found.push_back({"plain", encode_plain, pack_plain, across_plain, down_plain});
  return found;
}

}  // namespace

std::span<const ResizeKernels> resize_kernels() {
  static const std::vector<ResizeKernels> kKernels = find_kernels();
  return kKernels;
}

}  // namespace imagerank::images
