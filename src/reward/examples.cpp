#include "reward/examples.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace imagerank::reward {
namespace {

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) std::size_t widen_f16c(const std::uint16_t* from, std::size_t count, float* to) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  return i;
}
#endif

void widen(const std::uint16_t* from, std::size_t count, float* to) {
  std::size_t i = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c")) i = widen_f16c(from, count, to);
#endif
  for (; i < count; ++i) to[i] = float_from_half(from[i]);
}

/// Where the system does not take advice, rows are read as they are needed: an error is none.
void advise(std::span<const std::byte> part, int advice) noexcept {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = begin / page * page;
  if (!part.empty()) ::madvise(reinterpret_cast<void*>(first), begin + part.size() - first, advice);
}

}  // namespace

void VectorTable::copy_row(std::size_t row, std::span<float> out) const {
  if (values.empty()) {
    widen(halves.data() + row * dim, dim, out.data());
  } else {
    std::memcpy(out.data(), values.data() + row * dim, dim * sizeof(float));
  }
}

void VectorTable::expect_scattered_reads() const noexcept { advise(std::as_bytes(halves), MADV_RANDOM); }

void VectorTable::prefetch(std::size_t row) const noexcept {
  if (values.empty()) advise(std::as_bytes(halves.subspan(row * dim, dim)), MADV_WILLNEED);
}

}  // namespace imagerank::reward
