#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workspace/column_rows.h"
#include "workspace/parquet_format.h"
#include "workspace/parquet_writer.h"

namespace imagerank {
class AtomicFile;
}

namespace imagerank::workspace {

/// A CSV file with a header line and rows in no order, written by several threads at once; quoted as DuckDB does.
class CsvWriter {
 public:
  /// Rows of one thread on their way into the file.
  class Rows;

  /// @param file  empty; its owner commits it. @param columns  texts and integers, no lists. @throws Error from all
  /// functions: kInvalidArgument for other columns, kResourceLimit for a full disk, kIo.
  CsvWriter(AtomicFile& file, std::vector<ParquetColumn> columns);

 private:
  AtomicFile& file_;
  std::vector<ParquetColumn> columns_;
  std::mutex mutex_;
  std::uint64_t size_ = 0;  // under mutex_
};

/// Not thread-safe; several may write to one file. What was not flushed is lost.
class CsvWriter::Rows {
 public:
  explicit Rows(CsvWriter& writer) : writer_(writer) {}
  /// @param columns  the file's, and any others behind them.
  void add(std::span<const ColumnRows> columns, std::size_t count);
  void flush();

 private:
  void add_value(ParquetType type, std::string_view value);

  CsvWriter& writer_;
  ByteBuffer bytes_;
};

}  // namespace imagerank::workspace
