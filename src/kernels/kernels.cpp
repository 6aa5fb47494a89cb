#include "kernels/kernels.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/fail.h"
#include "kernels/levels.h"
#include "kernels/tile_check.h"

namespace imagerank::kernels {
namespace {

bool supports_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool supports_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/// AVX512_BF16, where it is worth having: Intel's product takes four times as long as an FMA, for twice its work
/// (seen on Emerald Rapids).
bool gains_by_bf16() { return __builtin_cpu_supports("avx512bf16") && !__builtin_cpu_is("intel"); }
bool supports_vnni() { return __builtin_cpu_supports("avx512vnni"); }

/// XCR0: the state that the system saves for programs.
__attribute__((target("xsave"))) std::uint64_t enabled_state() { return __builtin_ia32_xgetbv(0); }

struct Amx {
  bool usable = false;
  std::string obstacle;  ///< where the CPU has it
};

/// AMX-TILE, AMX-BF16 and AMX-INT8 by CPUID, which a virtual machine may show without more; the system's leave to use
/// the tiles' state, which Linux has since 5.16; and what the tiles do.
Amx find_amx() {
  unsigned int a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  constexpr unsigned int kBf16 = 1U << 22, kTile = 1U << 24, kInt8 = 1U << 25;
  if ((d & kBf16) == 0 || (d & kTile) == 0 || (d & kInt8) == 0) return {};
  constexpr std::uint64_t kTileState = 3U << 17;  // configuration and data
  if ((enabled_state() & kTileState) != kTileState) return {false, "the system does not save tiles"};
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return {false, "the system does not permit tiles"};
  for (const Format format : {Format::kBf16, Format::kInt8}) {
    if (!tile_is_right(amx_tile(format), format)) return {false, "the tiles give wrong numbers"};
  }
  return {true, ""};
}

const Amx& amx() {
  static const Amx kAmx = supports_avx512() ? find_amx() : Amx{};
  return kAmx;
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
    return amx().usable ? Level::kAmx : Level::kAvx512;
  }();
  return kBest ? std::optional(std::min(*kBest, limit)) : std::nullopt;
}

const std::string& amx_obstacle() { return amx().obstacle; }

Kernels kernels_of(Level level) {
  if (level == Level::kAvx2) {
    return {{avx2_tile(Format::kFp32), avx2_tile(Format::kBf16), avx2_tile(Format::kInt8)}, avx2_rows()};
  }
  Kernels kernels{{avx512_fp32_tile(), avx512_widened_tile(), avx2_tile(Format::kInt8)}, avx512_rows()};
  Tile& bf16 = kernels.tiles[static_cast<std::size_t>(Format::kBf16)];
  Tile& int8 = kernels.tiles[static_cast<std::size_t>(Format::kInt8)];
  if (level == Level::kAmx) {
    bf16 = amx_tile(Format::kBf16);
    int8 = amx_tile(Format::kInt8);
    return kernels;
  }
  if (gains_by_bf16()) bf16 = avx512_bf16_tile();
  if (supports_vnni()) int8 = avx512_int8_tile();
  return kernels;
}

std::optional<Level> find_level() {
  const char* const text = std::getenv("IMAGERANK_CPU_LEVEL");  // NOLINT(concurrency-mt-unsafe): nothing sets it
  Level limit = Level::kAmx;
  if (text != nullptr) {
    constexpr std::array kLevels = {Level::kAvx2, Level::kAvx512, Level::kAmx};
    const auto* const named = std::ranges::find(kLevels, std::string(text), level_name);
    if (named == kLevels.end()) {
      fail(ErrorCode::kInvalidArgument, "IMAGERANK_CPU_LEVEL: expected avx2, avx512 or amx, found '{}'", text);
    }
    limit = *named;
  }
  return best_level(limit);
}

std::optional<Kernels> find_kernels() {
  const std::optional<Level> level = find_level();
  return level ? std::optional(kernels_of(*level)) : std::nullopt;
}

}  // namespace imagerank::kernels
