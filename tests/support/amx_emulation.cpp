#include "support/amx_emulation.h"

#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "kernels/levels.h"

namespace imagerank::test {
namespace {

[[noreturn]] void fault(const char* what) { throw std::logic_error(std::string("emulated AMX: ") + what); }

template <class Number>
Number number_at(const std::byte* row, std::size_t index) {
  Number number;
  std::memcpy(&number, row + index * sizeof(Number), sizeof(Number));
  return number;
}

float without_denormals(float x) {
  return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}

float bfloat16_at(const std::byte* row, std::size_t index) {
  const auto bits = std::uint32_t{number_at<std::uint16_t>(row, index)} << 16;
  return without_denormals(std::bit_cast<float>(bits));
}

}  // namespace

const TileRegisters::Tile& TileRegisters::at(std::size_t tile) const {
  if (!configured_) fault("tiles are not configured (#UD)");
  if (tile >= kTiles || tiles_[tile].rows == 0) fault("a tile that the configuration leaves out (#UD)");
  return tiles_[tile];
}

void TileRegisters::load_config(const void* config) {
  const auto* const bytes = static_cast<const std::byte*>(config);
  *this = {};
  if (bytes[0] == std::byte{0}) return;
  if (bytes[0] != std::byte{1}) fault("a palette beyond 1 (#GP)");
  if (bytes[1] != std::byte{0}) fault("a first row other than 0: no load is resumed here");
  for (std::size_t i = 2; i < 64; ++i) {
    const bool reserved = i < 16 || (i >= 16 + 2 * kTiles && i < 48) || i >= 48 + kTiles;
    if (reserved && bytes[i] != std::byte{0}) fault("reserved bytes of the configuration are not 0 (#GP)");
  }
  for (std::size_t i = 0; i < kTiles; ++i) {
    Tile& tile = tiles_[i];
    tile.row_bytes = number_at<std::uint16_t>(bytes + 16, i);
    tile.rows = number_at<std::uint8_t>(bytes + 48, i);
    if (tile.row_bytes > kRowBytes || tile.rows > kRows || (tile.rows == 0) != (tile.row_bytes == 0)) {
      fault("a tile of a shape that palette 1 does not have (#GP)");
    }
  }
  configured_ = true;
}

void TileRegisters::store_config(void* config) const {
  std::array<std::byte, 64> bytes{};
  if (configured_) bytes[0] = std::byte{1};
  for (std::size_t i = 0; i < kTiles; ++i) {
    bytes[16 + 2 * i] = static_cast<std::byte>(tiles_[i].row_bytes);
    bytes[48 + i] = static_cast<std::byte>(tiles_[i].rows);
  }
  std::memcpy(config, bytes.data(), bytes.size());
}

void TileRegisters::zero(std::size_t tile) { at(tile).bytes = {}; }

void TileRegisters::load(std::size_t tile, const void* base, std::size_t stride) {
  zero(tile);
  Tile& target = at(tile);
  for (std::size_t row = 0; row < target.rows; ++row) {
    std::memcpy(target.bytes[row].data(), static_cast<const std::byte*>(base) + row * stride, target.row_bytes);
  }
}

void TileRegisters::store(std::size_t tile, void* base, std::size_t stride) const {
  const Tile& source = at(tile);
  for (std::size_t row = 0; row < source.rows; ++row) {
    std::memcpy(static_cast<std::byte*>(base) + row * stride, source.bytes[row].data(), source.row_bytes);
  }
}

void TileRegisters::check_shapes(std::size_t sums, std::size_t a, std::size_t b) const {
  if (sums == a || sums == b || a == b) fault("one tile as two operands (#UD)");
  const Tile &to = at(sums), &left = at(a), &right = at(b);
  if (to.rows != left.rows || to.row_bytes != right.row_bytes || left.row_bytes != right.rows * 4) {
    fault("tiles whose shapes do not fit (#UD)");
  }
}

__attribute__((target("avx2,fma"))) void TileRegisters::dot_bf16(std::size_t sums, std::size_t a, std::size_t b) {
  check_shapes(sums, a, b);
  const Tile &left = at(a), &right = at(b);
  const std::size_t columns = right.row_bytes / 4;
  std::array<std::array<float, 16>, kRows> even_weights{}, odd_weights{};
  for (std::size_t k = 0; k < right.rows; ++k) {
    for (std::size_t n = 0; n < columns; ++n) {
      even_weights[k][n] = bfloat16_at(right.bytes[k].data(), 2 * n);
      odd_weights[k][n] = bfloat16_at(right.bytes[k].data(), 2 * n + 1);
    }
  }
  for (std::size_t m = 0; m < left.rows; ++m) {
    std::array<float, 16> even{}, odd{};
    for (std::size_t k = 0; k < right.rows; ++k) {
      const float x = bfloat16_at(left.bytes[m].data(), 2 * k), y = bfloat16_at(left.bytes[m].data(), 2 * k + 1);
      for (std::size_t n = 0; n < 16; ++n) {
        even[n] = without_denormals(std::fma(x, even_weights[k][n], even[n]));
        odd[n] = without_denormals(std::fma(y, odd_weights[k][n], odd[n]));
      }
    }
    std::byte* const row = at(sums).bytes[m].data();
    for (std::size_t n = 0; n < columns; ++n) {
      const float before = without_denormals(number_at<float>(row, n));
      const float sum = without_denormals(before + without_denormals(even[n] + odd[n]));
      std::memcpy(row + n * 4, &sum, 4);
    }
  }
}

void TileRegisters::dot_int8(std::size_t sums, std::size_t a, std::size_t b) {
  check_shapes(sums, a, b);
  const Tile &left = at(a), &right = at(b);
  for (std::size_t m = 0; m < left.rows; ++m) {
    std::byte* const row = at(sums).bytes[m].data();
    for (std::size_t n = 0; n < right.row_bytes / 4; ++n) {
      auto sum = number_at<std::uint32_t>(row, n);
      for (std::size_t k = 0; k < right.rows; ++k) {
        for (std::size_t i = 0; i < 4; ++i) {
          const int product = number_at<std::uint8_t>(left.bytes[m].data(), 4 * k + i) *
                              number_at<std::int8_t>(right.bytes[k].data(), 4 * n + i);
          sum += static_cast<std::uint32_t>(product);
        }
      }
      std::memcpy(row + n * 4, &sum, 4);
    }
  }
}

TileRegisters& tile_registers() {
  static thread_local TileRegisters registers;
  return registers;
}

std::optional<kernels::Kernels> kernels_named(std::string_view name) {
  const std::optional<kernels::Level> best = kernels::best_level();
  if (!best) return std::nullopt;
  if (name == "emulated_amx") {
    kernels::Kernels kernels = kernels::kernels_of(*best);
    for (const kernels::Format format : {kernels::Format::kBf16, kernels::Format::kInt8}) {
      kernels.tiles[static_cast<std::size_t>(format)] = kernels::emulated_amx_tile(format);
    }
    return kernels;
  }
  for (const kernels::Level level : {kernels::Level::kAvx2, kernels::Level::kAvx512, kernels::Level::kAmx}) {
    if (name == kernels::level_name(level)) return *best < level ? std::nullopt : std::optional(kernels_of(level));
  }
  throw std::logic_error("no kernels are called " + std::string(name));
}

}  // namespace imagerank::test

// NOLINTBEGIN(bugprone-reserved-identifier,bugprone-suspicious-include): the intrinsics' names, the kernels' source
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbusd
#define _tile_loadconfig(config) imagerank::test::tile_registers().load_config(config)
#define _tile_storeconfig(config) imagerank::test::tile_registers().store_config(config)
#define _tile_zero(tile) imagerank::test::tile_registers().zero(tile)
#define _tile_loadd(tile, base, stride) imagerank::test::tile_registers().load(tile, base, stride)
#define _tile_stream_loadd(tile, base, stride) imagerank::test::tile_registers().load(tile, base, stride)
#define _tile_stored(tile, base, stride) imagerank::test::tile_registers().store(tile, base, stride)
#define _tile_dpbf16ps(sums, a, b) imagerank::test::tile_registers().dot_bf16(sums, a, b)
#define _tile_dpbusd(sums, a, b) imagerank::test::tile_registers().dot_int8(sums, a, b)
#define amx_tile emulated_amx_tile
#include "kernels/kernels_amx.cpp"
// NOLINTEND(bugprone-reserved-identifier,bugprone-suspicious-include)
