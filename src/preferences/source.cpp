#include "preferences/source.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/fail.h"
#include "preferences/json_records.h"

namespace imagerank::preferences {
namespace {

using workspace::sql_literal;

std::string sql_name(std::string_view name) {
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

Source::Source(Incoming& incoming, const std::filesystem::path& path, std::span<const JsonField> json) : path_(path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    fail(ErrorCode::kNotFound, "{}: expected a file, found nothing", path.string());
  const std::string start = read_start(path, 4096);
  const std::string_view kinds = json.empty() ? "Parquet or CSV" : "Parquet, CSV or JSON";
  if (start.empty()) fail(ErrorCode::kCorruptData, "{}: expected a {} file, found an empty one", path.string(), kinds);
  if (start.starts_with("\x1f\x8b") || start.starts_with("\x28\xb5\x2f\xfd"))
    fail(ErrorCode::kCorruptData, "{}: expected a plain file, found a compressed one; unpack it first", path.string());
  const std::size_t content = start.find_first_not_of(" \t\r\n", start.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  const char first = content == std::string::npos ? '\0' : start[content];
  if (start.starts_with("PAR1") || path.extension() == ".parquet") {
    open_parquet(incoming.database());
  } else if (first == '{' || first == '[' || path.extension() == ".json" || path.extension() == ".jsonl") {
    if (json.empty()) fail(ErrorCode::kCorruptData, "{}: expected a {} file, found JSON", path.string(), kinds);
    open_json(incoming, json);
  } else {
    open_csv();
  }
}

void Source::open_parquet(workspace::Database& database) {
  from_ = fmt::format("read_parquet({})", sql_literal(path_.string()));
  try {
    columns_ = database.describe(from_);
    check_row_counts(database);
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: expected a Parquet file, found: {}", path_.string(), error.what());
  }
}

/// A footer counts rows in three places; a file whose counts differ would lose rows in silence.
void Source::check_row_counts(workspace::Database& database) const {
  const std::string file = sql_literal(path_.string());
  const std::int64_t total =
      database.query_integer(fmt::format("SELECT sum(num_rows) FROM parquet_file_metadata({})", file));
  const std::int64_t groups = database.query_integer(
      fmt::format("SELECT sum(n) FROM (SELECT any_value(row_group_num_rows) AS n FROM parquet_metadata({}) GROUP BY "
                  "row_group_id)",
                  file));
  if (total < 0) fail(ErrorCode::kCorruptData, "a footer of {} rows", total);
  if (total != groups) fail(ErrorCode::kCorruptData, "a footer of {} rows whose row groups hold {}", total, groups);
  // Columns inside lists have more values than rows, and path_in_schema names what they are inside of.
  const std::int64_t differing = database.query_integer(
      fmt::format("SELECT count(*) FROM parquet_metadata({}) WHERE num_values <> row_group_num_rows "
                  "AND NOT contains(path_in_schema, ', ') AND NOT contains(path_in_schema, '.')",
                  file));
  if (differing != 0) fail(ErrorCode::kCorruptData, "a footer whose columns hold other numbers of rows");
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
  // Every type is given and nothing is sniffed: one pass, by all threads, for which small files need small buffers.
  constexpr int kCsvBuffer = 4 << 20;
  from_ = fmt::format(
      "read_csv({}, auto_detect=false, buffer_size={}, header=true, delim='{}', quote='\"', escape='\"', "
      "columns={{{}}})",
      sql_literal(path_.string()), kCsvBuffer, delimiter, definitions);
}

std::string Source::type_of(std::string_view column) const {
  const auto at = std::ranges::find_if(columns_, [&](const auto& entry) { return entry.first == column; });
  return at == columns_.end() ? std::string() : at->second;
}

namespace {

/// A JSON value as text; false for null. Lists and objects are no text.
bool as_text(const nlohmann::json& value, std::string& text) {
  if (value.is_null()) return false;
  if (value.is_string()) {
    text = value.get_ref<const std::string&>();
  } else if (value.is_primitive()) {
    text = value.dump();
  } else {
    throw Error(ErrorCode::kCorruptData, value.type_name());
  }
  return true;
}

void append_field(workspace::Database::Appender& appender, const nlohmann::json& record, const JsonField& field,
                  std::int64_t number) {
  const auto at = record.find(field.name);
  std::string text;
  if (at == record.end() || at->is_null()) return appender.append_null();
  try {
    if (!field.list) return as_text(*at, text) ? appender.append(text) : appender.append_null();
    if (!at->is_array()) throw Error(ErrorCode::kCorruptData, at->type_name());
    std::vector<std::string> texts;
    for (const nlohmann::json& value : *at) {
      text.clear();
      as_text(value, text);
      texts.push_back(text);
    }
    appender.append(texts);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptData) throw;
    fail(ErrorCode::kCorruptData, "record {}: '{}': expected {}, found {}", number, field.name,
         field.list ? "a list of texts or numbers" : "a text or number", error.what());
  }
}

}  // namespace

void Source::open_json(Incoming& incoming, std::span<const JsonField> fields) {
  json_ = true;
  from_ = "json_record";
  std::string definitions;
  std::map<std::string, bool> seen;
  for (const JsonField& field : fields) {
    definitions += fmt::format("{}{} {}", definitions.empty() ? "" : ", ", sql_name(field.name),
                               field.list ? "VARCHAR[]" : "VARCHAR");
    seen[field.name] = false;
  }
  incoming.database().execute(fmt::format("CREATE OR REPLACE TABLE json_record ({})", definitions));
  workspace::Database::Appender appender(incoming.database(), "json_record");
  for_each_json_record(path_, [&](const nlohmann::json& record, std::int64_t number) {
    if (number % 4096 == 0) incoming.context().check_stop();
    for (const auto& [key, value] : record.items()) {
      if (const auto at = seen.find(key); at != seen.end()) {
        at->second = true;
      } else if (columns_.size() < 100 && key.size() < 100) {
        // A key that nobody reads: a column that is named as not kept.
        seen[key] = true;
        columns_.emplace_back(key, "JSON");
      }
    }
    for (const JsonField& field : fields) append_field(appender, record, field, number);
    appender.end_row();
  });
  appender.close();
  for (const JsonField& field : fields) {
    if (seen.at(field.name)) columns_.emplace_back(field.name, field.list ? "VARCHAR[]" : "VARCHAR");
  }
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
  std::string name = sql_name(column);
  if (type == "VARCHAR") return name;
  if (type == "BLOB") return fmt::format("decode({})", name);
  if (is_nested(type) || is_real(type) || type == "BOOLEAN")
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected text, found {}", path_.string(), column, type);
  return fmt::format("CAST({} AS VARCHAR)", name);
}

std::string Source::id(std::string_view column) const {
  const std::string type = type_of(column);
  if (!is_real(type)) return text(column);
  const std::string name = sql_name(column);
  return fmt::format("CASE WHEN {0} = trunc({0}) THEN CAST(TRY_CAST({0} AS HUGEINT) AS VARCHAR) END", name);
}

std::string Source::real(std::string_view column, std::string_view missing) const {
  const std::string type = type_of(column);
  if (type.empty()) return std::string(missing);
  if (is_nested(type) || type == "BLOB")
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected numbers, found {}", path_.string(), column, type);
  return fmt::format("TRY_CAST({} AS DOUBLE)", sql_name(column));
}

std::string Source::list(std::string_view column, std::string_view type) const {
  const std::string found = type_of(column);
  if (found.empty()) return "NULL";
  const bool textual = csv_ && found == "VARCHAR";
  if ((!textual && !found.ends_with("[]")) || found.starts_with("STRUCT"))
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected lists, found {}", path_.string(), column, found);
  return fmt::format("{}({} AS {})", textual || json_ ? "TRY_CAST" : "CAST", sql_name(column), type);
}

std::string Source::text_list(std::string_view column) const { return list(column, "VARCHAR[]"); }
std::string Source::real_list(std::string_view column) const { return list(column, "DOUBLE[]"); }

std::string Source::truth(std::string_view column, std::string_view missing) const {
  const std::string type = type_of(column);
  if (type.empty()) return std::string(missing);
  if (is_nested(type) || type == "BLOB")
    fail(ErrorCode::kCorruptData, "{}: column '{}': expected true or false, found {}", path_.string(), column, type);
  return fmt::format("TRY_CAST({} AS BOOLEAN)", sql_name(column));
}

std::string Source::weight(std::string_view column) const {
  if (!has(column)) return "1.0";
  return fmt::format("CASE WHEN {} IS NULL THEN 1.0 ELSE coalesce({}, CAST('nan' AS DOUBLE)) END", sql_name(column),
                     real(column));
}

std::string Source::integer(std::string_view column) const {
  return fmt::format("coalesce(TRY_CAST({} AS INTEGER), 0)", real(column, "0"));
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
    if (std::ranges::find(kept, name) == kept.end()) incoming.ignore_column(name);
  }
}

}  // namespace imagerank::preferences
