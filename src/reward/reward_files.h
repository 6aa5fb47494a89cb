#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "reward/checkpoint.h"
#include "reward/heads.h"
#include "reward/scaling.h"

namespace imagerank::reward {

[[nodiscard]] std::filesystem::path weights_path(const std::filesystem::path& folder);
[[nodiscard]] std::filesystem::path record_path(const std::filesystem::path& folder);

struct StoredTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
/// What reward.safetensors holds: a head's parameters, its objective's and the scaler's vectors by name; in an ensemble
/// those of head k with member_prefix(k) before them.
using StoredTensors = std::map<std::string, StoredTensor>;

/// "" for a reward of one head, else "member<k>/".
[[nodiscard]] std::string member_prefix(int member, int ensemble);
/// @param parameters  their names and shapes. @param values  by name.
[[nodiscard]] StoredTensors store_tensors(const std::vector<Parameter*>& parameters, const NamedValues& values,
                                          const Scaler& scaler);
/// @throws Error kNotFound, kCorruptData.
[[nodiscard]] StoredTensors load_tensors(const std::filesystem::path& folder);
/// The scaler among a head's tensors. @throws Error kCorruptData naming `where`.
[[nodiscard]] Scaler stored_scaler(const NamedValues& values, InputScaling scaling, std::size_t dim,
                                   const std::string& where);

/// Writes reward.safetensors (with the record's "key"), then reward.json, both atomically.
void save_reward(const std::filesystem::path& folder, const nlohmann::json& record, const StoredTensors& tensors);
/// reward.json. @throws Error kNotFound, kCorruptData.
[[nodiscard]] nlohmann::json load_record(const std::filesystem::path& folder);

/// The record of a finished reward of this key whose weights are there too; nullopt otherwise.
[[nodiscard]] std::optional<nlohmann::json> find_finished(const std::filesystem::path& folder, const std::string& key);

/// A head's parameters from named values, as float32 or float64; `values` must outlive it. It throws kCorruptData
/// naming `where` and the parameter that is missing or of another size, before it reserves memory.
[[nodiscard]] ParameterSource stored_parameters(const NamedValues& values, at::ScalarType type, std::string where);

}  // namespace imagerank::reward
