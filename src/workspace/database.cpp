#include "workspace/database.h"

#include <duckdb.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "workspace/csv_writer.h"
#include "workspace/row_reader.h"
#include "workspace/sql_functions.h"

namespace imagerank::workspace {
namespace {

/// Rows a Parquet row group: a group's columns then stay in the cache while they are encoded, which halves the time.
constexpr int kRowGroup = 10240;

/// What is wrong with a line of a CSV file stands some lines down, after the line itself.
std::string csv_detail(std::string_view message) {
  for (std::size_t at = message.find('\n'); at != std::string_view::npos; at = message.find('\n', at + 1)) {
    const std::string_view rest = message.substr(at + 1);
    for (const std::string_view start :
         {"Expected Number of Columns", "Invalid unicode", "Value with unterminated quote"}) {
      if (rest.starts_with(start)) return fmt::format(": {}", rest.substr(0, rest.find('\n')));
    }
  }
  return {};
}

/// Lets the disk begin with a file while the next one is made: a wish, AtomicFile::commit() sees to it that all is
/// there.
void start_flush(const AtomicFile& file) noexcept {
  const int descriptor = ::open(file.temporary_path().c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
  ::close(descriptor);
}

std::string first_line(const char* message) {
  const std::string_view text = message == nullptr ? "unknown error" : message;
  const std::string_view line = text.substr(0, text.find('\n'));
  if (line.find("CSV Error on Line") != std::string_view::npos) return fmt::format("{}{}", line, csv_detail(text));
  if (line.find("CSV Parser state machine") != std::string_view::npos)
    return "expected CSV as in RFC 4180, found line ends of two kinds or a quote inside a plain field";
  return std::string(line);
}

[[noreturn]] void fail_query(duckdb_error_type type, const char* message) {
  const std::string line = first_line(message);
  switch (type) {
    case DUCKDB_ERROR_INTERRUPT:
      throw Error(ErrorCode::kCancelled, "stopped; run the same command again");
    case DUCKDB_ERROR_OUT_OF_MEMORY:
      throw Error(ErrorCode::kResourceLimit, line);
    case DUCKDB_ERROR_IO:
      throw Error(line.find("No space left") != std::string::npos || line.find("File too large") != std::string::npos
                      ? ErrorCode::kResourceLimit
                      : ErrorCode::kIo,
                  line);
    default:
      throw Error(ErrorCode::kCorruptData, line);
  }
}

/// Owns a duckdb_result.
class Result {
 public:
  Result() = default;
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() { duckdb_destroy_result(&value_); }
  duckdb_result* get() { return &value_; }
  duckdb_result& operator*() { return value_; }

 private:
  duckdb_result value_ = {};
};

/// Owns a prepared statement. @throws Error kCorruptData.
class Prepared {
 public:
  Prepared(duckdb_connection connection, const std::string& sql) {
    if (duckdb_prepare(connection, sql.c_str(), &statement_) == DuckDBSuccess) return;
    const std::string line = first_line(duckdb_prepare_error(statement_));
    duckdb_destroy_prepare(&statement_);
    throw Error(ErrorCode::kCorruptData, line);
  }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  ~Prepared() { duckdb_destroy_prepare(&statement_); }
  [[nodiscard]] duckdb_prepared_statement get() const noexcept { return statement_; }

 private:
  duckdb_prepared_statement statement_ = nullptr;
};

std::string_view view_of(duckdb_string_t& value) {
  return {duckdb_string_t_data(&value), duckdb_string_t_length(value)};
}

bool row_is_valid(duckdb_vector vector, idx_t row) {
  uint64_t* const validity = duckdb_vector_get_validity(vector);
  return validity == nullptr || duckdb_validity_row_is_valid(validity, row);
}

bool is_integer(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
      return true;
    default:
      return false;
  }
}

std::int64_t integer_at(duckdb_type type, const void* data, idx_t row) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN:
      return static_cast<const bool*>(data)[row] ? 1 : 0;
    case DUCKDB_TYPE_TINYINT:
      return static_cast<const std::int8_t*>(data)[row];
    case DUCKDB_TYPE_SMALLINT:
      return static_cast<const std::int16_t*>(data)[row];
    case DUCKDB_TYPE_INTEGER:
      return static_cast<const std::int32_t*>(data)[row];
    case DUCKDB_TYPE_UTINYINT:
      return static_cast<const std::uint8_t*>(data)[row];
    case DUCKDB_TYPE_USMALLINT:
      return static_cast<const std::uint16_t*>(data)[row];
    case DUCKDB_TYPE_UINTEGER:
      return static_cast<const std::uint32_t*>(data)[row];
    default:
      return static_cast<const std::int64_t*>(data)[row];
  }
}

