#include "preferences/tfrecord.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/crc32c.h"
#include "core/fail.h"
#include "core/mapped_file.h"

namespace imagerank::preferences {
namespace {

static_assert(std::endian::native == std::endian::little, "TFRecord and protocol buffers are little-endian");

template <typename T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// One message of the protocol buffers wire format, field by field.
class Message {
 public:
  explicit Message(std::span<const std::byte> bytes) : rest_(bytes) {}

  struct Field {
    std::uint32_t number = 0;
    std::uint32_t wire = 0;            ///< 0 varint, 1 eight bytes, 2 a length and bytes, 5 four bytes
    std::uint64_t varint = 0;          ///< wire 0
    std::span<const std::byte> bytes;  ///< wires 1, 2 and 5
  };

  /// @return false at the end.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    if (tag >> 3U == 0 || tag >> 3U > 0x1FFFFFFFU)
      fail(ErrorCode::kCorruptData, "expected a field number, found {}", tag >> 3U);
    field.number = static_cast<std::uint32_t>(tag >> 3U);
    field.wire = static_cast<std::uint32_t>(tag & 7U);
    switch (field.wire) {
      case 0:
        field.varint = varint();
        return true;
      case 1:
        field.bytes = take(8);
        return true;
      case 2:
        field.bytes = take(varint());
        return true;
      case 5:
        field.bytes = take(4);
        return true;
      default:
        fail(ErrorCode::kCorruptData, "expected a wire type of 0, 1, 2 or 5, found {}", field.wire);
    }
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(take(1)[0]);
      value |= (byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    fail(ErrorCode::kCorruptData, "expected a number of at most ten bytes, found a longer one");
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size()) fail(ErrorCode::kCorruptData, "expected {} more bytes, found {}", size, rest_.size());
    const auto bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }

  std::span<const std::byte> rest_;
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void parse_floats(std::span<const std::byte> bytes, std::vector<float>& floats) {
  Message list(bytes);
  for (Message::Field field; list.next(field);) {
    if (field.number != 1 || (field.wire != 2 && field.wire != 5)) continue;
    if (field.bytes.size() % sizeof(float) != 0)
      fail(ErrorCode::kCorruptData, "expected floats, found {} bytes", field.bytes.size());
    for (auto rest = field.bytes; !rest.empty(); rest = rest.subspan(sizeof(float)))
      floats.push_back(load<float>(rest));
  }
}

void parse_integers(std::span<const std::byte> bytes, std::vector<std::int64_t>& integers) {
  Message list(bytes);
  for (Message::Field field; list.next(field);) {
    if (field.number != 1) continue;
    if (field.wire == 0) integers.push_back(static_cast<std::int64_t>(field.varint));
    if (field.wire != 2) continue;
    for (Message packed(field.bytes); !packed.empty();) integers.push_back(static_cast<std::int64_t>(packed.varint()));
  }
}

Feature parse_feature(std::span<const std::byte> bytes) {
  Feature feature;
  Message message(bytes);
  for (Message::Field field; message.next(field);) {
    if (field.wire != 2) continue;
    if (field.number == 1) {
      Message list(field.bytes);
      for (Message::Field item; list.next(item);) {
        if (item.number == 1 && item.wire == 2) feature.bytes.push_back(text_of(item.bytes));
      }
    } else if (field.number == 2) {
      parse_floats(field.bytes, feature.floats);
    } else if (field.number == 3) {
      parse_integers(field.bytes, feature.integers);
    }
  }
  return feature;
}

}  // namespace

Example parse_example(std::span<const std::byte> bytes, std::span<const std::string_view> wanted) {
  Example example;
  Message message(bytes);
  for (Message::Field features; message.next(features);) {
    if (features.number != 1 || features.wire != 2) continue;
    Message entries(features.bytes);
    for (Message::Field entry; entries.next(entry);) {
      if (entry.number != 1 || entry.wire != 2) continue;
      std::string key;
      std::span<const std::byte> value;
      Message pair(entry.bytes);
      for (Message::Field part; pair.next(part);) {
        if (part.number == 1 && part.wire == 2) key = text_of(part.bytes);
        if (part.number == 2 && part.wire == 2) value = part.bytes;
      }
      if (std::ranges::find(wanted, key) != wanted.end()) example[key] = parse_feature(value);
    }
  }
  return example;
}

std::int64_t for_each_tfrecord(
    const std::filesystem::path& path,
    const std::function<void(std::span<const std::byte> payload, std::int64_t number)>& visit) {
  constexpr std::size_t kHeader = sizeof(std::uint64_t) + sizeof(std::uint32_t);
  const MappedFile file(path);
  std::span<const std::byte> rest = file.bytes();
  std::int64_t number = 0;
  while (!rest.empty()) {
    ++number;
    if (rest.size() < kHeader)
      fail(ErrorCode::kCorruptData, "record {}: expected {} bytes of length, found {}", number, kHeader, rest.size());
    if (load<std::uint32_t>(rest.subspan(8)) != masked_crc32c(rest.first(8)))
      fail(ErrorCode::kCorruptData, "record {}: expected a TFRecord, found a length whose checksum differs", number);
    const auto size = load<std::uint64_t>(rest);
    rest = rest.subspan(kHeader);
    if (rest.size() < sizeof(std::uint32_t) || size > rest.size() - sizeof(std::uint32_t))
      fail(ErrorCode::kCorruptData, "record {}: expected {} bytes, found the end of the file after {}", number, size,
           rest.size());
    const auto payload = rest.first(size);
    if (load<std::uint32_t>(rest.subspan(size)) != masked_crc32c(payload))
      fail(ErrorCode::kCorruptData, "record {}: expected its checksum, found another: the file is damaged", number);
    visit(payload, number);
    rest = rest.subspan(size + sizeof(std::uint32_t));
  }
  return number;
}

}  // namespace imagerank::preferences
