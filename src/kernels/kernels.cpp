#include "kernels/kernels.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/levels.h"

namespace imagerank::kernels {
namespace {

// NOLINTBEGIN(readability-implicit-bool-conversion): GCC gives an int, clang a bool
bool supports_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }

bool supports_avx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}

bool supports_bf16() { return __builtin_cpu_supports("avx512bf16") != 0; }
bool supports_vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }
// NOLINTEND(readability-implicit-bool-conversion)

/// AMX-TILE, AMX-BF16 and AMX-INT8 by CPUID, and the system's leave to use the tiles' state.
bool supports_amx() {
  unsigned int a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned int kBf16 = 1U << 22, kTile = 1U << 24, kInt8 = 1U << 25;
  if ((d & kBf16) == 0 || (d & kTile) == 0 || (d & kInt8) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const char* level_name(Level level) noexcept {
  constexpr std::array<const char*, 3> kNames = {"avx2", "avx512", "amx"};
  return kNames[static_cast<std::size_t>(level)];
}

std::optional<Level> best_level(Level limit) {
  static const std::optional<Level> kBest = []() -> std::optional<Level> {
    if (!supports_avx2()) return std::nullopt;
    if (!supports_avx512()) return Level::kAvx2;
    return supports_amx() ? Level::kAmx : Level::kAvx512;
  }();
  return kBest ? std::optional(std::min(*kBest, limit)) : std::nullopt;
}

Kernels kernels_of(Level level) {
  if (level == Level::kAvx2) {
    return {{avx2_tile(Format::kFp32), avx2_tile(Format::kBf16), avx2_tile(Format::kInt8)}, avx2_rows()};
  }
  Kernels kernels{{avx512_fp32_tile(), avx2_tile(Format::kBf16), avx2_tile(Format::kInt8)}, avx512_rows()};
  Tile& bf16 = kernels.tiles[static_cast<std::size_t>(Format::kBf16)];
  Tile& int8 = kernels.tiles[static_cast<std::size_t>(Format::kInt8)];
  if (level == Level::kAmx) {
    bf16 = amx_tile(Format::kBf16);
    int8 = amx_tile(Format::kInt8);
    return kernels;
  }
  if (supports_bf16()) bf16 = avx512_bf16_tile();
  if (supports_vnni()) int8 = avx512_int8_tile();
  return kernels;
}

}  // namespace imagerank::kernels
