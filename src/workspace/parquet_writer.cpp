#include "workspace/parquet_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "imagerank/version.h"
#include "workspace/keys.h"
#include "workspace/parquet_format.h"

namespace imagerank::workspace {
namespace {

constexpr std::string_view kMagic = "PAR1";
// Source: parquet-format's parquet.thrift.
constexpr std::int32_t kPlain = 0, kRle = 3, kRleDictionary = 8;
constexpr std::int32_t kDataPage = 0, kDictionaryPage = 2;
constexpr std::int32_t kOptional = 1, kRepeated = 2;
constexpr std::int32_t kConvertedText = 0, kConvertedList = 3;
/// A page ends with the rows that fill it so far.
constexpr std::size_t kPageBytes = std::size_t{1} << 20;

ThriftStruct schema_element(const std::string& name, std::int32_t repetition) {
  ThriftStruct element;
  element.i32(3, repetition).text(4, name);
  return element;
}

void add_leaf(std::vector<ThriftStruct>& schema, const std::string& name, ParquetType type) {
  ThriftStruct leaf, text, logical;
  leaf.i32(1, static_cast<std::int32_t>(type)).i32(3, kOptional).text(4, name);
  logical.structure(1, text);
  if (type == ParquetType::kText) leaf.i32(6, kConvertedText).structure(10, logical);
  schema.push_back(std::move(leaf));
}

std::vector<ThriftStruct> schema_of(std::span<const ParquetColumn> columns) {
  std::vector<ThriftStruct> schema;
  schema.emplace_back().text(4, "schema").i32(5, static_cast<std::int32_t>(columns.size()));
  for (const ParquetColumn& column : columns) {
    if (!column.is_list) {
      add_leaf(schema, column.name, column.type);
      continue;
    }
    ThriftStruct list, logical;
    logical.structure(3, list);
    schema.push_back(schema_element(column.name, kOptional));
    schema.back().i32(5, 1).i32(6, kConvertedList).structure(10, logical);
    schema.push_back(schema_element("list", kRepeated));
    schema.back().i32(5, 1);
    add_leaf(schema, "element", column.type);
  }
  return schema;
}

std::vector<std::string> path_of(const ParquetColumn& column) {
  if (column.is_list) return {column.name, "list", "element"};
  return {column.name};
}

/// Texts or numbers' bytes, each once, as a dictionary's page holds them.
class Dictionary {
 public:
  explicit Dictionary(bool prefixed) : prefixed_(prefixed) {}

  std::uint32_t find_or_add(std::string_view value) {
    if (2 * (entries_.size() + 1) > slots_.size()) grow();
    const auto hash = static_cast<std::uint32_t>(stable_hash(value, 0));
    for (std::size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
      const std::uint32_t number = slots_[slot];
      if (number == 0) {
        slots_[slot] = static_cast<std::uint32_t>(entries_.size()) + 1;
        return add(value, hash);
      }
      if (entries_[number - 1].hash == hash && at(number - 1) == value) return number - 1;
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] std::string_view page() const noexcept { return bytes_.view(); }
  [[nodiscard]] std::string_view at(std::uint32_t number) const noexcept {
    return bytes_.view().substr(entries_[number].begin, entries_[number].size);
  }
  void clear() {
    entries_.clear();
    bytes_.clear();
    std::ranges::fill(slots_, 0);
  }

 private:
  struct Entry {
    std::size_t begin;
    std::uint32_t size, hash;
  };

  std::uint32_t add(std::string_view value, std::uint32_t hash) {
    const auto size = static_cast<std::uint32_t>(value.size());
    if (prefixed_) bytes_.append({reinterpret_cast<const char*>(&size), sizeof size});
    entries_.push_back({bytes_.size(), size, hash});
    bytes_.append(value);
    return static_cast<std::uint32_t>(entries_.size()) - 1;
  }

  void grow() {
    constexpr std::size_t kFirst = 1024;
    slots_.assign(std::max(kFirst, slots_.size() * 2), 0);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::size_t slot = entries_[i].hash & (slots_.size() - 1);
      while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<std::uint32_t>(i) + 1;
    }
  }

