#include "reward/examples.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

std::size_t page_size() noexcept {
  static const auto kSize = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return kSize;
}

/// The pages that `part` lies in.
std::span<std::byte> pages_of(std::span<const std::byte> part) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = begin / page_size() * page_size();
  return {reinterpret_cast<std::byte*>(first), part.size() + (begin - first)};  // NOLINT(performance-no-int-to-ptr)
}

/// Where the system does not take advice, rows are read as they are needed: an error is none.
void advise(std::span<const std::byte> part, int advice) noexcept {
  const std::span<std::byte> pages = pages_of(part);
  if (!part.empty()) ::madvise(pages.data(), pages.size(), advice);
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

bool VectorTable::is_resident() const {
  if (halves.empty()) return true;
  constexpr std::size_t kPagesAtOnce = 4096;
  std::array<unsigned char, kPagesAtOnce> present{};
  for (std::span<std::byte> left = pages_of(std::as_bytes(halves)); !left.empty();) {
    const std::span<std::byte> asked = left.first(std::min(left.size(), kPagesAtOnce * page_size()));
    if (::mincore(asked.data(), asked.size(), present.data()) != 0) return false;
    const std::size_t pages = (asked.size() + page_size() - 1) / page_size();
    const auto has_page = [](unsigned char state) { return (state & 1U) != 0; };
    if (!std::all_of(present.begin(), present.begin() + static_cast<std::ptrdiff_t>(pages), has_page)) return false;
    left = left.subspan(asked.size());
  }
  return true;
}

void VectorTable::prefetch(std::size_t row) const noexcept {
  if (values.empty()) advise(std::as_bytes(halves.subspan(row * dim, dim)), MADV_WILLNEED);
}

}  // namespace imagerank::reward
