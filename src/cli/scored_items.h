#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "imagerank/scorer.h"

namespace imagerank::cli {

/// What `rank` and `score` share. An empty data means that `reward` is a folder.
/// @throws Error kNotFound, naming what was looked for.
[[nodiscard]] std::filesystem::path reward_folder(const std::string& reward, const std::filesystem::path& data);

/// Row numbers, best score first, equal ones in their order, those without a score last.
[[nodiscard]] std::vector<std::size_t> best_first(std::span<const ScoredImage> items);

/// {"image", "score", "rank"} for a scored row, {"image", "score": null, "rank": null, "error"} for another.
[[nodiscard]] nlohmann::ordered_json item_json(const std::string& image, const ScoredImage& item, std::size_t rank);

/// {"item", "reason", "detail"} of each row without a score. @param names  parallel to items.
[[nodiscard]] nlohmann::ordered_json failures_json(std::span<const std::string> names,
                                                   std::span<const ScoredImage> items);

/// 1 if nothing was scored, or something was not and `strict`.
[[nodiscard]] int exit_code_of(std::span<const ScoredImage> items, bool strict) noexcept;

}  // namespace imagerank::cli
