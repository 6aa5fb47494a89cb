#pragma once

#include <span>
#include <string>
#include <string_view>

namespace imagerank::workspace {

struct ColumnSchema {
  std::string_view name;
  std::string_view type;  ///< DuckDB's name of it
};

struct TableSchema {
  std::string_view name;     ///< the file is <name>.parquet
  std::string_view made_by;  ///< the command to run if it is missing
  std::span<const ColumnSchema> columns;
  /// "name, name": what tells rows apart, and the order in which they are loaded. A file's own order means nothing:
  /// keeping one would double the time in which large tables are written.
  std::string_view key;
};

/// The workspace's tables; docs/file_formats.md says what each column means.
/// @throws Error kInvalidArgument if there is no such table.
[[nodiscard]] const TableSchema& table_schema(std::string_view name);

/// "name TYPE, name TYPE", as CREATE TABLE takes it.
[[nodiscard]] std::string column_definitions(const TableSchema& schema);

/// "name, name"
[[nodiscard]] std::string column_names(const TableSchema& schema);

}  // namespace imagerank::workspace
