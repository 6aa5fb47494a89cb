#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workspace/column_rows.h"

namespace imagerank {
class AtomicFile;
}

namespace imagerank::workspace {

class RowReader;

/// A result column, as the code asked for it. NULL text is "" unless read through `null`.
struct Column {
  std::string name;
  std::vector<std::string> text;                        ///< VARCHAR, and everything else cast to it
  std::vector<double> real;                             ///< FLOAT, DOUBLE, DECIMAL
  std::vector<std::int64_t> integer;                    ///< integers and BOOLEAN
  std::vector<std::vector<std::string>> text_list;      ///< VARCHAR[]
  std::vector<std::vector<std::int64_t>> integer_list;  ///< integer lists
  std::vector<bool> null;
};

/// All rows of a query, by column.
struct Table {
  std::vector<Column> columns;
  std::size_t row_count = 0;
  /// @throws Error kInvalidArgument if there is no such column.
  [[nodiscard]] const Column& column(std::string_view name) const;
};

/// An in-memory DuckDB, which reads and writes Parquet and CSV files. All SQL of the project runs through it.
/// @throws Error from every function: kCorruptData for what a file holds, kResourceLimit for a full disk or memory,
/// kIo otherwise; the message starts with DuckDB's first line. Not thread-safe; DuckDB threads inside.
class Database {
 public:
  /// What it may hold before it spills; its buffers for reading and writing files come on top.
  static constexpr std::int64_t kMaxMemory = std::int64_t{5} << 29;  // 2.5 GiB

  /// @param threads  0: all cores. @param spill_folder  where large sorts may overflow to; empty: nowhere.
  explicit Database(int threads = 0, const std::filesystem::path& spill_folder = {},
                    std::int64_t max_memory_bytes = kMaxMemory);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  void execute(const std::string& sql);
  [[nodiscard]] Table query(const std::string& sql);
  /// Calls `visit` with a query's rows, up to 2048 at a time, as they are made: the result is never whole in memory.
  /// BLOB columns come as text. What `visit` throws ends the query; it must not use this database.
  void for_each_chunk(const std::string& sql, const std::function<void(const Table& rows)>& visit);
  /// A query whose one row and column is an integer.
  [[nodiscard]] std::int64_t query_integer(const std::string& sql);
  [[nodiscard]] double query_real(const std::string& sql);
  /// Writes a query's rows as a Parquet file, atomically.
  void write_parquet(const std::string& sql, const std::filesystem::path& path);
  /// The same into a file that the caller commits, so that several tables can appear together. Not compressed: uids
  /// hardly shrink.
  void copy_parquet(const std::string& sql, AtomicFile& file);
  /// The same for the large tables of import and label, by a writer of our own (parquet_writer.h): rows in no order, of
  /// columns VARCHAR, ENUM, INTEGER, BIGINT, DOUBLE, VARCHAR[] and INTEGER[].
  /// @param csv  gets the first `csv_columns` columns (texts and integers) as CSV with a header line; or nullptr.
  void copy_unordered(const std::string& sql, AtomicFile& file, AtomicFile* csv = nullptr, std::size_t csv_columns = 0);
  /// Gives a query's rows, of the same types, to `take`, from this database's threads, several at once, in no order.
  /// What `take` throws ends the query.
  using TakeRows = std::function<void(std::span<const ColumnRows> columns, std::size_t count)>;
  void take_rows(const std::string& sql, const TakeRows& take);
  /// Writes a query's rows as a CSV file with a header line, atomically.
  void write_csv(const std::string& sql, const std::filesystem::path& path);
  /// Names and types of what a file or table holds, such as ("prompt", "VARCHAR").
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> describe(const std::string& from);

  /// Fills an existing table row by row.
  class Appender;
  /// Reads a query's rows as they are made.
  class Cursor;
  /// Stops a running statement from another thread.
  void interrupt() noexcept;

 private:
  void copy_rows(const std::string& sql, const AtomicFile& file, const char* compression);
  void run_reader(const std::string& sql, RowReader& reader);

  struct State;
  std::unique_ptr<State> state_;
};

/// The rows of a query, pulled: the result is never whole in memory. BLOB columns come as text. While it lives, its
/// database must run nothing else.
class Database::Cursor {
 public:
  Cursor(Database& database, const std::string& sql);
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor();
  /// The next rows, up to 2048. @return false if there are no more.
  bool next(Table& rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Appends rows to a table: one append_* call a column, then end_row(); close() at the end.
class Database::Appender {
 public:
  Appender(Database& database, const std::string& table);
  Appender(const Appender&) = delete;
  Appender& operator=(const Appender&) = delete;
  ~Appender();
  void append(std::string_view value);
  void append_bytes(std::string_view value);  ///< into a BLOB
  void append(double value);
  void append(std::int32_t value);
  void append(std::int64_t value);
  void append(std::span<const std::string> values);
  void append(std::span<const std::int32_t> values);
  void append_null();
  void end_row();
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 'text' as an SQL string literal.
[[nodiscard]] std::string sql_literal(std::string_view text);

}  // namespace imagerank::workspace