  bool prefixed_;
  std::vector<std::uint32_t> slots_;  // an entry's number + 1, 0: free; a power of two, at least half of it free
  std::vector<Entry> entries_;
  ByteBuffer bytes_;
};

/// Levels of a page: their length, then they.
std::string levels(std::span<const std::uint8_t> values, int width) {
  const std::string run = encode_hybrid(values, width);
  const auto size = static_cast<std::uint32_t>(run.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + run;
}

std::string page_header(std::int32_t type, std::size_t bytes, int field, const ThriftStruct& kind) {
  constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
  if (bytes > kMost) {
    fail(ErrorCode::kResourceLimit, "Parquet: expected at most {} bytes in a few thousand rows of a column, found {}",
         kMost, bytes);
  }
  const auto size = static_cast<std::int32_t>(bytes);
  return ThriftStruct().i32(1, type).i32(2, size).i32(3, size).structure(field, kind).bytes();
}

/// What the footer says of a column's part in a row group.
struct ChunkRecord {
  std::uint64_t begin = 0;            ///< in the file
  std::uint64_t dictionary_size = 0;  ///< bytes of the dictionary's page, 0: none
  std::uint64_t size = 0;
  std::int64_t entries = 0;
  std::int64_t nulls = 0;
};

}  // namespace

struct ParquetWriter::GroupRecord {
  std::int64_t rows = 0;
  std::vector<ChunkRecord> chunks;
};

/// One column of a row group that is being filled.
class ParquetWriter::Rows::Encoder {
 public:
  explicit Encoder(const ParquetColumn& column)
      : column_(&column), prefixed_(column.type == ParquetType::kText), dictionary_(prefixed_) {}

  void add(const ColumnRows& rows) {
    definition_.insert(definition_.end(), rows.definition.begin(), rows.definition.end());
    repetition_.insert(repetition_.end(), rows.repetition.begin(), rows.repetition.end());
    const auto whole = static_cast<std::uint8_t>(column_->is_list ? 3 : 1);
    record_.nulls += std::ranges::count_if(rows.definition, [&](std::uint8_t level) { return level != whole; });
    record_.entries += static_cast<std::int64_t>(rows.definition.size());
    if (numbered_ && !rows.numbers.empty()) {
      add_known_numbers(rows);
    } else if (numbered_) {
      add_numbers(rows.values);
    } else {
      add_plain(rows.values);
    }
    if (numbered_ && !dictionary_pays()) spell_out();
    if (!numbered_ && values_.size() - page_begin_ >= kPageBytes) end_page();
  }

  /// The chunk is whole. @return its bytes.
  std::uint64_t seal() {
    numbered_ = numbered_ && dictionary_.size() != 0;
    if (numbered_) {
      const int width = std::max(1, bit_width_of(dictionary_.size()));
      *values_.extend(1) = static_cast<char>(width);
      values_.append(encode_hybrid(std::span<const std::uint32_t>(numbers_), width));
      const ThriftStruct kind = ThriftStruct().i32(1, static_cast<std::int32_t>(dictionary_.size())).i32(2, kPlain);
      dictionary_header_ = page_header(kDictionaryPage, dictionary_.page().size(), 7, kind);
      record_.dictionary_size = dictionary_header_.size() + dictionary_.page().size();
    }
    if (!definition_.empty()) end_page();
    record_.size = record_.dictionary_size + values_.size();
    for (const Page& page : pages_) record_.size += page.head.size();
    return record_.size;
  }

  /// After seal(). @param begin  where in the file.
  ChunkRecord write(AtomicFile& file, std::uint64_t begin) {
    record_.begin = begin;
    std::uint64_t at = begin;
    const auto put = [&](std::string_view bytes) {
      file.write_at(at, std::as_bytes(std::span(bytes)));
      at += bytes.size();
    };
    if (record_.dictionary_size != 0) {
      put(dictionary_header_);
      put(dictionary_.page());
    }
    for (const Page& page : pages_) {
      put(page.head);
      put(values_.view().substr(page.begin, page.end - page.begin));
    }
    return record_;
  }

