#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/progress.h"
#include "reward/checkpoint.h"
#include "reward/event_file.h"
#include "reward/heads.h"
#include "reward/objective.h"
#include "reward/optimizer.h"
#include "reward/trainer.h"
#include "reward/training_set.h"

namespace imagerank::reward {

/// Options with the head's defaults filled in, all within their ranges.
struct Settings {
  const HeadKind* kind = nullptr;
  Loss loss = Loss::kMse;
  double learning_rate = 0.0;
  double weight_decay = 0.0;
  double dropout = 0.0;
};

/// @throws Error kInvalidArgument naming the option.
[[nodiscard]] Settings check_options(const TrainOptions& options, std::int32_t class_count);
/// Everything that decides what a training gives.
[[nodiscard]] nlohmann::json options_json(const TrainOptions& options, const Settings& settings);

/// One training of one head: its optimiser and the rows. All references outlive it.
class Training {
 public:
  Training(const Examples& examples, const TrainOptions& options, const Settings& settings, const RunContext& context);

  /// From the checkpoint in `folder`, or from the start. @return epochs that were done before.
  int resume(const std::filesystem::path& folder, const std::string& key);
  /// All epochs that are left, a checkpoint after each.
  void run(const std::filesystem::path& folder, const std::string& key);

  [[nodiscard]] const TrainingState& state() const noexcept { return state_; }
  [[nodiscard]] const TrainingSet& set() const noexcept { return set_; }
  [[nodiscard]] const Head& head() const noexcept { return *head_; }
  [[nodiscard]] const Objective& objective() const noexcept { return objective_; }
  /// The head's parameters, then the objective's.
  [[nodiscard]] std::vector<Parameter*> parameters();

 private:
  struct EpochLoss {
    double loss = 0.0;
    std::optional<double> prompt_loss;
  };
  EpochLoss run_epoch();
  [[nodiscard]] at::Tensor batch_loss(const Batch& batch, Random& random, EpochLoss& sums) const;
  [[noreturn]] void fail_at_unfinite(const at::Tensor& outputs, const Batch& batch) const;
  void step(const at::Tensor& loss);
  [[nodiscard]] double clip_factor(const std::vector<Parameter*>& parameters) const;
  struct Update {
    const AdamStep* settings;
    Parameter* parameter;
    at::Tensor gradient;  ///< contiguous
  };
  void apply(const std::vector<Update>& updates);
  void prefetch(std::span<const std::uint32_t> units) const;
  void finish_epoch(const EpochLoss& loss, double seconds);
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] double schedule() const;
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  void report(std::int64_t steps, double loss, std::optional<double> validation_loss) const;
  [[nodiscard]] NamedValues current_parameters();

  const Examples& examples_;
  const TrainOptions& options_;
  const Settings& settings_;
  const RunContext& context_;
  TrainingSet set_;
  HeadShape shape_;
  std::unique_ptr<Head> head_;
  Objective objective_;
  TrainingState state_;
};

}  // namespace imagerank::reward