/// Columns come as VARCHAR, integers, FLOAT, DOUBLE or lists of VARCHAR or integers; the SQL casts the rest.
void append_rows(Column& column, duckdb_vector vector, idx_t count) {
  duckdb_logical_type logical = duckdb_vector_get_column_type(vector);
  const duckdb_type type = duckdb_get_type_id(logical);
  duckdb_type child_type = DUCKDB_TYPE_INVALID;
  if (type == DUCKDB_TYPE_LIST) {
    duckdb_logical_type child = duckdb_list_type_child_type(logical);
    child_type = duckdb_get_type_id(child);
    duckdb_destroy_logical_type(&child);
  }
  duckdb_destroy_logical_type(&logical);
  void* const data = duckdb_vector_get_data(vector);
  for (idx_t row = 0; row < count; ++row) {
    const bool valid = row_is_valid(vector, row);
    column.null.push_back(!valid);
    if (type == DUCKDB_TYPE_VARCHAR || type == DUCKDB_TYPE_BLOB) {
      column.text.emplace_back(valid ? view_of(static_cast<duckdb_string_t*>(data)[row]) : std::string_view());
    } else if (is_integer(type)) {
      column.integer.push_back(valid ? integer_at(type, data, row) : 0);
    } else if (type == DUCKDB_TYPE_DOUBLE || type == DUCKDB_TYPE_FLOAT) {
      const double value = !valid                       ? 0.0
                           : type == DUCKDB_TYPE_DOUBLE ? static_cast<const double*>(data)[row]
                                                        : static_cast<double>(static_cast<const float*>(data)[row]);
      column.real.push_back(value);
    } else if (type == DUCKDB_TYPE_LIST && (child_type == DUCKDB_TYPE_VARCHAR || is_integer(child_type))) {
      const auto entry = valid ? static_cast<const duckdb_list_entry*>(data)[row] : duckdb_list_entry{0, 0};
      duckdb_vector child = duckdb_list_vector_get_child(vector);
      void* const child_data = duckdb_vector_get_data(child);
      if (child_type == DUCKDB_TYPE_VARCHAR) {
        std::vector<std::string>& list = column.text_list.emplace_back();
        for (idx_t i = entry.offset; i < entry.offset + entry.length; ++i) {
          list.emplace_back(row_is_valid(child, i) ? view_of(static_cast<duckdb_string_t*>(child_data)[i])
                                                   : std::string_view());
        }
      } else {
        std::vector<std::int64_t>& list = column.integer_list.emplace_back();
        for (idx_t i = entry.offset; i < entry.offset + entry.length; ++i) {
          list.push_back(row_is_valid(child, i) ? integer_at(child_type, child_data, i) : 0);
        }
      }
    } else {
      fail(ErrorCode::kInvalidArgument, "column '{}': this type needs a cast in the query", column.name);
    }
  }
}

}  // namespace

const Column& Table::column(std::string_view name) const {
  for (const Column& candidate : columns) {
    if (candidate.name == name) return candidate;
  }
  fail(ErrorCode::kInvalidArgument, "the query gives no column '{}'", name);
}

struct Database::State {
  duckdb_database database = nullptr;
  duckdb_connection connection = nullptr;
  int readers = 0;  ///< functions that RowReader added
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (connection != nullptr) duckdb_disconnect(&connection);
    if (database != nullptr) duckdb_close(&database);
  }
};

