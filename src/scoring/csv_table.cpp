#include "scoring/csv_table.h"

#include <algorithm>

#include "core/fail.h"

namespace imagerank::scoring {
namespace {

/// Splits CSV text into records.
class Reader {
 public:
  Reader(std::string_view text, const std::string& name, char separator)
      : text_(text), name_(name), separator_(separator) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }
  [[nodiscard]] std::size_t line() const noexcept { return record_line_; }

  /// @return false at the end.
  bool next(std::vector<std::string>& fields) {
    if (at_ >= text_.size()) return false;
    record_line_ = line_;
    fields.clear();
    for (;;) {
      fields.push_back(field());
      if (at_ >= text_.size()) return true;
      const char end = text_[at_++];
      if (end == separator_) {
        if (at_ >= text_.size()) {
          fields.emplace_back();
          return true;
        }
        continue;
      }
      if (end == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
      ++line_;
      return true;
    }
  }

 private:
  std::string field() {
    // Tables of tabs quote nothing: a prompt may begin with a quotation.
    if (at_ < text_.size() && text_[at_] == '"' && separator_ == ',') return quoted();
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted() {
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        value += '"';
        ++at_;
      } else {
        ++at_;
        const bool ended = at_ >= text_.size() || text_[at_] == separator_ || text_[at_] == '\n' || text_[at_] == '\r';
        if (!ended) {
          fail(ErrorCode::kCorruptData,
               "{}: line {}: expected a comma or the line's end after a quoted field, found '{}'", name_, line_,
               text_[at_]);
        }
        return value;
      }
    }
    fail(ErrorCode::kCorruptData, "{}: line {}: a quote is opened and never closed", name_, record_line_);
  }

  std::string_view text_;
  const std::string& name_;
  char separator_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t record_line_ = 1;
};

void append_field(std::string& out, const std::string& value) {
  if (value.find_first_of(",\"\r\n") == std::string::npos) {
    out += value;
    return;
  }
  out += '"';
  for (const char character : value) {
    if (character == '"') out += '"';
    out += character;
  }
  out += '"';
}

}  // namespace

CsvTable parse_csv(std::string_view text, const std::string& name, char separator) {
  Reader reader(text, name, separator);
  CsvTable table;
  if (!reader.next(table.columns))
    fail(ErrorCode::kCorruptData, "{}: expected a line of column names, found nothing", name);
  std::vector<std::string> fields;
  while (reader.next(fields)) {
    if (fields.size() == 1 && fields.front().empty()) continue;  // an empty line
    if (fields.size() != table.columns.size()) {
      fail(ErrorCode::kCorruptData, "{}: line {}: expected {} fields, found {}", name, reader.line(),
           table.columns.size(), fields.size());
    }
    table.rows.push_back(fields);
  }
  if (table.rows.empty()) fail(ErrorCode::kCorruptData, "{}: expected rows below the column names, found none", name);
  return table;
}

std::optional<std::size_t> CsvTable::find(const std::vector<std::string_view>& names) const {
  for (const std::string_view name : names) {
    const auto found = std::ranges::find(columns, name);
    if (found != columns.end()) return static_cast<std::size_t>(found - columns.begin());
  }
  return std::nullopt;
}

void append_csv_record(std::string& out, const std::vector<std::string>& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i != 0) out += ',';
    append_field(out, fields[i]);
  }
  out += '\n';
}

}  // namespace imagerank::scoring
