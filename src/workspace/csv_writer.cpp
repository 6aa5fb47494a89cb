#include "workspace/csv_writer.h"

#include <charconv>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::workspace {
namespace {

/// As DuckDB decides: an empty text, which would be NULL without, and one that some readers take for a comment too.
bool needs_quotes(std::string_view text) noexcept {
  // Every character, without a way out half way, and in bytes: so it is done by vectors.
  const auto is = [](char c, char which) { return static_cast<std::uint8_t>(c == which ? 1 : 0); };
  std::uint8_t special = text.empty() ? 1 : 0;
  for (const char c : text) special |= is(c, ',') | is(c, '"') | is(c, '\n') | is(c, '\r') | is(c, '#');
  return special != 0;
}

void append_text(ByteBuffer& out, std::string_view text) {
  if (!needs_quotes(text)) return out.append(text);
  out.append("\"");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t quote = std::min(text.find('"', at), text.size());
    out.append(text.substr(at, quote - at));
    if (quote < text.size()) out.append("\"\"");
    at = quote + 1;
  }
  out.append("\"");
}

void append_number(ByteBuffer& out, std::int64_t number) {
  constexpr std::size_t kDigits = 24;
  const std::size_t before = out.size();
  char* const text = out.extend(kDigits);
  out.shrink_to(before + static_cast<std::size_t>(std::to_chars(text, text + kDigits, number).ptr - text));
}

}  // namespace

CsvWriter::CsvWriter(AtomicFile& file, std::vector<ParquetColumn> columns) : file_(file), columns_(std::move(columns)) {
  std::string header;
  for (const ParquetColumn& column : columns_) {
    if (column.is_list || column.type == ParquetType::kDouble) {
      fail(ErrorCode::kInvalidArgument, "column '{}': expected a text or an integer for CSV", column.name);
    }
    header += (header.empty() ? "" : ",") + column.name;
  }
  header += '\n';
  file_.write(header);
  size_ = header.size();
}

void CsvWriter::Rows::add(std::span<const ColumnRows> columns, std::size_t count) {
  const std::vector<ParquetColumn>& types = writer_.columns_;
  std::vector<std::size_t> next(types.size(), 0);
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < types.size(); ++i) {
      const ColumnRows& column = columns[i];
      if (column.definition[row] != 0) add_value(types[i].type, column.values[next[i]++]);
      *bytes_.extend(1) = i + 1 == types.size() ? '\n' : ',';
    }
  }
  constexpr std::size_t kBuffer = std::size_t{4} << 20;
  if (bytes_.size() >= kBuffer) flush();
}

void CsvWriter::Rows::add_value(ParquetType type, std::string_view value) {
  if (type == ParquetType::kText) return append_text(bytes_, value);
  append_number(bytes_, type == ParquetType::kInt32 ? number_in<std::int32_t>(value) : number_in<std::int64_t>(value));
}

void CsvWriter::Rows::flush() {
  std::uint64_t begin = 0;
  {
    const std::lock_guard lock(writer_.mutex_);
    begin = std::exchange(writer_.size_, writer_.size_ + bytes_.size());
  }
  writer_.file_.write_at(begin, std::as_bytes(std::span(bytes_.view())));
  writer_.file_.start_flush(begin, bytes_.size());
  bytes_.clear();
}

}  // namespace imagerank::workspace
