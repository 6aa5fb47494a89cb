#pragma once

#include <duckdb.h>

#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "core/threads.h"
#include "workspace/parquet_writer.h"

namespace imagerank::workspace {

/// Gives a query's rows away from DuckDB's own threads, as they lie in its vectors: rows are never put together, copied
/// or waited for by one thread alone. Columns: VARCHAR, ENUM, integers, DOUBLE, and lists of VARCHAR or INTEGER.
class RowReader {
 public:
  /// Called from several threads at once.
  using Take = std::function<void(std::span<const ColumnRows> columns, std::size_t count)>;

  /// @param statement  prepared: what its columns are. @throws Error kInvalidArgument for another type.
  RowReader(duckdb_prepared_statement statement, Take take);
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;
  ~RowReader();

  [[nodiscard]] std::vector<ParquetColumn> columns() const;
  /// Taking as an SQL function of one row of all columns, which gives 0. @param name  not taken yet.
  void add_function(duckdb_connection connection, const char* name);
  /// "a", "b": all columns as SQL names.
  [[nodiscard]] std::string column_names() const;
  /// After the query: what went wrong while rows were taken, which the query's own error only hints at.
  void rethrow() const;

 private:
  struct Source;
  static void run(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output);
  void read(duckdb_data_chunk input);

  std::vector<Source> sources_;
  Take take_;
  PerThread<std::vector<ColumnRows>> columns_;
  std::mutex mutex_;
  std::exception_ptr error_;  // under mutex_
};

}  // namespace imagerank::workspace
