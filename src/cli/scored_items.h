#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "imagerank/scorer.h"
#include "reward/reward.h"

namespace CLI {
class App;
}

namespace imagerank::cli {

/// What commands that score files share.

/// Declares --model, --tokenizer and --hps-antialias.
void add_encoder_options(CLI::App& command, reward::EncoderPlace& place);
/// The last alone.
void add_hps_antialias(CLI::App& command, reward::EncoderPlace& place);
[[nodiscard]] ScorerOptions scorer_options(const reward::EncoderPlace& place, int threads);

/// An empty data means that `reward` is a folder, a file or a published scorer's name.
/// @throws Error kNotFound, naming what was looked for.
[[nodiscard]] std::filesystem::path reward_folder(const std::string& reward, const std::filesystem::path& data);

/// @throws Error kInvalidArgument unless `name` is a plain folder's.
void check_reward_name(const std::string& name);

/// A path of a table is relative to the table's folder, or to where the command runs.
[[nodiscard]] std::filesystem::path resolve_image(const std::filesystem::path& image,
                                                  const std::filesystem::path& folder);

/// Row numbers, best score first, equal ones in their order, those without a score last.
[[nodiscard]] std::vector<std::size_t> best_first(std::span<const ScoredImage> items);

/// {"image", "score", "rank"} for a scored row, {"image", "score": null, "rank": null, "error"} for another;
/// "truncated" where the prompt was cut.
[[nodiscard]] nlohmann::ordered_json item_json(const std::string& image, const ScoredImage& item, std::size_t rank);

/// {"item", "reason", "detail"} of each row without a score. @param names  parallel to items.
[[nodiscard]] nlohmann::ordered_json failures_json(std::span<const std::string> names,
                                                   std::span<const ScoredImage> items);

/// 1 if nothing was scored, or something was not and `strict`.
[[nodiscard]] int exit_code_of(std::span<const ScoredImage> items, bool strict) noexcept;

}  // namespace imagerank::cli
