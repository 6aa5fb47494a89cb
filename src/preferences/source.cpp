#include "preferences/source.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "core/fail.h"

namespace imagerank::preferences {
namespace {

using workspace::sql_literal;

std::string quoted(std::string_view name) {
  std::string text = "\"";
  for (const char character : name) {
    if (character == '"') text += '"';
    text += character;
  }
  return text + '"';
}

/// The first bytes of a file.
std::string read_start(const std::filesystem::path& path, std::size_t size) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(ErrorCode::kIo, "{}: cannot be read", path.string());
  std::string bytes(size, '\0');
  stream.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  return bytes;
}

/// The fields of a CSV header, whose end is the first line end outside quotes.
std::vector<std::string> split_header(std::string_view text, char delimiter) {
  std::vector<std::string> fields(1);
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inside) {
      if (c != '"') {
        fields.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        fields.back() += '"';
        ++i;
      } else {
        inside = false;
      }
    } else if (c == '"') {
      inside = true;
    } else if (c == delimiter) {
      fields.emplace_back();
    } else if (c == '\n' || c == '\r') {
      break;
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

bool is_real(std::string_view type) { return type == "DOUBLE" || type == "FLOAT" || type.starts_with("DECIMAL("); }
bool is_nested(std::string_view type) {
  return type.ends_with(']') || type.starts_with("STRUCT") || type.starts_with("MAP") || type.starts_with("UNION");
}

}  // namespace

Source::Source(workspace::Database& database, const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    fail(ErrorCode::kNotFound, "{}: expected a file, found nothing", path.string());
  const std::string start = read_start(path, 4);
  const std::string extension = path.extension().string();
  if (start.empty())
    fail(ErrorCode::kCorruptData, "{}: expected a Parquet or CSV file, found an empty one", path.string());
  if (start.starts_with("\x1f\x8b") || start.starts_with("\x28\xb5\x2f\xfd"))
    fail(ErrorCode::kCorruptData, "{}: expected a plain file, found a compressed one; unpack it first", path.string());
  if (start == "PAR1" || extension == ".parquet") {
    open_parquet(database);
  } else {
    open_csv();
  }
}

void Source::open_parquet(workspace::Database& database) {
  from_ = fmt::format("read_parquet({})", sql_literal(path_.string()));
  try {
    columns_ = database.describe(from_);
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: expected a Parquet file, found: {}", path_.string(), error.what());
  }
}

void Source::open_csv() {
  csv_ = true;
  constexpr std::size_t kMaxHeader = std::size_t{1} << 20;
  std::string start = read_start(path_, kMaxHeader);
  if (start.starts_with("\xEF\xBB\xBF")) start.erase(0, 3);
  std::vector<std::string> names;
  char delimiter = ',';
  for (const char candidate : {',', '\t', ';'}) {
    auto fields = split_header(start, candidate);
    if (fields.size() <= names.size()) continue;
    names = std::move(fields);
    delimiter = candidate;
  }
  std::set<std::string> seen;
  std::string definitions;
  for (const std::string& name : names) {
    if (name.find('\0') != std::string::npos || name.size() > 1000)
      fail(ErrorCode::kCorruptData, "{}: expected a CSV file with a header line, found other bytes", path_.string());
    if (!seen.insert(name).second)
      fail(ErrorCode::kCorruptData, "{}: expected different column names, found '{}' twice", path_.string(), name);
    definitions += fmt::format("{}{}: 'VARCHAR'", definitions.empty() ? "" : ", ", sql_literal(name));
    columns_.emplace_back(name, "VARCHAR");
  }
  // Every type is given and nothing is sniffed: one pass, by all threads.
  from_ =
      fmt::format("read_csv({}, auto_detect=false, header=true, delim='{}', quote='\"', escape='\"', columns={{{}}})",
                  sql_literal(path_.string()), delimiter, definitions);
}

std::string Source::type_of(std::string_view column) const {
  const auto at =
      std::find_if(columns_.begin(), columns_.end(), [&](const auto& entry) { return entry.first == column; });
  return at == columns_.end() ? std::string() : at->second;
}

bool Source::has(std::string_view column) const { return !type_of(column).empty(); }

std::string Source::column_list() const {
  std::string text;
  for (const auto& [name, type] : columns_) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  return text;
}

std::string Source::text(std::string_view column) const {
  const std::string type = type_of(column);
  if (type.empty()) return "''";
  const std::string name = quoted(column);
  if (type == "VARCHAR") return name;
  if (type == "BLOB") return fmt::format("decode({})", name);
  if (is_nested(type) || is_real(type) || type == "BOOLEAN")
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected text, found {}", path_.string(), column, type);
  return fmt::format("CAST({} AS VARCHAR)", name);
}

std::string Source::id(std::string_view column) const {
  const std::string type = type_of(column);
  if (!is_real(type)) return text(column);
  const std::string name = quoted(column);
  return fmt::format("CASE WHEN {0} = trunc({0}) THEN CAST(TRY_CAST({0} AS HUGEINT) AS VARCHAR) END", name);
}

std::string Source::real(std::string_view column, std::string_view missing) const {
  const std::string type = type_of(column);
  if (type.empty()) return std::string(missing);
  if (is_nested(type) || type == "BLOB")
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected numbers, found {}", path_.string(), column, type);
  return fmt::format("TRY_CAST({} AS DOUBLE)", quoted(column));
}

std::string Source::integer(std::string_view column) const {
  if (!has(column)) return "0";
  return fmt::format("coalesce(TRY_CAST({} AS INTEGER), 0)", quoted(column));
}

void Source::require(std::string_view what, std::initializer_list<std::string_view> columns) const {
  for (const std::string_view column : columns) {
    if (!has(column))
      fail(ErrorCode::kCorruptData, "{}: {}: expected a column '{}', found {}", path_.string(), what, column,
           column_list());
  }
}

void Source::ignore_others(Incoming& incoming, std::initializer_list<std::string_view> kept) const {
  for (const auto& [name, type] : columns_) {
    if (std::find(kept.begin(), kept.end(), name) == kept.end()) incoming.ignore_column(name);
  }
}

}  // namespace imagerank::preferences
