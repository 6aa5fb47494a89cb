#include "images/png_format.h"

#include <libdeflate.h>

#include <array>
#include <string>

namespace imagerank::images::png {

std::uint32_t big32(std::span<const std::byte> bytes, std::size_t at) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

std::size_t Header::channels() const noexcept {
  switch (colour) {
    case kGrey:
    case kIndexed:
      return 1;
    case kGreyAlpha:
      return 2;
    case kRgb:
      return 3;
    case kRgba:
      return 4;
    default:
      return 0;
  }
}

std::vector<Pass> Header::passes() const {
  if (!interlaced) return {{0, 0, 1, 1, width, height}};
  constexpr std::array<std::array<std::size_t, 4>, 7> kAdam7 = {
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  std::vector<Pass> result;
  for (const auto& [left, top, step_x, step_y] : kAdam7) {
    if (left >= width || top >= height) continue;
    result.push_back(
        {left, top, step_x, step_y, (width - left + step_x - 1) / step_x, (height - top + step_y - 1) / step_y});
  }
  return result;
}

bool Chunk::intact() const noexcept {
  return libdeflate_crc32(0, data.data() - 4, data.size() + 4) == checksum;  // the type stands before the data
}

std::optional<Chunk> ChunkReader::next() noexcept {
  constexpr std::size_t kFrame = 12;  // length, type, checksum
  if (rest_.size() < kFrame) return std::nullopt;
  const std::size_t length = big32(rest_, 0);
  if (length > rest_.size() - kFrame) return std::nullopt;
  const Chunk chunk{big32(rest_, 4), rest_.subspan(8, length), big32(rest_, 8 + length)};
  rest_ = rest_.subspan(kFrame + length);
  return chunk;
}

void append_big32(std::string& text, std::uint32_t value) {
  for (unsigned shift = 32; shift != 0; shift -= 8) text += static_cast<char>((value >> (shift - 8)) & 0xffU);
}

void append_chunk(std::string& file, std::uint32_t type, std::span<const std::byte> data) {
  append_big32(file, static_cast<std::uint32_t>(data.size()));
  const std::size_t begin = file.size();
  append_big32(file, type);
  file.append(reinterpret_cast<const char*>(data.data()), data.size());
  append_big32(file, libdeflate_crc32(0, file.data() + begin, file.size() - begin));
}

}  // namespace imagerank::images::png
