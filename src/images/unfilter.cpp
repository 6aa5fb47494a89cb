#include "images/unfilter.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "images/png_format.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define IMAGERANK_X86 1
#include <immintrin.h>
#define IMAGERANK_AVX2 __attribute__((target("avx2")))
#else
#define IMAGERANK_X86 0
#endif

namespace imagerank::images {
namespace {

/// A row's `in` and `out` overlap: `out` begins at least a byte before `in`, so that going upwards reads each byte
/// before it is written, vectors included. `above` is the finished row over it.
struct Row {
  const std::uint8_t* in;
  const std::uint8_t* above;
  std::uint8_t* out;
  std::size_t bytes;
};

template <typename Undo>
bool each_row(std::uint8_t* data, std::size_t rows, std::size_t row_bytes, Undo undo) {
  const std::vector<std::uint8_t> zeros(row_bytes + kUnfilterSlack);
  const std::uint8_t* above = zeros.data();
  for (std::size_t y = 0; y < rows; ++y) {
    const std::uint8_t* in = data + y * (row_bytes + 1);
    const Row row{in + 1, above, data + y * row_bytes, row_bytes};
    if (!undo(*in, row)) return false;
    above = row.out;
  }
  return true;
}

bool undo_plain(std::uint8_t filter, const Row& row, std::size_t step) {
  if (filter >= png::kFilters) return false;
  for (std::size_t i = 0; i < row.bytes; ++i) {
    const std::uint8_t left = i >= step ? row.out[i - step] : std::uint8_t{0};
    const std::uint8_t corner = i >= step ? row.above[i - step] : std::uint8_t{0};
    row.out[i] = static_cast<std::uint8_t>(row.in[i] + png::guess(filter, left, row.above[i], corner));
  }
  return true;
}

bool unfilter_plain(std::uint8_t* data, std::size_t rows, std::size_t row_bytes, std::size_t pixel_bytes) {
  return each_row(data, rows, row_bytes,
                  [&](std::uint8_t filter, const Row& row) { return undo_plain(filter, row, pixel_bytes); });
}

#if IMAGERANK_X86

// NOLINTBEGIN(portability-simd-intrinsics): the instructions are the point
// A pixel at a time in one register: what bounds the speed is the chain from a pixel to the next, so that few steps
// count more than wide ones.

template <std::size_t kPixelBytes>
IMAGERANK_AVX2 inline __m128i load_pixel(const std::uint8_t* bytes) {
  if constexpr (kPixelBytes > 4) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
  std::uint32_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return _mm_cvtsi32_si128(static_cast<int>(value));
}

template <std::size_t kPixelBytes>
IMAGERANK_AVX2 inline void store_pixel(std::uint8_t* bytes, __m128i pixel) {
  const auto value = static_cast<std::uint64_t>(_mm_cvtsi128_si64(pixel));
  std::memcpy(bytes, &value, kPixelBytes);
}

IMAGERANK_AVX2 void undo_up(const Row& row) {
  std::size_t i = 0;
  for (; i + 32 <= row.bytes; i += 32) {
    const __m256i in = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row.in + i));
    const __m256i above = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row.above + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row.out + i), _mm256_add_epi8(in, above));
  }
  for (; i < row.bytes; ++i) row.out[i] = static_cast<std::uint8_t>(row.in[i] + row.above[i]);
}

template <std::size_t kPixelBytes>
IMAGERANK_AVX2 void undo_sub(const Row& row) {
  __m128i left = _mm_setzero_si128();
  for (std::size_t i = 0; i < row.bytes; i += kPixelBytes) {
    left = _mm_add_epi8(left, load_pixel<kPixelBytes>(row.in + i));
    store_pixel<kPixelBytes>(row.out + i, left);
  }
}

