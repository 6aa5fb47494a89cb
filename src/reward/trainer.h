#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/progress.h"
#include "reward/examples.h"

namespace imagerank::reward {

struct TrainOptions {
  std::string head = "mlp";
  std::string loss = "mse";
  int epochs = 10;                      ///< 1..10000
  int batch = 64;                       ///< points, or pairs, a step; 1..65536
  std::optional<double> learning_rate;  ///< empty: the head's own
  std::optional<double> weight_decay;   ///< empty: the head's own
  std::optional<double> dropout;        ///< empty: the head's own; 0..0.95
  std::int64_t hidden = 512;            ///< mlp, cnn, interaction; 1..65536
  std::int64_t rank = 64;               ///< clip's adapters; 1..65536
  std::uint64_t limit = 0;              ///< train on the first N points or pairs of a seeded shuffle; 0: all
  std::uint64_t seed = 0;
};

/// What became of a training.
struct TrainReport {
  nlohmann::json record;    ///< reward.json
  bool up_to_date = false;  ///< nothing was done: the folder holds this very reward
  int resumed_from = 0;     ///< epochs that an earlier, stopped run had done
};

/// Trains a head and writes folder/reward.safetensors and folder/reward.json.
/// AdamW, a short linear warm-up and a cosine to zero; the epoch of least validation loss is kept (the last, with a
/// warning, where validation has no rows). Same examples, options and thread count: same bytes of reward.safetensors.
/// Each epoch leaves a checkpoint, so that the same call after a stop or a crash loses at most an epoch and ends with
/// the same bytes; one that finds its reward finished does nothing.
/// @param context  its threads: 0 is one here; steps are too short for more to pay on most machines.
/// @param origin  fields to add to the record: "encoder" and "model" must be among them.
/// @throws Error kInvalidArgument for an option, or a loss that does not fit; kNotFound without training rows;
///   kCorruptData for bad rows; kCancelled once stopped; kIo, kResourceLimit.
TrainReport train_reward(const Examples& examples, const TrainOptions& options, const nlohmann::json& origin,
                         const std::filesystem::path& folder, const RunContext& context);

}  // namespace imagerank::reward
