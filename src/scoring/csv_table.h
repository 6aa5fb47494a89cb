#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::scoring {

/// A table with a line of column names. RFC 4180: quotes where needed, doubled inside; line ends LF or CRLF; a UTF-8
/// byte order mark is skipped. Separated by tabs, nothing is quoted.
struct CsvTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each as long as columns

  /// The first of the names that is a column.
  [[nodiscard]] std::optional<std::size_t> find(const std::vector<std::string_view>& names) const;
};

/// @param name  for messages. @throws Error kCorruptData naming the line: a row of another length, an open quote, no
/// rows.
[[nodiscard]] CsvTable parse_csv(std::string_view text, const std::string& name, char separator = ',');
/// One line, with its end.
void append_csv_record(std::string& out, const std::vector<std::string>& fields);

}  // namespace imagerank::scoring