  void clear() {
    numbered_ = try_dictionary_;
    clear_dictionary();
    numbers_.clear();
    judged_values_ = judged_distinct_ = 0;
    values_.clear();
    pages_.clear();
    page_begin_ = 0;
    record_ = {};
  }

 private:
  struct Page {
    std::string head;  // header and levels
    std::size_t begin = 0, end = 0;
  };

  void add_numbers(std::span<const std::string_view> values) {
    const std::string_view* last = nullptr;
    std::uint32_t number = 0;
    for (const std::string_view& value : values) {
      // Often a row has what the one before has.
      const bool same = last != nullptr && value == *last;
      if (!same) number = dictionary_.find_or_add(value);
      last = &value;
      numbers_.push_back(number);
    }
  }

  void add_known_numbers(const ColumnRows& rows) {
    for (std::size_t i = 0; i < rows.values.size(); ++i) {
      const std::uint32_t known = rows.numbers[i];
      if (known >= known_.size()) known_.resize(known + std::size_t{1}, 0);
      if (known_[known] == 0) {
        known_[known] = dictionary_.find_or_add(rows.values[i]) + 1;
        met_.push_back(known);
      }
      numbers_.push_back(known_[known] - 1);
    }
  }

  void clear_dictionary() {
    dictionary_.clear();
    for (const std::uint32_t known : met_) known_[known] = 0;
    met_.clear();
  }

  void add_plain(std::span<const std::string_view> values) {
    std::size_t size = prefixed_ ? values.size() * sizeof(std::uint32_t) : 0;
    for (const std::string_view value : values) size += value.size();
    char* to = values_.extend(size);
    for (const std::string_view value : values) {
      if (prefixed_) {
        const auto length = static_cast<std::uint32_t>(value.size());
        std::memcpy(to, &length, sizeof length);
        to += sizeof length;
      }
      std::memcpy(to, value.data(), value.size());
      to += value.size();
    }
  }

  /// Judged by the share of values that are new: of ids nearly all, of prompts fewer and fewer. What did not pay is not
  /// tried again in the next row group.
  [[nodiscard]] bool dictionary_pays() {
    constexpr std::size_t kStep = 4000, kMany = 16000, kMostBytes = std::size_t{64} << 20;
    if (dictionary_.page().size() > kMostBytes) return false;
    const std::size_t seen = numbers_.size() - judged_values_, fresh = dictionary_.size() - judged_distinct_;
    if (seen < kStep) return true;
    judged_values_ = numbers_.size();
    judged_distinct_ = dictionary_.size();
    try_dictionary_ = numbers_.size() < kMany ? fresh < seen - seen / 20 : fresh <= seen / 3;
    return try_dictionary_;
  }

  /// From numbers to the values themselves.
  void spell_out() {
    numbered_ = false;
    std::vector<std::string_view> values;
    values.reserve(numbers_.size());
    for (const std::uint32_t number : numbers_) values.push_back(dictionary_.at(number));
    add_plain(values);
    numbers_.clear();
    clear_dictionary();
  }

  void end_page() {
    Page page;
    page.begin = page_begin_;
    page.end = page_begin_ = values_.size();
    const std::string before =
        (column_->is_list ? levels(repetition_, 1) : "") + levels(definition_, column_->is_list ? 2 : 1);
    ThriftStruct kind;
    kind.i32(1, static_cast<std::int32_t>(definition_.size())).i32(2, numbered_ ? kRleDictionary : kPlain);
    kind.i32(3, kRle).i32(4, kRle);
    page.head = page_header(kDataPage, before.size() + page.end - page.begin, 5, kind) + before;
    pages_.push_back(std::move(page));
    definition_.clear();
    repetition_.clear();
  }

