#include "onnx/message.h"

#include <bit>

namespace imagerank::onnx {
namespace {

/// How a field's value is written.
enum WireType : std::uint64_t { kVarint = 0, kLengthDelimited = 2, kFixed32 = 5 };

std::uint64_t tag(int field, WireType type) { return static_cast<std::uint64_t>(field) << 3 | type; }

}  // namespace

void Message::varint(std::uint64_t value) {
  constexpr std::uint64_t kContinues = 0x80;
  for (; value >= kContinues; value >>= 7) bytes_ += static_cast<char>(value | kContinues);
  bytes_ += static_cast<char>(value);
}

Message& Message::integer(int field, std::int64_t value) {
  varint(tag(field, kVarint));
  varint(static_cast<std::uint64_t>(value));
  return *this;
}

Message& Message::real(int field, float value) {
  varint(tag(field, kFixed32));
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift);
  return *this;
}

Message& Message::text(int field, std::string_view value) {
  prefix(field, value.size());
  bytes_ += value;
  return *this;
}

Message& Message::prefix(int field, std::uint64_t size) {
  varint(tag(field, kLengthDelimited));
  varint(size);
  return *this;
}

}  // namespace imagerank::onnx
