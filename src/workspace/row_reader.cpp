#include "workspace/row_reader.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <utility>

#include "core/fail.h"

namespace imagerank::workspace {
namespace {

/// Owns a type.
class LogicalType {
 public:
  explicit LogicalType(duckdb_logical_type type) : type_(type) {}
  LogicalType(const LogicalType&) = delete;
  LogicalType& operator=(const LogicalType&) = delete;
  ~LogicalType() { duckdb_destroy_logical_type(&type_); }
  [[nodiscard]] duckdb_logical_type get() const noexcept { return type_; }
  [[nodiscard]] duckdb_type id() const { return duckdb_get_type_id(type_); }

 private:
  duckdb_logical_type type_;
};

/// An enum's values are 1, 2 or 4 bytes wide.
std::uint32_t enum_number(const void* data, std::size_t width, idx_t row) {
  if (width == 1) return static_cast<const std::uint8_t*>(data)[row];
  if (width == 2) return static_cast<const std::uint16_t*>(data)[row];
  return static_cast<const std::uint32_t*>(data)[row];
}

bool is_valid(const std::uint64_t* validity, idx_t row) {
  return validity == nullptr || (validity[row / 64] >> (row % 64) & 1U) != 0;
}

}  // namespace

/// Where a column's values lie in DuckDB's vectors.
struct RowReader::Source {
  std::string name;
  bool is_list = false;
  duckdb_type type = DUCKDB_TYPE_INVALID;  ///< of a value
  std::size_t width = 0;                   ///< bytes of a number in the vector
  std::vector<std::string> enum_values;

  Source(std::string column, const LogicalType& logical) : name(std::move(column)), type(logical.id()) {
    if (type == DUCKDB_TYPE_LIST) {
      is_list = true;
      const LogicalType child(duckdb_list_type_child_type(logical.get()));
      type = child.id();
      if (type == DUCKDB_TYPE_VARCHAR || type == DUCKDB_TYPE_INTEGER) width = 4;
    } else if (type == DUCKDB_TYPE_ENUM) {
      read_enum(logical);
    } else if (type == DUCKDB_TYPE_VARCHAR || type == DUCKDB_TYPE_INTEGER) {
      width = 4;
    } else if (type == DUCKDB_TYPE_BIGINT || type == DUCKDB_TYPE_DOUBLE) {
      width = 8;
    }
    if (width == 0) fail(ErrorCode::kInvalidArgument, "column '{}': this type needs a cast in the query", name);
  }

  [[nodiscard]] ParquetColumn column() const {
    const ParquetType kind = type == DUCKDB_TYPE_INTEGER  ? ParquetType::kInt32
                             : type == DUCKDB_TYPE_BIGINT ? ParquetType::kInt64
                             : type == DUCKDB_TYPE_DOUBLE ? ParquetType::kDouble
                                                          : ParquetType::kText;
    return {name, kind, is_list};
  }

  /// @param data  the vector's.
  [[nodiscard]] std::string_view value(void* data, idx_t row) const {
    if (type == DUCKDB_TYPE_VARCHAR) {
      auto& text = static_cast<duckdb_string_t*>(data)[row];
      return {duckdb_string_t_data(&text), duckdb_string_t_length(text)};
    }
    if (type == DUCKDB_TYPE_ENUM) return enum_values[enum_number(data, width, row)];
    return {static_cast<const char*>(data) + row * width, width};
  }

