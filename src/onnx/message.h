#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace imagerank::onnx {

/// One protocol-buffer message in its wire format, written field by field. An ONNX file is one such message; what
/// makes it up is few fields, so there is no generated code and no library behind it.
/// Source: https://protobuf.dev/programming-guides/encoding
class Message {
 public:
  Message& integer(int field, std::int64_t value);
  Message& real(int field, float value);
  Message& text(int field, std::string_view value);
  Message& message(int field, const Message& value) { return text(field, value.bytes()); }
  /// What stands before `size` bytes of a field that is written elsewhere: its tag and their number.
  Message& prefix(int field, std::uint64_t size);

  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

 private:
  void varint(std::uint64_t value);

  std::string bytes_;
};

}  // namespace imagerank::onnx
