#include <immintrin.h>

#include <cstring>

#include "reward/conv_plane_kernels.h"

// Standard headers come first, so that what they define is compiled for any CPU.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("avx2,fma")
#endif

#include "reward/conv_plane_loops.h"

// NOLINTBEGIN(portability-simd-intrinsics): the instructions are the point
namespace imagerank::reward {
namespace {

struct Avx2 {
  using Vector = __m256;
  using Places = __m256i;
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kBlocksAtOnce = 1;  ///< of eight sums each: 16 registers

  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  static Vector spread(const float* from) { return _mm256_broadcast_ss(from); }
  static void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
  static Vector fma(Vector a, Vector b, Vector sum) { return _mm256_fmadd_ps(a, b, sum); }
  /// The largest of four, the first of equals, and which it is.
  static Vector largest(const Vector* four, std::uint8_t* places) {
    const Vector top = max(four[0], four[1]), bottom = max(four[2], four[3]);
    const Vector in_top = _mm256_blendv_ps(number(0), number(1), larger(four[1], four[0]));
    const Vector in_bottom = _mm256_blendv_ps(number(2), number(3), larger(four[3], four[2]));
    const __m256i place = _mm256_castps_si256(_mm256_blendv_ps(in_top, in_bottom, larger(bottom, top)));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(place), _mm256_extracti128_si256(place, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(places), _mm_packs_epi16(words, words));
    return max(top, bottom);
  }
  static Places load_places(const std::uint8_t* from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector where_place(Places places, int place, Vector v) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_cmpeq_epi32(places, _mm256_set1_epi32(place))));
  }
  static Vector where_positive(Vector sign, Vector v) { return _mm256_and_ps(v, larger(sign, zero())); }

 private:
  static Vector larger(Vector a, Vector b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
  static Vector number(int value) { return _mm256_castsi256_ps(_mm256_set1_epi32(value)); }
};

}  // namespace

PlaneKernels avx2_plane_kernels() noexcept {
  return {Avx2::kLanes, PlaneLoops<Avx2>::forward, PlaneLoops<Avx2>::backward};
}

}  // namespace imagerank::reward
// NOLINTEND(portability-simd-intrinsics)

#if defined(__clang__)
#pragma clang attribute pop
#endif
