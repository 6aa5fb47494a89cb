#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "clip/model_config.h"
#include "core/progress.h"

namespace imagerank::clip {

/// Images and what they show. Borrowed: the arrays outlive the call.
struct CaptionedImages {
  std::span<const std::uint8_t> pixels;               ///< [N, S, S, 3], RGB, S the model's image_size
  std::span<const std::vector<std::int32_t>> tokens;  ///< N rows, each with start and end of text

  [[nodiscard]] std::size_t size() const noexcept { return tokens.size(); }
};

struct PretrainOptions {
  ModelConfig model;
  std::int64_t steps = 1000;
  std::int64_t batch = 256;  ///< pairs a step; every other caption of the batch is a negative
  double learning_rate = 1e-3;
  double weight_decay = 0.05;  ///< on matrices only
  double warmup = 0.04;        ///< share of the run with a rising rate; then a cosine down to 0
  double gradient_clip = 1.0;  ///< of the norm of all gradients together
  double ngram_weight = 1.0;   ///< of the auxiliary loss; 0: plain CLIP
  std::size_t max_ngrams = 2048;
  std::size_t similar_run = 8;  ///< captions in a row that share an n-gram: the hard negatives
  bool bfloat16 = false;        ///< products in bfloat16, weights and optimiser in float32
  std::uint64_t seed = 0;
  double max_seconds = 0.0;  ///< 0: none; otherwise the schedule shrinks to end by then
  std::int64_t checkpoint_steps = 200;

  /// @throws Error kInvalidArgument, naming the field.
  void validate() const;
};

struct PretrainResult {
  std::int64_t steps = 0;
  double seconds = 0.0;     ///< of training, earlier runs that were resumed included
  double loss = 0.0;        ///< contrastive, mean of the last 50 steps
  double ngram_loss = 0.0;  ///< auxiliary, likewise; 0 where switched off
  std::size_t ngrams = 0;
  std::int64_t resumed_at = 0;  ///< step that a checkpoint gave, 0: from the start
};

/// Trains both towers from random weights on image-caption pairs: symmetric InfoNCE with a learned scale (at most 100),
/// where equal captions of a batch are all positives; AdamW. In addition, one linear layer, thrown away at the end,
/// tells from either vector which n-grams the caption holds: attributes then stand in the vectors linearly, long
/// before contrast alone would put them there.
/// Writes folder/config.json and folder/model.safetensors (float16), and while it runs folder/pretrain.checkpoint, from
/// which the same call goes on after a crash or stop; without max_seconds the outcome is the same as in one go, bit for
/// bit, for a seed, thread count and machine.
/// @throws Error kCancelled when asked to stop (the checkpoint is written first), kInvalidArgument (options, sizes,
/// fewer than two pairs), kCorruptData for a checkpoint of other options, kIo, kResourceLimit. Source: Radford et al.
/// 2021; n-gram targets after Li et al. 2017 (visual n-grams).
PretrainResult pretrain(const CaptionedImages& pairs, const PretrainOptions& options,
                        const std::filesystem::path& folder, const RunContext& context);

}  // namespace imagerank::clip