template <std::size_t kPixelBytes>
IMAGERANK_AVX2 void undo_average(const Row& row) {
  const __m128i ones = _mm_set1_epi8(1);
  __m128i left = _mm_setzero_si128();
  for (std::size_t i = 0; i < row.bytes; i += kPixelBytes) {
    const __m128i above = load_pixel<kPixelBytes>(row.above + i);
    // The instruction rounds up, PNG down.
    const __m128i excess = _mm_and_si128(_mm_xor_si128(left, above), ones);
    const __m128i average = _mm_sub_epi8(_mm_avg_epu8(left, above), excess);
    left = _mm_add_epi8(average, load_pixel<kPixelBytes>(row.in + i));
    store_pixel<kPixelBytes>(row.out + i, left);
  }
}

/// In 16-bit lanes. With t = 3 corner - left - above: the guess is the larger neighbour if t <= the smaller one, the
/// smaller if t >= the larger, else the corner; the same as PNG's three distances, ties included, in fewer steps.
template <std::size_t kPixelBytes>
IMAGERANK_AVX2 void undo_paeth(const Row& row) {
  const __m128i zero = _mm_setzero_si128();
  __m128i left = zero, corner = zero;
  for (std::size_t i = 0; i < row.bytes; i += kPixelBytes) {
    const __m128i above = _mm_unpacklo_epi8(load_pixel<kPixelBytes>(row.above + i), zero);
    const __m128i in = _mm_unpacklo_epi8(load_pixel<kPixelBytes>(row.in + i), zero);
    const __m128i corners = _mm_add_epi16(corner, _mm_add_epi16(corner, corner));
    const __m128i threshold = _mm_sub_epi16(_mm_sub_epi16(corners, above), left);
    const __m128i low = _mm_min_epi16(left, above);
    const __m128i high = _mm_max_epi16(left, above);
    const __m128i low_or_corner = _mm_blendv_epi8(low, corner, _mm_cmpgt_epi16(high, threshold));
    const __m128i guess = _mm_blendv_epi8(high, low_or_corner, _mm_cmpgt_epi16(threshold, low));
    left = _mm_add_epi8(in, guess);  // wraps within the low byte of each lane; the high ones are 0
    corner = above;
    store_pixel<kPixelBytes>(row.out + i, _mm_packus_epi16(left, left));
  }
}

template <std::size_t kPixelBytes>
bool unfilter_pixels(std::uint8_t* data, std::size_t rows, std::size_t row_bytes) {
  return each_row(data, rows, row_bytes, [](std::uint8_t filter, const Row& row) {
    switch (filter) {
      case 0:
        std::memmove(row.out, row.in, row.bytes);
        return true;
      case 1:
        undo_sub<kPixelBytes>(row);
        return true;
      case 2:
        undo_up(row);
        return true;
      case 3:
        undo_average<kPixelBytes>(row);
        return true;
      case 4:
        undo_paeth<kPixelBytes>(row);
        return true;
      default:
        return false;
    }
  });
}

bool unfilter_avx2(std::uint8_t* data, std::size_t rows, std::size_t row_bytes, std::size_t pixel_bytes) {
  switch (pixel_bytes) {
    case 1:
      return unfilter_pixels<1>(data, rows, row_bytes);
    case 2:
      return unfilter_pixels<2>(data, rows, row_bytes);
    case 3:
      return unfilter_pixels<3>(data, rows, row_bytes);
    case 4:
      return unfilter_pixels<4>(data, rows, row_bytes);
    case 6:
      return unfilter_pixels<6>(data, rows, row_bytes);
    default:
      return unfilter_pixels<8>(data, rows, row_bytes);
  }
}

// NOLINTEND(portability-simd-intrinsics)

#endif

std::vector<Unfilter> find_unfilters() {
  std::vector<Unfilter> found;
#if IMAGERANK_X86
  if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", unfilter_avx2});
#endif
  found.push_back({"plain", unfilter_plain});
  return found;
}

}  // namespace

std::span<const Unfilter> unfilters() {
  static const std::vector<Unfilter> kUnfilters = find_unfilters();
  return kUnfilters;
}

}  // namespace imagerank::images
