#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workspace/column_rows.h"

namespace imagerank {
class AtomicFile;
}

namespace imagerank::workspace {

/// What a column's values are in the file (parquet.thrift, Type). Numbers are 4 or 8 bytes as they lie in memory.
enum class ParquetType { kInt32 = 1, kInt64 = 2, kDouble = 5, kText = 6 };

struct ParquetColumn {
  std::string name;
  ParquetType type = ParquetType::kText;
  bool is_list = false;  ///< of such values
};

/// A Parquet file of rows in no order, written by several threads at once. It is not compressed: what the large tables
/// of import and label mostly hold are uids, which hardly shrink. A column is a dictionary's numbers in a row group
/// where few of its values differ. No minima and maxima: nothing reads these tables by range.
/// Source: https://parquet.apache.org/docs/file-format
class ParquetWriter {
 public:
  /// Rows of one thread on their way into the file.
  class Rows;
  static constexpr std::size_t kRowGroup = 61440;

  /// @param file  empty; its owner commits it. @throws Error from all functions: kResourceLimit for a full disk, kIo.
  ParquetWriter(AtomicFile& file, std::vector<ParquetColumn> columns);
  ParquetWriter(const ParquetWriter&) = delete;
  ParquetWriter& operator=(const ParquetWriter&) = delete;
  ~ParquetWriter();

  [[nodiscard]] const std::vector<ParquetColumn>& columns() const noexcept { return columns_; }
  /// Writes the footer, after all Rows were flushed.
  void finish();

 private:
  struct GroupRecord;
  /// Where `size` bytes may be written.
  [[nodiscard]] std::uint64_t reserve(std::uint64_t size);

  AtomicFile& file_;
  std::vector<ParquetColumn> columns_;
  std::mutex mutex_;
  std::uint64_t size_ = 0;  // under mutex_, and so the groups
  std::vector<GroupRecord> groups_;
};

/// Not thread-safe; several may write to one file.
class ParquetWriter::Rows {
 public:
  explicit Rows(ParquetWriter& writer);
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows();
  /// @param columns  one for each of the writer's, of `count` rows each. Writes whenever a row group is full.
  void add(std::span<const ColumnRows> columns, std::size_t count);
  /// Writes what is left.
  void flush();

 private:
  class Encoder;
  ParquetWriter& writer_;
  std::vector<Encoder> encoders_;
  std::size_t count_ = 0;
};

}  // namespace imagerank::workspace
