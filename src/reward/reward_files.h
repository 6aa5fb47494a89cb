#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "reward/checkpoint.h"
#include "reward/heads.h"
#include "reward/scaling.h"

namespace imagerank::reward {

[[nodiscard]] std::filesystem::path weights_path(const std::filesystem::path& folder);
[[nodiscard]] std::filesystem::path record_path(const std::filesystem::path& folder);

/// Writes reward.safetensors (the head's parameters, the scaler's vectors and the record's "key"), then reward.json,
/// both atomically. @param values  the parameters, by name.
void save_reward(const std::filesystem::path& folder, const nlohmann::json& record, const Head& head,
                 const NamedValues& values, const Scaler& scaler);

/// The record of a finished reward of this key whose weights are there too; nullopt otherwise.
[[nodiscard]] std::optional<nlohmann::json> find_finished(const std::filesystem::path& folder, const std::string& key);

/// A head's parameters from named values, as float32 or float64; `values` must outlive it. It throws kCorruptData
/// naming `where` and the parameter that is missing or of another size, before it reserves memory.
[[nodiscard]] ParameterSource stored_parameters(const NamedValues& values, at::ScalarType type, std::string where);

}  // namespace imagerank::reward
