#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace imagerank::preferences {

/// Calls `visit` with each object of a JSON file: the elements of one array, or values one after another (JSON Lines).
/// Memory: one record at a time.
/// @return how many there were.
/// @throws Error kCorruptData, naming the record (from 1), for what is no JSON, no UTF-8, no object, nested deeper than
/// 64 or larger than 64 MiB; kNotFound, kIo; and what `visit` throws.
std::int64_t for_each_json_record(const std::filesystem::path& path,
                                  const std::function<void(const nlohmann::json& record, std::int64_t number)>& visit);

}  // namespace imagerank::preferences
