#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace imagerank::reward {

/// Named float32 tensors, flat.
using NamedValues = std::map<std::string, std::vector<float>>;

/// Where training stands after an epoch. The random state is the seed and the epoch: every epoch draws from its own
/// stream.
struct TrainingState {
  int epoch = 0;                                     ///< epochs done
  std::int64_t step = 0;                             ///< optimiser steps done
  int best_epoch = 0;                                ///< 0 before any
  double best_loss = 0.0;                            ///< validation loss of the best epoch
  double seconds = 0.0;                              ///< over all runs
  std::string collapse;                              ///< the best epoch's Validation::collapse
  nlohmann::json history = nlohmann::json::array();  ///< one object an epoch
  NamedValues parameters, first_moments, second_moments;
  NamedValues best;  ///< parameters of the best epoch
};

/// The file in a reward's folder that lets a stopped training go on.
[[nodiscard]] std::filesystem::path checkpoint_path(const std::filesystem::path& reward_folder);
/// Atomically. @param key  says what is being trained on what; another key's checkpoint is not resumed.
void save_checkpoint(const std::filesystem::path& reward_folder, const std::string& key, const TrainingState& state);
/// nullopt if there is none, or one of another key, or one that cannot be read: training then starts afresh.
/// @param expected  names and sizes of the head's parameters.
[[nodiscard]] std::optional<TrainingState> find_checkpoint(const std::filesystem::path& reward_folder,
                                                           const std::string& key, const NamedValues& expected);
void remove_checkpoint(const std::filesystem::path& reward_folder);

}  // namespace imagerank::reward
