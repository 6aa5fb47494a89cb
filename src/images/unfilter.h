#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace imagerank::images {

/// Bytes that an unfilter may read behind the last row.
inline constexpr std::size_t kUnfilterSlack = 16;

/// One way to undo PNG's filters. All ways give the same bytes.
struct Unfilter {
  const char* name;
  /// `rows` rows, each a filter's number and `row_bytes` filtered bytes, become [rows, row_bytes] at the start of
  /// `data`, in place. @param pixel_bytes  from a byte to the same one of the pixel to its left: 1, 2, 3, 4, 6 or 8.
  /// @param data  rows * (row_bytes + 1) bytes and kUnfilterSlack of any value.
  /// @return false if a filter's number is none of PNG's. Source: PNG specification, clause 9.
  bool (*rows)(std::uint8_t* data, std::size_t rows, std::size_t row_bytes, std::size_t pixel_bytes);
};

/// The ways that this machine can run, the fastest first, plain C++ last.
[[nodiscard]] std::span<const Unfilter> unfilters();

}  // namespace imagerank::images
