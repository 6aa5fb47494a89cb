// GCC 12's intrinsics pass what they leave undefined (GCC bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstring>

#include "reward/conv_plane_kernels.h"

// Standard headers come first, so that what they define is compiled for any CPU.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#include "reward/conv_plane_loops.h"

// NOLINTBEGIN(portability-simd-intrinsics): the instructions are the point
namespace imagerank::reward {
namespace {

struct Avx512 {
  using Vector = __m512;
  using Places = __m512i;
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kBlocksAtOnce = 2;  ///< of eight sums each: 32 registers

  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static Vector spread(const float* from) { return _mm512_set1_ps(*from); }
  static void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector max(Vector a, Vector b) { return _mm512_max_ps(a, b); }
  static Vector fma(Vector a, Vector b, Vector sum) { return _mm512_fmadd_ps(a, b, sum); }
  /// The largest of four, the first of equals, and which it is.
  static Vector largest(const Vector* four, std::uint8_t* places) {
    const Vector top = max(four[0], four[1]), bottom = max(four[2], four[3]);
    const __m512i in_top = _mm512_maskz_mov_epi32(larger(four[1], four[0]), _mm512_set1_epi32(1));
    const __m512i in_bottom =
        _mm512_mask_mov_epi32(_mm512_set1_epi32(2), larger(four[3], four[2]), _mm512_set1_epi32(3));
    const __m512i place = _mm512_mask_blend_epi32(larger(bottom, top), in_top, in_bottom);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(places), _mm512_cvtepi32_epi8(place));
    return max(top, bottom);
  }
  static Places load_places(const std::uint8_t* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Vector where_place(Places places, int place, Vector v) {
    return _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(places, _mm512_set1_epi32(place)), v);
  }
  static Vector where_positive(Vector sign, Vector v) { return _mm512_maskz_mov_ps(larger(sign, zero()), v); }

 private:
  static __mmask16 larger(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
};

}  // namespace

PlaneKernels avx512_plane_kernels() noexcept {
  return {Avx512::kLanes, PlaneLoops<Avx512>::forward, PlaneLoops<Avx512>::backward};
}

}  // namespace imagerank::reward
// NOLINTEND(portability-simd-intrinsics)

#if defined(__clang__)
#pragma clang attribute pop
#endif
