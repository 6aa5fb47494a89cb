#include "kernels/tile_check.h"

#include <bit>
#include <cstring>

namespace imagerank::kernels {
namespace {

constexpr std::size_t kRowBytes = 2 * kBlockBytes, kSteps = kRowBytes / kStepBytes;

/// From -7 to 7: sums of them have few bits. No two rows or columns are alike.
int number_at(std::size_t line, std::size_t k) {
  return static_cast<int>((line * 37 + k * 11 + line * k * 5) % 251 % 15) - 7;
}

void put(std::byte* at, int number, Format format, int offset) {
  if (format == Format::kInt8) {
    *at = static_cast<std::byte>(number + offset);
  } else if (format == Format::kBf16) {
    const std::uint16_t value = bfloat16_from_float(static_cast<float>(number));
    std::memcpy(at, &value, sizeof(value));
  } else {
    const auto value = static_cast<float>(number);
    std::memcpy(at, &value, sizeof(value));
  }
}

}  // namespace

bool tile_is_right(const Tile& tile, Format format) {
  const std::size_t size = bytes_of(format), depth = kRowBytes / size, in_step = kStepBytes / size;
  const int offset = format == Format::kInt8 ? kInt8Offset : 0;
  alignas(64) std::array<std::byte, kSpareRows * kRowBytes> rows{};
  alignas(64) std::array<std::byte, kSteps * kPanelColumns * kStepBytes> panel{};
  for (std::size_t k = 0; k < depth; ++k) {
    for (std::size_t r = 0; r < tile.height; ++r) {
      put(&rows[r * kRowBytes + k * size], number_at(r, k), format, offset);
    }
    for (std::size_t c = 0; c < kPanelColumns; ++c) {
      const std::size_t step = k / in_step * kPanelColumns + c;
      put(&panel[step * kStepBytes + k % in_step * size], number_at(c + 100, k), format, 0);
    }
  }
  alignas(64) std::array<std::uint32_t, kSpareRows * kPanelColumns> once{}, twice{};
  tile.prepare();
  tile.run(rows.data(), kRowBytes, panel.data(), kSteps, once.data(), false);
  tile.run(rows.data(), kRowBytes, panel.data(), kSteps / 2, twice.data(), false);
  tile.run(rows.data() + kBlockBytes, kRowBytes, panel.data() + panel.size() / 2, kSteps / 2, twice.data(), true);
  for (std::size_t i = 0; i < tile.height * kPanelColumns; ++i) {
    int sum = 0;
    for (std::size_t k = 0; k < depth; ++k) {
      sum += (number_at(i / kPanelColumns, k) + offset) * number_at(i % kPanelColumns + 100, k);
    }
    const auto expected = format == Format::kInt8 ? static_cast<std::uint32_t>(sum)
                                                  : std::bit_cast<std::uint32_t>(static_cast<float>(sum));
    if (once[i] != expected || twice[i] != expected) return false;
  }
  return true;
}

}  // namespace imagerank::kernels