Database::Database(int threads, const std::filesystem::path& spill_folder, std::int64_t max_memory_bytes)
    : state_(std::make_unique<State>()) {
  duckdb_config config = nullptr;
  duckdb_create_config(&config);
  if (threads > 0) duckdb_set_config(config, "threads", std::to_string(threads).c_str());
  // No network, no extension is ever fetched: what is not built in is an error.
  duckdb_set_config(config, "autoinstall_known_extensions", "false");
  duckdb_set_config(config, "autoload_known_extensions", "false");
  if (!spill_folder.empty()) {
    // Named as AtomicFile names its files, so that what a killed process leaves is found and removed.
    static std::atomic<int> folders = 0;
    const std::filesystem::path folder = spill_folder / fmt::format(".spill.tmp-{}-{}", ::getpid(), folders++);
    duckdb_set_config(config, "temp_directory", folder.c_str());
  } else {
    duckdb_set_config(config, "temp_directory", "");
  }
  duckdb_set_config(config, "memory_limit", fmt::format("{}B", max_memory_bytes).c_str());
  // Freed memory is kept for the next statement: giving it back and faulting it in anew costs a fifth of the time.
  duckdb_set_config(config, "allocator_flush_threshold", fmt::format("{}B", max_memory_bytes).c_str());
  duckdb_set_config(config, "allocator_bulk_deallocation_flush_threshold",
                    fmt::format("{}B", max_memory_bytes).c_str());
  char* message = nullptr;
  const duckdb_state opened = duckdb_open_ext(nullptr, &state_->database, config, &message);
  duckdb_destroy_config(&config);
  if (opened != DuckDBSuccess) {
    const std::string line = first_line(message);
    duckdb_free(message);
    fail(ErrorCode::kUnavailable, "DuckDB: {}", line);
  }
  if (duckdb_connect(state_->database, &state_->connection) != DuckDBSuccess)
    fail(ErrorCode::kUnavailable, "DuckDB: cannot connect");
  register_sql_functions(state_->connection);
}

Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

void Database::execute(const std::string& sql) {
  Result result;
  if (duckdb_query(state_->connection, sql.c_str(), result.get()) != DuckDBSuccess) {
    fail_query(duckdb_result_error_type(result.get()), duckdb_result_error(result.get()));
  }
}

Table Database::query(const std::string& sql) {
  Result result;
  if (duckdb_query(state_->connection, sql.c_str(), result.get()) != DuckDBSuccess) {
    fail_query(duckdb_result_error_type(result.get()), duckdb_result_error(result.get()));
  }
  Table table;
  const idx_t width = duckdb_column_count(result.get());
  for (idx_t i = 0; i < width; ++i) table.columns.emplace_back().name = duckdb_column_name(result.get(), i);
  while (duckdb_data_chunk chunk = duckdb_fetch_chunk(*result)) {
    const idx_t count = duckdb_data_chunk_get_size(chunk);
    try {
      for (idx_t i = 0; i < width; ++i) append_rows(table.columns[i], duckdb_data_chunk_get_vector(chunk, i), count);
    } catch (...) {
      duckdb_destroy_data_chunk(&chunk);
      throw;
    }
    table.row_count += count;
    duckdb_destroy_data_chunk(&chunk);
  }
  return table;
}

struct Database::Cursor::State {
  Result result;
  idx_t width = 0;
  bool ended = false;
};

Database::Cursor::Cursor(Database& database, const std::string& sql) : state_(std::make_unique<State>()) {
  const Prepared statement(database.state_->connection, sql);
  duckdb_pending_result pending = nullptr;
  Result& result = state_->result;
  const bool started = duckdb_pending_prepared_streaming(statement.get(), &pending) == DuckDBSuccess &&
                       duckdb_execute_pending(pending, result.get()) == DuckDBSuccess;
  const std::string line = started ? "" : first_line(duckdb_pending_error(pending));
  duckdb_destroy_pending(&pending);
  if (!started) {
    if (duckdb_result_error(result.get()) != nullptr)
      fail_query(duckdb_result_error_type(result.get()), duckdb_result_error(result.get()));
    throw Error(ErrorCode::kCorruptData, line);
  }
  state_->width = duckdb_column_count(result.get());
}

Database::Cursor::~Cursor() = default;

