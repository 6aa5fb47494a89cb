#include <immintrin.h>

#include <array>
#include <cstring>

#include "kernels/levels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,amx-int8"))), apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("amx-tile,amx-bf16,amx-int8")
#endif

// tests/support/amx_emulation.cpp compiles this file over tiles of its own, for CPUs without AMX.

namespace imagerank::kernels {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kHeight = 2 * kTileRows;
constexpr std::size_t kStepsOfTile = 16;  ///< a tile row is a block of 64 bytes
constexpr std::size_t kPanelStride = kPanelColumns * kStepBytes;
/// 24 KB of a panel: half of the first cache, rows and sums have the rest.
constexpr std::size_t kCachedSteps = 192;

/// As LDTILECFG reads it (Intel SDM volume 1, 18.4): palette 1 has eight tiles of at most 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette, start_row;
  std::array<std::uint8_t, 14> reserved;
  std::array<std::uint16_t, 16> row_bytes;
  std::array<std::uint8_t, 16> rows;
};
static_assert(sizeof(TileConfig) == 64);

/// All eight whole. Tiles belong to a thread, and other libraries set them otherwise or release them.
void prepare() {
  static constexpr TileConfig kConfig = {.palette = 1,
                                         .start_row = 0,
                                         .reserved = {},
                                         .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                         .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
  TileConfig current;  // not set: stored to
  _tile_storeconfig(&current);
  asm volatile("" : "+m"(current));  // all of it: GCC 12 tells of the first 8 bytes
  if (std::memcmp(&current, &kConfig, sizeof(kConfig)) != 0) _tile_loadconfig(&kConfig);
}

/// Nothing that the compiler knows of memory may move across: GCC 12's tile loads do not say what they read.
void fence() { asm volatile("" ::: "memory"); }

/// Two by two tiles of sums.
template <Format kFormat>
void run_tile(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile,
              bool add) {
  auto* const upper_sums = static_cast<std::byte*>(tile);
  auto* const lower_sums = upper_sums + kTileRows * kPanelStride;
  const std::byte* lower = rows + kTileRows * stride;
  fence();
  if (add) {
    _tile_loadd(0, upper_sums, kPanelStride);
    _tile_loadd(1, upper_sums + kBlockBytes, kPanelStride);
    _tile_loadd(2, lower_sums, kPanelStride);
    _tile_loadd(3, lower_sums + kBlockBytes, kPanelStride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::size_t step = 0; step < steps; step += kStepsOfTile) {
    _tile_stream_loadd(4, rows, stride);
    _tile_stream_loadd(5, lower, stride);
    _tile_loadd(6, panel, kPanelStride);
    _tile_loadd(7, panel + kBlockBytes, kPanelStride);
    if constexpr (kFormat == Format::kBf16) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    } else {
      _tile_dpbusd(0, 4, 6);
      _tile_dpbusd(1, 4, 7);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
    rows += kBlockBytes;
    lower += kBlockBytes;
    panel += kStepsOfTile * kPanelStride;
  }
  _tile_stored(0, upper_sums, kPanelStride);
  _tile_stored(1, upper_sums + kBlockBytes, kPanelStride);
  _tile_stored(2, lower_sums, kPanelStride);
  _tile_stored(3, lower_sums + kBlockBytes, kPanelStride);
  fence();
}

}  // namespace

Tile amx_tile(Format format) {
  if (format == Format::kBf16) return {kHeight, "AMX bf16", run_tile<Format::kBf16>, prepare, kCachedSteps};
  return {kHeight, "AMX int8", run_tile<Format::kInt8>, prepare, kCachedSteps};
}

}  // namespace imagerank::kernels

#if defined(__clang__)
#pragma clang attribute pop
#endif
