#include <immintrin.h>

#include <array>
#include <cstring>

#include "kernels/levels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,amx-int8"))), apply_to = function)
#else  // to the end of the file: GCC compiles templates there
#pragma GCC target("amx-tile,amx-bf16,amx-int8")
#endif

namespace imagerank::kernels {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kHeight = 2 * kTileRows;
constexpr std::size_t kStepsOfTile = 16;  ///< a tile row is a block of 64 bytes
constexpr std::size_t kPanelStride = kPanelColumns * kStepBytes;

/// Eight whole tiles of 16 rows of 64 bytes, as the CPU reads it (palette 1).
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{64, 64, 64, 64, 64, 64, 64, 64};
  std::array<std::uint8_t, 16> rows{16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

/// Tiles belong to a thread, and other libraries may set them otherwise.
void configure_tiles() {
  static const TileConfig kConfig;
  TileConfig current;
  _tile_storeconfig(&current);
  asm volatile("" : "+m"(current));  // all of it: GCC 12 tells of the first 8 bytes
  if (std::memcmp(&current, &kConfig, sizeof(kConfig)) != 0) _tile_loadconfig(&kConfig);
}

// Two by two tiles of sums. What the compiler may not move over a tile instruction is said by the memory clobbers:
// GCC 12's own have none.
#define IMAGERANK_TILE_PRODUCTS(PRODUCT)                              \
  configure_tiles();                                                  \
  asm volatile("" ::: "memory");                                      \
  _tile_zero(0);                                                      \
  _tile_zero(1);                                                      \
  _tile_zero(2);                                                      \
  _tile_zero(3);                                                      \
  const std::byte* lower = rows + kTileRows * stride;                 \
  for (std::size_t step = 0; step < steps; step += kStepsOfTile) {    \
    _tile_stream_loadd(4, rows, stride);                              \
    _tile_stream_loadd(5, lower, stride);                             \
    _tile_loadd(6, panel, kPanelStride);                              \
    _tile_loadd(7, panel + 64, kPanelStride);                         \
    PRODUCT(0, 4, 6);                                                 \
    PRODUCT(1, 4, 7);                                                 \
    PRODUCT(2, 5, 6);                                                 \
    PRODUCT(3, 5, 7);                                                 \
    rows += kBlockBytes;                                              \
    lower += kBlockBytes;                                             \
    panel += kStepsOfTile * kPanelStride;                             \
  }                                                                   \
  auto* out = static_cast<std::byte*>(tile);                          \
  _tile_stored(0, out, kPanelStride);                                 \
  _tile_stored(1, out + 64, kPanelStride);                            \
  _tile_stored(2, out + kTileRows * kPanelStride, kPanelStride);      \
  _tile_stored(3, out + kTileRows * kPanelStride + 64, kPanelStride); \
  asm volatile("" ::: "memory")

void run_bf16(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile) {
  IMAGERANK_TILE_PRODUCTS(_tile_dpbf16ps);
}

void run_int8(const std::byte* rows, std::size_t stride, const std::byte* panel, std::size_t steps, void* tile) {
  IMAGERANK_TILE_PRODUCTS(_tile_dpbusd);
}

}  // namespace

Tile amx_tile(Format format) {
  return format == Format::kBf16 ? Tile{kHeight, "AMX bf16", run_bf16} : Tile{kHeight, "AMX int8", run_int8};
}

}  // namespace imagerank::kernels

#if defined(__clang__)
#pragma clang attribute pop
#endif
