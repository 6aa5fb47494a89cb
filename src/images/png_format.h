#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// PNG's container, for its decoder, its encoder and EXIF. Source: PNG specification (W3C, third edition).
namespace imagerank::images::png {

inline constexpr std::uint8_t kGrey = 0, kRgb = 2, kIndexed = 3, kGreyAlpha = 4, kRgba = 6;  ///< colour types
inline constexpr std::uint32_t kIhdr = 0x49484452, kPlte = 0x504c5445, kIdat = 0x49444154, kIend = 0x49454e44,
                               kExif = 0x65584966;
inline constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";

inline constexpr std::uint8_t kFilters = 5;

/// What filter 0 to 4 (none, sub, up, average, Paeth) subtracts from a byte.
[[nodiscard]] inline std::uint8_t guess(std::uint8_t filter, int left, int above, int corner) noexcept {
  if (filter == 0) return 0;
  if (filter == 1) return static_cast<std::uint8_t>(left);
  if (filter == 2) return static_cast<std::uint8_t>(above);
  if (filter == 3) return static_cast<std::uint8_t>((left + above) / 2);
  const int from_left = std::abs(above - corner);
  const int from_above = std::abs(left - corner);
  const int from_corner = std::abs(left + above - 2 * corner);
  const int nearer = from_above <= from_corner ? above : corner;
  return static_cast<std::uint8_t>(from_left <= from_above && from_left <= from_corner ? left : nearer);
}

/// Big endian. @param at  with four bytes behind it.
[[nodiscard]] std::uint32_t big32(std::span<const std::byte> bytes, std::size_t at) noexcept;

/// One of Adam7's seven passes, or the only one of an image that is not interlaced: the pixels (left + i * step_x,
/// top + j * step_y), as an image of its own.
struct Pass {
  std::size_t left = 0, top = 0;
  std::size_t step_x = 1, step_y = 1;
  std::size_t width = 0, height = 0;
};

struct Header {
  std::uint32_t width = 0, height = 0;
  std::uint8_t depth = 0;  ///< bits a sample
  std::uint8_t colour = 0;
  bool interlaced = false;

  /// 0 for a colour type that PNG does not have.
  [[nodiscard]] std::size_t channels() const noexcept;
  [[nodiscard]] std::size_t row_bytes(std::size_t pixels) const noexcept {
    return (pixels * depth * channels() + 7) / 8;
  }
  /// From a byte to the same one of the pixel to its left; 1 where pixels are smaller than that.
  [[nodiscard]] std::size_t pixel_bytes() const noexcept { return (depth * channels() + 7) / 8; }
  /// Those that have pixels, in the order of the file.
  [[nodiscard]] std::vector<Pass> passes() const;
};

struct Chunk {
  std::uint32_t type = 0;
  std::span<const std::byte> data;
  std::uint32_t checksum = 0;
  /// Whether the checksum is that of type and data.
  [[nodiscard]] bool intact() const noexcept;
  [[nodiscard]] bool critical() const noexcept { return (type & 0x20000000U) == 0; }
};

/// The chunks of a file from behind its signature on.
class ChunkReader {
 public:
  explicit ChunkReader(std::span<const std::byte> file) noexcept
      : rest_(file.subspan(std::min(file.size(), kSignature.size()))) {}
  /// nullopt where the file ends, be it within a chunk.
  std::optional<Chunk> next() noexcept;

 private:
  std::span<const std::byte> rest_;
};

/// @param data  below 2 GiB.
void append_chunk(std::string& file, std::uint32_t type, std::span<const std::byte> data);
/// Big endian.
void append_big32(std::string& text, std::uint32_t value);

}  // namespace imagerank::images::png
