#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/kernels.h"

namespace imagerank::test {

/// The tile registers of a thread in software, as Intel's Software Developer's Manual has them (volume 1, chapter 18;
/// the pages of the instructions in volume 2): palette 1, eight tiles of at most 16 rows of 64 bytes.
/// @throws std::logic_error  where the CPU would raise #UD or #GP.
class TileRegisters {
 public:
  void load_config(const void* config);                                ///< LDTILECFG, of 64 bytes; tiles become 0
  void store_config(void* config) const;                               ///< STTILECFG; of 0 when released
  void release() noexcept { *this = {}; }                              ///< TILERELEASE
  void zero(std::size_t tile);                                         ///< TILEZERO
  void load(std::size_t tile, const void* base, std::size_t stride);   ///< TILELOADD, TILELOADDT1
  void store(std::size_t tile, void* base, std::size_t stride) const;  ///< TILESTORED
  /// TDPBF16PS: the even and the odd numbers of a row are summed apart, by FMA, then both are added to `sums`. Rounding
  /// is to nearest even; denormal numbers count as 0, in and out.
  void dot_bf16(std::size_t sums, std::size_t a, std::size_t b);
  /// TDPBUSD: bytes of a without sign, of b with one; nothing saturates.
  void dot_int8(std::size_t sums, std::size_t a, std::size_t b);

 private:
  static constexpr std::size_t kTiles = 8, kRows = 16, kRowBytes = 64;
  struct Tile {
    std::size_t rows = 0, row_bytes = 0;
    std::array<std::array<std::byte, kRowBytes>, kRows> bytes{};
  };
  [[nodiscard]] const Tile& at(std::size_t tile) const;
  [[nodiscard]] Tile& at(std::size_t tile) { return const_cast<Tile&>(std::as_const(*this).at(tile)); }
  void check_shapes(std::size_t sums, std::size_t a, std::size_t b) const;

  bool configured_ = false;
  std::array<Tile, kTiles> tiles_;
};

/// The calling thread's.
TileRegisters& tile_registers();

/// What tests of the kernels run on. kEmulatedAmx: kernels_amx.cpp over tile_registers(), and the other kernels of the
/// best level there is.
inline constexpr std::array<std::string_view, 4> kKernelNames = {"avx2", "avx512", "amx", "emulated_amx"};
/// Empty where this machine has no such level.
[[nodiscard]] std::optional<kernels::Kernels> kernels_named(std::string_view name);

}  // namespace imagerank::test

namespace imagerank::kernels {
Tile emulated_amx_tile(Format format);
}
