#include "workspace/sql_functions.h"

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "core/fail.h"
#include "workspace/keys.h"

namespace imagerank::workspace {
namespace {

std::string_view text_at(duckdb_string_t* texts, std::uint64_t* validity, idx_t row) {
  const bool valid = validity == nullptr || duckdb_validity_row_is_valid(validity, row);
  return valid ? std::string_view(duckdb_string_t_data(&texts[row]), duckdb_string_t_length(texts[row])) : "";
}

void run_stable_hash(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_vector output) {
  const idx_t count = duckdb_data_chunk_get_size(input);
  duckdb_vector texts = duckdb_data_chunk_get_vector(input, 0);
  auto* const text = static_cast<duckdb_string_t*>(duckdb_vector_get_data(texts));
  std::uint64_t* const validity = duckdb_vector_get_validity(texts);
  const auto* const seed =
      static_cast<const std::uint64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1)));
  auto* const hash = static_cast<std::uint64_t*>(duckdb_vector_get_data(output));
  for (idx_t row = 0; row < count; ++row) hash[row] = stable_hash(text_at(text, validity, row), seed[row]);
}

void run_is_safe_uid(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_vector output) {
  const idx_t count = duckdb_data_chunk_get_size(input);
  duckdb_vector uids = duckdb_data_chunk_get_vector(input, 0);
  auto* const text = static_cast<duckdb_string_t*>(duckdb_vector_get_data(uids));
  std::uint64_t* const validity = duckdb_vector_get_validity(uids);
  auto* const safe = static_cast<bool*>(duckdb_vector_get_data(output));
  for (idx_t row = 0; row < count; ++row) safe[row] = is_safe_uid(text_at(text, validity, row));
}

void run_are_safe_uids(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_vector output) {
  const idx_t count = duckdb_data_chunk_get_size(input);
  duckdb_vector lists = duckdb_data_chunk_get_vector(input, 0);
  const auto* const list = static_cast<const duckdb_list_entry*>(duckdb_vector_get_data(lists));
  std::uint64_t* const list_validity = duckdb_vector_get_validity(lists);
  duckdb_vector child = duckdb_list_vector_get_child(lists);
  auto* const text = static_cast<duckdb_string_t*>(duckdb_vector_get_data(child));
  std::uint64_t* const validity = duckdb_vector_get_validity(child);
  auto* const safe = static_cast<bool*>(duckdb_vector_get_data(output));
  for (idx_t row = 0; row < count; ++row) {
    safe[row] = true;
    if (list_validity != nullptr && !duckdb_validity_row_is_valid(list_validity, row)) continue;
    for (idx_t i = list[row].offset; i < list[row].offset + list[row].length; ++i) {
      safe[row] = safe[row] && is_safe_uid(text_at(text, validity, i));
    }
  }
}

/// One scalar function of given parameter and result types; the logical types are destroyed.
void add_function(duckdb_connection connection, const char* name, std::initializer_list<duckdb_logical_type> parameters,
                  duckdb_logical_type result, duckdb_scalar_function_t run) {
  duckdb_scalar_function function = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(function, name);
  for (duckdb_logical_type parameter : parameters) {
    duckdb_scalar_function_add_parameter(function, parameter);
    duckdb_destroy_logical_type(&parameter);
  }
  duckdb_scalar_function_set_return_type(function, result);
  duckdb_destroy_logical_type(&result);
  duckdb_scalar_function_set_special_handling(function);  // NULL is a value here, not an answer
  duckdb_scalar_function_set_function(function, run);
  const duckdb_state state = duckdb_register_scalar_function(connection, function);
  duckdb_destroy_scalar_function(&function);
  if (state != DuckDBSuccess) fail(ErrorCode::kUnavailable, "DuckDB: cannot add the function {}", name);
}

duckdb_logical_type list_of_text() {
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type list = duckdb_create_list_type(text);
  duckdb_destroy_logical_type(&text);
  return list;
}

}  // namespace

void register_sql_functions(duckdb_connection connection) {
  add_function(connection, "stable_hash",
               {duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR), duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT)},
               duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT), run_stable_hash);
  add_function(connection, "is_safe_uid", {duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR)},
               duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN), run_is_safe_uid);
  add_function(connection, "are_safe_uids", {list_of_text()}, duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN),
               run_are_safe_uids);
}

}  // namespace imagerank::workspace
