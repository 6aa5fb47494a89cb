#pragma once

#include <duckdb.h>

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "workspace/parquet_writer.h"

namespace imagerank::workspace {

/// A CSV file of the first columns of what goes into a Parquet file.
struct CsvCopy {
  AtomicFile* file = nullptr;
  std::size_t columns = 0;  ///< texts and integers only
};

/// Takes a query's rows from DuckDB's own threads, as they lie in its vectors, into a Parquet file and, if asked, a CSV
/// file: rows are never put together, copied or waited for by one thread alone. Columns: VARCHAR, ENUM, integers,
/// DOUBLE, and lists of VARCHAR or INTEGER.
class RowSink {
 public:
  /// @param statement  prepared: what its columns are. @throws Error kInvalidArgument for another type.
  RowSink(duckdb_prepared_statement statement, AtomicFile& parquet, CsvCopy csv);
  RowSink(const RowSink&) = delete;
  RowSink& operator=(const RowSink&) = delete;
  ~RowSink();

  /// The sink as an SQL function of one row of all columns, which gives 0. @param name  not taken yet.
  void add_function(duckdb_connection connection, const char* name);
  /// "a", "b": all columns as SQL names.
  [[nodiscard]] std::string column_names() const;
  /// After the query. @throws Error what went wrong while rows were taken; kResourceLimit, kIo.
  void finish();
  /// What went wrong while rows were taken, which the query's own error only hints at.
  void rethrow() const;

 private:
  struct Source;
  struct Share;
  static void take(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output);
  void take_rows(duckdb_data_chunk input);
  Share& own_share();
  void write_csv(Share& share);

  std::vector<Source> sources_;
  ParquetWriter writer_;
  CsvCopy csv_;
  std::mutex mutex_;
  std::uint64_t csv_size_ = 0;  // under mutex_, and so all below
  std::map<std::thread::id, std::unique_ptr<Share>> shares_;
  std::exception_ptr error_;
};

}  // namespace imagerank::workspace
