#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "workspace/parquet_format.h"

namespace imagerank {
class AtomicFile;
}

namespace imagerank::workspace {

/// A CSV file with a header line and rows in no order, written by several threads at once; quoted as DuckDB does.
class CsvWriter {
 public:
  /// Rows of one thread on their way into the file.
  class Rows;

  /// @param file  empty; its owner commits it. @param header  its first line. @throws Error from all functions:
  /// kResourceLimit for a full disk, kIo.
  CsvWriter(AtomicFile& file, std::string_view header);

  /// A text as it stands in a file.
  [[nodiscard]] static std::string field(std::string_view text);
  [[nodiscard]] static bool needs_quotes(std::string_view text) noexcept;

 private:
  AtomicFile& file_;
  std::mutex mutex_;
  std::uint64_t size_ = 0;  // under mutex_
};

/// Not thread-safe; several may write to one file. What was not flushed is lost.
class CsvWriter::Rows {
 public:
  explicit Rows(CsvWriter& writer) : writer_(writer) {}
  void add(std::string_view text);
  void add(std::int64_t number);
  /// What field() gave.
  void add_field(std::string_view field);
  void end_row();
  void flush();

 private:
  CsvWriter& writer_;
  ByteBuffer bytes_;
  bool row_begins_ = true;
};

}  // namespace imagerank::workspace
