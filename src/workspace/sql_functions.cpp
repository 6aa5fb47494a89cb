#include "workspace/sql_functions.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/fail.h"

namespace imagerank::workspace {
namespace {

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

void run_stable_hash(duckdb_function_info /*info*/, duckdb_data_chunk input, duckdb_vector output) {
  const idx_t count = duckdb_data_chunk_get_size(input);
  duckdb_vector texts = duckdb_data_chunk_get_vector(input, 0);
  auto* const text = static_cast<duckdb_string_t*>(duckdb_vector_get_data(texts));
  std::uint64_t* const validity = duckdb_vector_get_validity(texts);
  const auto* const seed =
      static_cast<const std::uint64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, 1)));
  auto* const hash = static_cast<std::uint64_t*>(duckdb_vector_get_data(output));
  for (idx_t row = 0; row < count; ++row) {
    const bool valid = validity == nullptr || duckdb_validity_row_is_valid(validity, row);
    hash[row] = stable_hash(
        valid ? std::string_view(duckdb_string_t_data(&text[row]), duckdb_string_t_length(text[row])) : "", seed[row]);
  }
}

}  // namespace

std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) noexcept {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  std::uint64_t state = mix(seed + kGolden * (text.size() + 1));
  for (std::size_t at = 0; at < text.size(); at += sizeof(std::uint64_t)) {
    std::array<unsigned char, sizeof(std::uint64_t)> bytes = {};
    std::memcpy(bytes.data(), text.data() + at, std::min(bytes.size(), text.size() - at));
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
    state = mix((state ^ word) + kGolden);
  }
  return state;
}

void register_sql_functions(duckdb_connection connection) {
  duckdb_scalar_function function = duckdb_create_scalar_function();
  duckdb_scalar_function_set_name(function, "stable_hash");
  duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
  duckdb_scalar_function_add_parameter(function, text);
  duckdb_scalar_function_add_parameter(function, number);
  duckdb_scalar_function_set_return_type(function, number);
  duckdb_scalar_function_set_special_handling(function);  // NULL is a value here, not an answer
  duckdb_scalar_function_set_function(function, run_stable_hash);
  const duckdb_state state = duckdb_register_scalar_function(connection, function);
  duckdb_destroy_logical_type(&text);
  duckdb_destroy_logical_type(&number);
  duckdb_destroy_scalar_function(&function);
  if (state != DuckDBSuccess) fail(ErrorCode::kUnavailable, "DuckDB: cannot add the function stable_hash");
}

}  // namespace imagerank::workspace