bool Database::Cursor::next(Table& rows) {
  Result& result = state_->result;
  rows = Table();
  duckdb_data_chunk chunk = state_->ended ? nullptr : duckdb_fetch_chunk(*result);
  if (chunk != nullptr) {
    const std::unique_ptr<duckdb_data_chunk, decltype(&duckdb_destroy_data_chunk)> owner(&chunk,
                                                                                         &duckdb_destroy_data_chunk);
    rows.row_count = duckdb_data_chunk_get_size(chunk);
    for (idx_t i = 0; i < state_->width && rows.row_count != 0; ++i) {
      rows.columns.emplace_back().name = duckdb_column_name(result.get(), i);
      append_rows(rows.columns[i], duckdb_data_chunk_get_vector(chunk, i), rows.row_count);
    }
  }
  if (rows.row_count != 0) return true;
  state_->ended = true;
  if (duckdb_result_error(result.get()) != nullptr && *duckdb_result_error(result.get()) != '\0')
    fail_query(duckdb_result_error_type(result.get()), duckdb_result_error(result.get()));
  return false;
}

void Database::for_each_chunk(const std::string& sql, const std::function<void(const Table& rows)>& visit) {
  Cursor cursor(*this, sql);
  Table rows;
  while (cursor.next(rows)) visit(rows);
}

std::int64_t Database::query_integer(const std::string& sql) {
  const Table table = query("SELECT CAST(coalesce(x, 0) AS BIGINT) AS x FROM (" + sql + ") AS t(x)");
  if (table.row_count != 1) fail(ErrorCode::kInvalidArgument, "expected one row, found {}", table.row_count);
  return table.columns[0].integer[0];
}

double Database::query_real(const std::string& sql) {
  const Table table = query("SELECT CAST(coalesce(x, 0) AS DOUBLE) AS x FROM (" + sql + ") AS t(x)");
  if (table.row_count != 1) fail(ErrorCode::kInvalidArgument, "expected one row, found {}", table.row_count);
  return table.columns[0].real[0];
}

void Database::write_parquet(const std::string& sql, const std::filesystem::path& path) {
  AtomicFile file(path);
  copy_rows(sql, file, "snappy");
  file.commit();
}

void Database::copy_parquet(const std::string& sql, AtomicFile& file) {
  copy_rows(sql, file, "uncompressed");
  start_flush(file);
}

void Database::copy_rows(const std::string& sql, const AtomicFile& file, const char* compression) {
  execute(fmt::format("COPY ({}) TO {} (FORMAT parquet, COMPRESSION {}, ROW_GROUP_SIZE {}, USE_TMP_FILE false)", sql,
                      sql_literal(file.temporary_path().string()), compression, kRowGroup));
}

void Database::run_reader(const std::string& sql, RowReader& reader) {
  const std::string name = fmt::format("take_rows_{}", state_->readers++);
  reader.add_function(state_->connection, name.c_str());
  try {
    execute(fmt::format("SELECT max({}({})) FROM ({})", name, reader.column_names(), sql));
  } catch (const Error&) {
    reader.rethrow();
    throw;
  }
}

void Database::copy_unordered(const std::string& sql, AtomicFile& file, AtomicFile* csv, std::size_t csv_columns) {
  struct Share {
    explicit Share(ParquetWriter& writer) : parquet(writer) {}
    ParquetWriter::Rows parquet;
    std::optional<CsvWriter::Rows> csv;
  };
  const Prepared prepared(state_->connection, sql);
  std::optional<ParquetWriter> writer;
  std::optional<CsvWriter> csv_writer;
  PerThread<Share> shares;
  RowReader reader(prepared.get(), [&](std::span<const ColumnRows> columns, std::size_t count) {
    Share& share = shares.get([&] {
      auto made = std::make_unique<Share>(*writer);
      if (csv_writer) made->csv.emplace(*csv_writer);
      return made;
    });
    share.parquet.add(columns, count);
    if (share.csv) share.csv->add(columns, count);
  });
  std::vector<ParquetColumn> columns = reader.columns();
  writer.emplace(file, columns);
  columns.resize(csv_columns);
  if (csv != nullptr) csv_writer.emplace(*csv, std::move(columns));
  run_reader(sql, reader);
  shares.for_each([](Share& share) {
    share.parquet.flush();
    if (share.csv) share.csv->flush();
  });
  writer->finish();
}

