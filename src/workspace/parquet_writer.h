#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

/// Some rows of one column. Views live as long as the call that takes them.
struct ColumnRows {
  std::vector<std::string_view> values;  ///< those that are there: a text, or a number's bytes
  /// One an entry, which is a row, or an element of a list: of a plain column 0 NULL, 1 a value; of a list 0 NULL,
  /// 1 an empty one, 2 a NULL element, 3 a value.
  std::vector<std::uint8_t> definition;
  std::vector<std::uint8_t> repetition;  ///< of lists, one an entry: 0 begins a row, 1 goes on with it
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
