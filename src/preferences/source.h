#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "preferences/incoming.h"

namespace imagerank::preferences {

/// A key of JSON records that a format reads.
struct JsonField {
  std::string name;
  bool list = false;  ///< of texts or numbers; else one text, number or truth value
};

/// One file as a table that SQL can read: Parquet, CSV with a header line (comma, tab or semicolon; quoted fields may
/// hold line ends), or JSON records. Which one, the first bytes say.
class Source {
 public:
  /// @param json  what JSON records are read for; empty: JSON is refused.
  /// @throws Error kNotFound, kCorruptData.
  Source(Incoming& incoming, const std::filesystem::path& path, std::span<const JsonField> json = {});

  /// What stands after FROM.
  [[nodiscard]] const std::string& from() const noexcept { return from_; }
  [[nodiscard]] bool has(std::string_view column) const;
  /// DuckDB's name of a column's type, "" if the file has no such column.
  [[nodiscard]] std::string type_of(std::string_view column) const;
  /// "a, b, c"
  [[nodiscard]] std::string column_list() const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& columns() const noexcept { return columns_; }

  /// A column as SQL text, NULL where it is NULL; "''" if the file has none.
  /// @throws Error kCorruptData if it holds neither text, integers nor times.
  [[nodiscard]] std::string text(std::string_view column) const;
  /// The same, but whole numbers of a floating type are taken too: how pandas writes integer ids with gaps.
  [[nodiscard]] std::string id(std::string_view column) const;
  /// A column as DOUBLE, `missing` if the file has none. What is no number is NULL.
  [[nodiscard]] std::string real(std::string_view column, std::string_view missing = "NULL") const;
  /// A column as VARCHAR[] or DOUBLE[]; CSV writes lists as ['a', 'b'] or [1, 2]. "NULL" if the file has none.
  /// @throws Error kCorruptData if it holds no lists.
  [[nodiscard]] std::string text_list(std::string_view column) const;
  [[nodiscard]] std::string real_list(std::string_view column) const;
  /// A column as BOOLEAN, `missing` if the file has none.
  [[nodiscard]] std::string truth(std::string_view column, std::string_view missing) const;
  /// A column as a ranking's weight: 1 where the file says none, NaN (no usable weight) where that is no number.
  [[nodiscard]] std::string weight(std::string_view column) const;
  /// A column as INTEGER, 0 where it is none.
  [[nodiscard]] std::string integer(std::string_view column) const;

  /// @throws Error kCorruptData naming the first column that is missing; `what` is the kind of table expected.
  void require(std::string_view what, std::initializer_list<std::string_view> columns) const;
  /// Notes every column that is not listed as not kept.
  void ignore_others(Incoming& incoming, std::initializer_list<std::string_view> kept) const;

 private:
  void open_parquet(workspace::Database& database);
  void check_row_counts(workspace::Database& database) const;
  void open_csv();
  void open_json(Incoming& incoming, std::span<const JsonField> fields);
  [[nodiscard]] std::string list(std::string_view column, std::string_view type) const;

  std::filesystem::path path_;
  std::string from_;
  bool csv_ = false;
  bool json_ = false;
  std::vector<std::pair<std::string, std::string>> columns_;  ///< name, DuckDB's type
};

}  // namespace imagerank::preferences