  const ParquetColumn* column_;
  bool prefixed_;
  bool try_dictionary_ = true, numbered_ = true;
  Dictionary dictionary_;
  std::string dictionary_header_;
  std::vector<std::uint32_t> numbers_;      // of the dictionary, all pages'
  std::vector<std::uint32_t> known_, met_;  // by ColumnRows::numbers: those of the dictionary + 1; which are not 0
  std::size_t judged_values_ = 0, judged_distinct_ = 0;
  ByteBuffer values_;  // all pages'
  std::size_t page_begin_ = 0;
  std::vector<std::uint8_t> definition_, repetition_;  // of the page that is open
  std::vector<Page> pages_;
  ChunkRecord record_;
};

ParquetWriter::ParquetWriter(AtomicFile& file, std::vector<ParquetColumn> columns)
    : file_(file), columns_(std::move(columns)) {
  file_.write(kMagic);
  size_ = kMagic.size();
}

ParquetWriter::~ParquetWriter() = default;

std::uint64_t ParquetWriter::reserve(std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  return std::exchange(size_, size_ + size);
}

void ParquetWriter::finish() {
  std::vector<ThriftStruct> groups, orders(columns_.size());
  std::int64_t rows = 0;
  for (const GroupRecord& group : groups_) {
    rows += group.rows;
    std::vector<ThriftStruct> chunks;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const ChunkRecord& chunk = group.chunks[i];
      const auto begin = static_cast<std::int64_t>(chunk.begin), size = static_cast<std::int64_t>(chunk.size);
      const auto numbered = static_cast<std::int64_t>(chunk.dictionary_size);
      const std::vector<std::int32_t> encodings = {kRle, numbered != 0 ? kRleDictionary : kPlain, kPlain};
      ThriftStruct meta;
      meta.i32(1, static_cast<std::int32_t>(columns_[i].type))
          .i32s(2, std::span(encodings).first(numbered != 0 ? 3 : 2))
          .texts(3, path_of(columns_[i]))
          .i32(4, 0)  // no codec
          .i64(5, chunk.entries)
          .i64(6, size)
          .i64(7, size)
          .i64(9, begin + numbered);
      if (numbered != 0) meta.i64(11, begin);
      meta.structure(12, ThriftStruct().i64(3, chunk.nulls));
      chunks.emplace_back().i64(2, begin).structure(3, meta);
      bytes += chunk.size;
    }
    groups.emplace_back().structures(1, chunks).i64(2, static_cast<std::int64_t>(bytes)).i64(3, group.rows);
  }
  for (ThriftStruct& order : orders) order.structure(1, ThriftStruct());
  ThriftStruct footer;
  footer.i32(1, 1).structures(2, schema_of(columns_)).i64(3, rows).structures(4, groups);
  footer.text(6, fmt::format("imagerank version {}", version())).structures(7, orders);
  std::string bytes = footer.bytes();
  const auto size = static_cast<std::uint32_t>(bytes.size());
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(kMagic);
  file_.write_at(reserve(bytes.size()), std::as_bytes(std::span(bytes)));
}

ParquetWriter::Rows::Rows(ParquetWriter& writer) : writer_(writer) {
  for (const ParquetColumn& column : writer.columns_) encoders_.emplace_back(column);
}

ParquetWriter::Rows::~Rows() = default;

void ParquetWriter::Rows::add(std::span<const ColumnRows> columns, std::size_t count) {
  for (std::size_t i = 0; i < encoders_.size(); ++i) encoders_[i].add(columns[i]);
  count_ += count;
  if (count_ >= kRowGroup) flush();
}

void ParquetWriter::Rows::flush() {
  if (count_ == 0) return;
  GroupRecord group;
  group.rows = static_cast<std::int64_t>(std::exchange(count_, 0));
  std::uint64_t size = 0;
  for (Encoder& encoder : encoders_) size += encoder.seal();
  const std::uint64_t begin = writer_.reserve(size);
  std::uint64_t at = begin;
  for (Encoder& encoder : encoders_) {
    group.chunks.push_back(encoder.write(writer_.file_, at));
    at += group.chunks.back().size;
    encoder.clear();
  }
  writer_.file_.start_flush(begin, size);
  const std::lock_guard lock(writer_.mutex_);
  writer_.groups_.push_back(std::move(group));
}

}  // namespace imagerank::workspace