 private:
  void read_enum(const LogicalType& logical) {
    const std::uint32_t count = duckdb_enum_dictionary_size(logical.get());
    for (std::uint32_t i = 0; i < count; ++i) {
      char* const text = duckdb_enum_dictionary_value(logical.get(), i);
      enum_values.emplace_back(text);
      duckdb_free(text);
    }
    const duckdb_type inside = duckdb_enum_internal_type(logical.get());
    width = inside == DUCKDB_TYPE_UTINYINT ? 1 : inside == DUCKDB_TYPE_USMALLINT ? 2 : 4;
  }
};

namespace {

template <typename Source>
void read_list(ColumnRows& column, const Source& source, duckdb_vector vector, idx_t count) {
  const auto* const lists = static_cast<const duckdb_list_entry*>(duckdb_vector_get_data(vector));
  const std::uint64_t* const validity = duckdb_vector_get_validity(vector);
  duckdb_vector child = duckdb_list_vector_get_child(vector);
  void* const data = duckdb_vector_get_data(child);
  const std::uint64_t* const child_validity = duckdb_vector_get_validity(child);
  for (idx_t row = 0; row < count; ++row) {
    const bool valid = is_valid(validity, row);
    const std::uint64_t length = valid ? lists[row].length : 0;
    if (length == 0) {
      column.definition.push_back(valid ? 1 : 0);
      column.repetition.push_back(0);
    }
    for (std::uint64_t i = 0; i < length; ++i) {
      const idx_t at = lists[row].offset + i;
      const bool there = is_valid(child_validity, at);
      if (there) column.values.push_back(source.value(data, at));
      column.definition.push_back(there ? 3 : 2);
      column.repetition.push_back(i == 0 ? 0 : 1);
    }
  }
}

template <typename Source>
void read_column(ColumnRows& column, const Source& source, duckdb_vector vector, idx_t count) {
  column.clear();
  if (source.is_list) return read_list(column, source, vector, count);
  void* const data = duckdb_vector_get_data(vector);
  const std::uint64_t* const validity = duckdb_vector_get_validity(vector);
  column.definition.resize(count, 1);
  column.values.reserve(count);
  for (idx_t row = 0; row < count; ++row) {
    if (is_valid(validity, row)) {
      column.values.push_back(source.value(data, row));
    } else {
      column.definition[row] = 0;
    }
  }
}

template <typename Source>
std::vector<Source> sources_of(duckdb_prepared_statement statement) {
  std::vector<Source> sources;
  for (idx_t i = 0; i < duckdb_prepared_statement_column_count(statement); ++i) {
    const char* const name = duckdb_prepared_statement_column_name(statement, i);
    sources.emplace_back(name, LogicalType(duckdb_prepared_statement_column_logical_type(statement, i)));
    duckdb_free(const_cast<char*>(name));
  }
  return sources;
}

}  // namespace

RowReader::RowReader(duckdb_prepared_statement statement, Take take)
    : sources_(sources_of<Source>(statement)), take_(std::move(take)) {}

RowReader::~RowReader() = default;

std::vector<ParquetColumn> RowReader::columns() const {
  std::vector<ParquetColumn> columns;
  for (const Source& source : sources_) columns.push_back(source.column());
  return columns;
}

std::string RowReader::column_names() const {
  std::string names;
  for (const Source& source : sources_) names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", source.name);
  return names;
}

void RowReader::add_function(duckdb_connection connection, const char* name) {
  duckdb_scalar_function function = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(function, name);
  duckdb_logical_type any = duckdb_create_logical_type(DUCKDB_TYPE_ANY);
  duckdb_scalar_function_set_varargs(function, any);
  duckdb_destroy_logical_type(&any);
  duckdb_logical_type result = duckdb_create_logical_type(DUCKDB_TYPE_UTINYINT);
  duckdb_scalar_function_set_return_type(function, result);
  duckdb_destroy_logical_type(&result);
  duckdb_scalar_function_set_special_handling(function);  // NULL is a value here, not an answer
  duckdb_scalar_function_set_volatile(function);          // each row counts
  duckdb_scalar_function_set_extra_info(function, this, nullptr);
  duckdb_scalar_function_set_function(function, run);
  const duckdb_state state = duckdb_register_scalar_function(connection, function);
  duckdb_destroy_scalar_function(&function);
  if (state != DuckDBSuccess) fail(ErrorCode::kUnavailable, "DuckDB: cannot add the function {}", name);
}

void RowReader::run(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  auto& reader = *static_cast<RowReader*>(duckdb_scalar_function_get_extra_info(info));
  try {
    reader.read(input);
    std::memset(duckdb_vector_get_data(output), 0, duckdb_data_chunk_get_size(input));
  } catch (...) {
    const std::lock_guard lock(reader.mutex_);
    if (!reader.error_) reader.error_ = std::current_exception();
    duckdb_scalar_function_set_error(info, "rows could not be taken");
  }
}

void RowReader::read(duckdb_data_chunk input) {
  std::vector<ColumnRows>& columns =
      columns_.get([&] { return std::make_unique<std::vector<ColumnRows>>(sources_.size()); });
  const idx_t count = duckdb_data_chunk_get_size(input);
  for (std::size_t i = 0; i < sources_.size(); ++i)
    read_column(columns[i], sources_[i], duckdb_data_chunk_get_vector(input, i), count);
  take_(columns, count);
}

void RowReader::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

}  // namespace imagerank::workspace