void Database::take_rows(const std::string& sql, const TakeRows& take) {
  const Prepared prepared(state_->connection, sql);
  RowReader reader(prepared.get(), take);
  run_reader(sql, reader);
}

void Database::write_csv(const std::string& sql, const std::filesystem::path& path) {
  AtomicFile file(path);
  execute(fmt::format("COPY ({}) TO {} (FORMAT csv, HEADER true, USE_TMP_FILE false)", sql,
                      sql_literal(file.temporary_path().string())));
  file.commit();
}

std::vector<std::pair<std::string, std::string>> Database::describe(const std::string& from) {
  const Table table = query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM " + from + ")");
  std::vector<std::pair<std::string, std::string>> columns;
  columns.reserve(table.row_count);
  for (std::size_t i = 0; i < table.row_count; ++i)
    columns.emplace_back(table.columns[0].text[i], table.columns[1].text[i]);
  return columns;
}

void Database::interrupt() noexcept { duckdb_interrupt(state_->connection); }

struct Database::Appender::State {
  duckdb_appender appender = nullptr;
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (appender != nullptr) duckdb_appender_destroy(&appender);
  }
  void check(duckdb_state state) const {
    if (state != DuckDBSuccess)
      fail(ErrorCode::kInvalidArgument, "append: {}", first_line(duckdb_appender_error(appender)));
  }
  void append_list(duckdb_type type, std::vector<duckdb_value>& values) const {
    duckdb_logical_type logical = duckdb_create_logical_type(type);
    duckdb_value list = duckdb_create_list_value(logical, values.data(), values.size());
    const duckdb_state state = duckdb_append_value(appender, list);
    duckdb_destroy_value(&list);
    for (duckdb_value& value : values) duckdb_destroy_value(&value);
    duckdb_destroy_logical_type(&logical);
    check(state);
  }
};

Database::Appender::Appender(Database& database, const std::string& table) : state_(std::make_unique<State>()) {
  state_->check(duckdb_appender_create(database.state_->connection, nullptr, table.c_str(), &state_->appender));
}

Database::Appender::~Appender() = default;

void Database::Appender::append(std::string_view value) {
  state_->check(duckdb_append_varchar_length(state_->appender, value.data(), value.size()));
}
void Database::Appender::append_bytes(std::string_view value) {
  state_->check(duckdb_append_blob(state_->appender, value.data(), value.size()));
}
void Database::Appender::append(double value) { state_->check(duckdb_append_double(state_->appender, value)); }
void Database::Appender::append(std::int32_t value) { state_->check(duckdb_append_int32(state_->appender, value)); }
void Database::Appender::append(std::int64_t value) { state_->check(duckdb_append_int64(state_->appender, value)); }
void Database::Appender::append(std::span<const std::string> values) {
  std::vector<duckdb_value> items;
  items.reserve(values.size() + 1);  // DuckDB takes no null pointer for an empty list
  for (const std::string& value : values) items.push_back(duckdb_create_varchar_length(value.data(), value.size()));
  state_->append_list(DUCKDB_TYPE_VARCHAR, items);
}
void Database::Appender::append(std::span<const std::int32_t> values) {
  std::vector<duckdb_value> items;
  items.reserve(values.size() + 1);
  for (const std::int32_t value : values) items.push_back(duckdb_create_int32(value));
  state_->append_list(DUCKDB_TYPE_INTEGER, items);
}
void Database::Appender::append_null() { state_->check(duckdb_append_null(state_->appender)); }
void Database::Appender::end_row() { state_->check(duckdb_appender_end_row(state_->appender)); }
void Database::Appender::close() { state_->check(duckdb_appender_close(state_->appender)); }

std::string sql_literal(std::string_view text) {
  std::string literal = "'";
  for (const char character : text) {
    if (character == '\'') literal += '\'';
    literal += character;
  }
  return literal + "'";
}

}  // namespace imagerank::workspace
