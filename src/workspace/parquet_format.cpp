#include "workspace/parquet_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace imagerank::workspace {
namespace {

// Types of the compact protocol.
constexpr int kI32 = 5, kI64 = 6, kBinary = 8, kList = 9, kStruct = 12;

std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

void append_text(std::string& out, std::string_view text) {
  append_varint(out, text.size());
  out += text;
}

template <typename Number>
std::string hybrid(std::span<const Number> values, int width) {
  std::string out;
  if (values.empty()) return out;
  const bool equal = std::ranges::all_of(values, [&](Number value) { return value == values.front(); });
  if (equal || width == 0) {
    append_varint(out, values.size() << 1);
    for (int bits = 0; bits < width; bits += 8) out += static_cast<char>(values.front() >> bits);
    return out;
  }
  const std::size_t groups = (values.size() + 7) / 8;
  append_varint(out, (groups << 1) | 1U);
  const std::size_t start = out.size();
  out.resize(start + groups * static_cast<std::size_t>(width) + sizeof(std::uint64_t));  // room for whole words
  char* to = out.data() + start;
  std::uint64_t word = 0;
  int filled = 0;
  for (const Number value : values) {
    word |= std::uint64_t{value} << filled;
    filled += width;
    if (filled < 32) continue;
    const auto low = static_cast<std::uint32_t>(word);
    std::memcpy(to, &low, sizeof low);
    to += sizeof low;
    word >>= 32;
    filled -= 32;
  }
  std::memcpy(to, &word, sizeof word);
  out.resize(start + groups * static_cast<std::size_t>(width));
  return out;
}

}  // namespace

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

char* ByteBuffer::extend(std::size_t size) {
  if (size > capacity_ - size_) {
    const std::size_t capacity = std::max(size_ + size, capacity_ * 2);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);  // NOLINT(modernize-avoid-c-arrays)
    if (size_ != 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }
  char* const place = bytes_.get() + size_;
  size_ += size;
  return place;
}

void ByteBuffer::append(std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void ThriftStruct::header(int id, int type) {
  const int step = id - last_id_;  // 1..15 in all of Parquet's structures
  fields_ += static_cast<char>((step << 4) | type);
  last_id_ = id;
}

void ThriftStruct::list_header(int id, int type, std::size_t size) {
  header(id, kList);
  constexpr std::size_t kShort = 15;
  fields_ += static_cast<char>((std::min(size, kShort) << 4) | static_cast<std::size_t>(type));
  if (size >= kShort) append_varint(fields_, size);
}

ThriftStruct& ThriftStruct::i32(int id, std::int32_t value) {
  header(id, kI32);
  append_varint(fields_, zigzag(value));
  return *this;
}

ThriftStruct& ThriftStruct::i64(int id, std::int64_t value) {
  header(id, kI64);
  append_varint(fields_, zigzag(value));
  return *this;
}

ThriftStruct& ThriftStruct::text(int id, std::string_view value) {
  header(id, kBinary);
  append_text(fields_, value);
  return *this;
}

ThriftStruct& ThriftStruct::structure(int id, const ThriftStruct& value) {
  header(id, kStruct);
  fields_ += value.bytes();
  return *this;
}

ThriftStruct& ThriftStruct::structures(int id, const std::vector<ThriftStruct>& values) {
  list_header(id, kStruct, values.size());
  for (const ThriftStruct& value : values) fields_ += value.bytes();
  return *this;
}

ThriftStruct& ThriftStruct::i32s(int id, std::span<const std::int32_t> values) {
  list_header(id, kI32, values.size());
  for (const std::int32_t value : values) append_varint(fields_, zigzag(value));
  return *this;
}

ThriftStruct& ThriftStruct::texts(int id, std::span<const std::string> values) {
  list_header(id, kBinary, values.size());
  for (const std::string& value : values) append_text(fields_, value);
  return *this;
}

std::string encode_hybrid(std::span<const std::uint32_t> values, int width) { return hybrid(values, width); }
std::string encode_hybrid(std::span<const std::uint8_t> values, int width) { return hybrid(values, width); }

int bit_width_of(std::size_t count) noexcept { return count < 2 ? 0 : static_cast<int>(std::bit_width(count - 1)); }

}  // namespace imagerank::workspace
