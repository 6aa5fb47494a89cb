#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::workspace {

/// Bytes that grow at their end and are not cleared first; memory is kept by clear().
class ByteBuffer {
 public:
  /// Room for `size` more bytes, which the caller fills.
  char* extend(std::size_t size);
  void append(std::string_view bytes);
  /// Takes back the last bytes of an extend().
  void shrink_to(std::size_t size) noexcept { size_ = size; }
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;  // NOLINT(modernize-avoid-c-arrays): its size is known when it runs
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// A structure in Thrift's compact protocol, which Parquet's headers and footer are in: fields in the order of their
/// ids. Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
class ThriftStruct {
 public:
  ThriftStruct& i32(int id, std::int32_t value);
  ThriftStruct& i64(int id, std::int64_t value);
  ThriftStruct& text(int id, std::string_view value);
  ThriftStruct& structure(int id, const ThriftStruct& value);
  ThriftStruct& structures(int id, const std::vector<ThriftStruct>& values);
  ThriftStruct& i32s(int id, std::span<const std::int32_t> values);
  ThriftStruct& texts(int id, std::span<const std::string> values);
  /// All of it.
  [[nodiscard]] std::string bytes() const { return fields_ + '\0'; }

 private:
  void header(int id, int type);
  void list_header(int id, int type, std::size_t size);

  std::string fields_;
  int last_id_ = 0;
};

/// As 7 bits a byte, low ones first.
void append_varint(std::string& out, std::uint64_t value);

/// Numbers below 2^width as one run: repeated where all are equal, else packed bit by bit. Source: Parquet's
/// Encodings.md, RLE / bit-packing hybrid. @param width  0..32.
[[nodiscard]] std::string encode_hybrid(std::span<const std::uint32_t> values, int width);
[[nodiscard]] std::string encode_hybrid(std::span<const std::uint8_t> values, int width);
/// Bits that numbers below `count` take.
[[nodiscard]] int bit_width_of(std::size_t count) noexcept;

}  // namespace imagerank::workspace
