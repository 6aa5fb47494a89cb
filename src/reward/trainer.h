#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/progress.h"
#include "reward/examples.h"
#include "reward/objective_options.h"
#include "reward/training_set.h"

namespace imagerank::reward {

struct TrainOptions {
  std::string head = "mlp";
  std::string loss = "mse";
  int epochs = 10;                      ///< 1..10000
  int batch = 64;                       ///< points, pairs or rankings a step; 1..65536
  std::optional<double> learning_rate;  ///< empty: the head's own
  std::optional<double> weight_decay;   ///< empty: the head's own; with adam 0
  std::optional<double> dropout;        ///< empty: the head's own; 0..0.95
  std::int64_t hidden = 512;            ///< mlp, deep, attention, cnn, interaction; 1..65536
  std::int64_t rank = 64;               ///< clip's adapters; 1..65536
  std::int64_t layers = 3;              ///< deep's hidden ones; 1..64
  std::uint64_t limit = 0;              ///< train on the first N points or pairs of a seeded shuffle; 0: all
  std::uint64_t seed = 0;

  std::string optimizer = "adamw";  ///< adamw: decay beside the gradient; adam: decay as part of it
  std::string schedule = "cosine";  ///< cosine, linear or constant, after the warm-up
  double warm_up = 0.05;            ///< share of all steps with a rising rate; 0..1
  double clip_norm = 0.0;           ///< largest norm of all gradients together; 0: none
  bool bfloat16 = false;            ///< wide products over numbers rounded to bfloat16; sums and weights stay float32
  int patience = 0;                 ///< stop after so many epochs without a better validation loss; 0: never

  double label_smoothing = 0.0;  ///< 0..0.9
  Weighting weighting;
  PromptClassification prompts;

  int ensemble = 1;                   ///< heads of seeds seed, seed + 1, ... in one reward; 1..64
  std::filesystem::path tensorboard;  ///< folder of an event file; empty: none
};

/// What became of a training.
struct TrainReport {
  nlohmann::json record;    ///< reward.json
  bool up_to_date = false;  ///< nothing was done: the folder holds this very reward
  int resumed_from = 0;     ///< epochs that an earlier, stopped run had done
};

/// Trains a head and writes folder/reward.safetensors and folder/reward.json.
/// A linear warm-up, then the schedule; the epoch of least validation loss is kept (the last, with a warning, where
/// validation has no rows). Same examples, options and kind of processor: same bytes of reward.safetensors.
/// Each epoch leaves a checkpoint, so that the same call after a stop or a crash loses at most an epoch and ends with
/// the same bytes; one that finds its reward finished does nothing.
/// @param context  its threads: 0 is one here; steps are too short for more to pay on most machines.
/// @param origin  fields to add to the record: "encoder" and "model" must be among them.
/// @throws Error kInvalidArgument for an option, a loss that does not fit, or a loss that stops being finite (it names
///   the row; the last checkpoint stays); kNotFound without anything to learn from; kCorruptData for bad rows, naming
///   them; kCancelled once stopped; kIo, kResourceLimit.
TrainReport train_reward(const Examples& examples, const TrainOptions& options, const nlohmann::json& origin,
                         const std::filesystem::path& folder, const RunContext& context);

/// What a training's outcome depends on, as one hash: options, encoder, data. @throws Error for bad options or rows.
[[nodiscard]] std::string training_key(const Examples& examples, const TrainOptions& options,
                                       const nlohmann::json& origin);

}  // namespace imagerank::reward
