#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace imagerank::workspace {

/// Some rows of one column. Views live as long as the call that takes them.
struct ColumnRows {
  std::vector<std::string_view> values;  ///< those that are there: a text, or a number's bytes
  /// One an entry, which is a row, or an element of a list: of a plain column 0 NULL, 1 a value; of a list 0 NULL,
  /// 1 an empty one, 2 a NULL element, 3 a value.
  std::vector<std::uint8_t> definition;
  std::vector<std::uint8_t> repetition;  ///< of lists, one an entry: 0 begins a row, 1 goes on with it
  /// Empty, or one a value: the same number for the same value and another for another, in all rows of the column.
  /// Numbers from 0 and close together: they save the search for equal texts.
  std::vector<std::uint32_t> numbers;

  void clear() {
    values.clear();
    definition.clear();
    repetition.clear();
    numbers.clear();
  }
};

/// The number in a value's bytes.
template <typename Number>
Number number_in(std::string_view bytes) noexcept {
  Number number = 0;
  bytes.copy(reinterpret_cast<char*>(&number), sizeof number);
  return number;
}

}  // namespace imagerank::workspace
