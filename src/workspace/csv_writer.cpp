#include "workspace/csv_writer.h"

#include <charconv>
#include <cstring>
#include <span>
#include <utility>

#include "core/atomic_file.h"

namespace imagerank::workspace {

CsvWriter::CsvWriter(AtomicFile& file, std::string_view header) : file_(file) {
  file_.write(header);
  file_.write("\n");
  size_ = header.size() + 1;
}

/// As DuckDB decides: an empty text, which would be NULL without, and one that some readers take for a comment too.
bool CsvWriter::needs_quotes(std::string_view text) noexcept {
  // Every character, without a way out half way: so it is done by vectors.
  unsigned special = text.empty() ? 1 : 0;
  for (const char c : text) {
    special |= static_cast<unsigned>(c == ',') | static_cast<unsigned>(c == '"') | static_cast<unsigned>(c == '\n') |
               static_cast<unsigned>(c == '\r') | static_cast<unsigned>(c == '#');
  }
  return special != 0;
}

std::string CsvWriter::field(std::string_view text) {
  if (!needs_quotes(text)) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

void CsvWriter::Rows::add(std::string_view text) {
  if (needs_quotes(text)) return add_field(field(text));
  add_field(text);
}

void CsvWriter::Rows::add(std::int64_t number) {
  constexpr std::size_t kDigits = 24;
  char digits[kDigits];  // NOLINT(modernize-avoid-c-arrays): to_chars takes pointers
  add_field({digits, static_cast<std::size_t>(std::to_chars(digits, digits + kDigits, number).ptr - digits)});
}

void CsvWriter::Rows::add_field(std::string_view field) {
  char* to = bytes_.extend(field.size() + (row_begins_ ? 0 : 1));
  if (!row_begins_) *to++ = ',';
  std::memcpy(to, field.data(), field.size());
  row_begins_ = false;
}

void CsvWriter::Rows::end_row() {
  *bytes_.extend(1) = '\n';
  row_begins_ = true;
  constexpr std::size_t kBuffer = std::size_t{4} << 20;
  if (bytes_.size() >= kBuffer) flush();
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
