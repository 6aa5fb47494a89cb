#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "clip/encoder.h"
#include "core/progress.h"
#include "reward/examples.h"

namespace imagerank::reward {

/// Images, prompts and choices between the images. Borrowed: the arrays outlive the call.
struct PreferenceImages {
  std::span<const std::uint8_t> pixels;                ///< [N, S, S, 3], RGB, S the model's image_size
  std::span<const std::vector<std::int32_t>> prompts;  ///< token ids, each with start and end of text
  std::span<const PreferencePair> train;               ///< rows of both; weights as in a training
  std::span<const PreferencePair> validation;          ///< the step is chosen by it; empty: the last is kept
};

/// Defaults are PickScore's (Kirstain et al. 2023, its trainer's configuration).
struct FinetuneOptions {
  std::int64_t steps = 4000;
  std::int64_t batch = 128;  ///< pairs a step
  double learning_rate = 3e-6;
  double weight_decay = 0.3;         ///< of matrices
  std::int64_t warm_up_steps = 500;  ///< then a linear fall to 0
  double clip_norm = 1.0;            ///< of all gradients together; 0: none
  std::uint64_t seed = 42;
  std::int64_t validation_steps = 100;   ///< between two validations, each with a checkpoint
  std::int64_t frozen_image_layers = 0;  ///< the lowest, and then the embedding below them
  std::int64_t frozen_text_layers = 0;
  clip::Device device = clip::Device::kCpu;
  bool bfloat16 = false;   ///< products in bfloat16; weights, optimiser and loss in float32
  bool recompute = false;  ///< activations of one piece of the batch at a time: less memory, a second forward pass
};

struct FinetuneResult {
  std::int64_t steps = 0;
  std::int64_t best_step = 0;  ///< whose weights were kept
  std::int64_t resumed_at = 0;
  double seconds = 0.0;                              ///< over all runs
  double loss = 0.0;                                 ///< mean of the last steps between two validations
  nlohmann::json history = nlohmann::json::array();  ///< [{"step", "loss", "pair_accuracy"}]
};

/// Trains both towers of the model in `model` on pairs: s = exp(logit_scale) cos(prompt, image), Bradley-Terry on the
/// difference with the ties' constant, each pair weighted by 1 / pairs of its prompt, weights normalised in the batch;
/// AdamW. Keeps the step of best validation accuracy (a tie counts half, as in PickScore's training).
/// Writes folder/config.json and folder/model.safetensors (float16), and folder/finetune.checkpoint while it runs, from
/// which the same call goes on, bit for bit at a thread count (on a CUDA device but for rounding).
/// @throws Error kInvalidArgument (options, rows), kNotFound without a strict pair to learn from, kCancelled once
/// stopped (a checkpoint is written first), kUnavailable without the device, kCorruptData for a checkpoint of other
/// options, kIo, kResourceLimit.
FinetuneResult finetune(const PreferenceImages& data, const FinetuneOptions& options,
                        const std::filesystem::path& model, const std::filesystem::path& folder,
                        const RunContext& context);

}  // namespace imagerank::reward
