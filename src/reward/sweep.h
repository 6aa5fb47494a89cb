#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/progress.h"
#include "reward/examples.h"
#include "reward/trainer.h"

namespace imagerank::reward {

/// One option and the values to try.
struct SweepAxis {
  std::string option;  ///< as on the command line, without the dashes: "lr"
  std::vector<double> values;
};

/// "lr=1e-3:3e-4,hidden=256:512": options apart by commas, values by colons.
/// @throws Error kInvalidArgument naming what is wrong, and for more than 64 combinations.
[[nodiscard]] std::vector<SweepAxis> parse_sweep(const std::string& text);
/// @throws Error kInvalidArgument naming the options that can be swept.
void set_option(TrainOptions& options, const std::string& name, double value);

/// Trains every combination in a folder of its own below `folder`, keeps the one of least validation loss as the reward
/// and adds {"key", "tried": [{"options", "loss", "pair_accuracy_strict", "best_epoch"}], "chosen"} to the record as
/// "sweep". Combinations that are done are not trained again when the call is repeated.
/// @throws Error as train_reward() does; kNotFound without a validation loss to choose by.
TrainReport train_sweep(const Examples& examples, const TrainOptions& options, const std::vector<SweepAxis>& axes,
                        const nlohmann::json& origin, const std::filesystem::path& folder, const RunContext& context);

}  // namespace imagerank::reward
