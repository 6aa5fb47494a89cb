#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "reward/batch.h"
#include "reward/head_kinds.h"
#include "reward/heads.h"
#include "reward/objective_options.h"

namespace imagerank::reward {

/// What is minimised: a loss of a head's numbers, with the parameter of ties where the loss learns one.
class Objective {
 public:
  /// @param source  of the parameter "loss.tie_width", [1], which starts at 0.
  Objective(const ObjectiveOptions& options, const ParameterSource& source);

  /// The loss of each unit, [units]. @param outputs  [own_rows or more, outputs], in float32 or float64.
  [[nodiscard]] at::Tensor unit_losses(const at::Tensor& outputs, const Batch& batch) const;
  /// The prompt classification of each right row, [right_rows]; needs the rows of wrong prompts in `outputs`.
  [[nodiscard]] at::Tensor prompt_losses(const at::Tensor& outputs, const Batch& batch) const;
  /// sum(w * loss) + lambda * sum(w * prompt loss), both over the sum of the units' weights.
  [[nodiscard]] at::Tensor total(const at::Tensor& outputs, const Batch& batch) const;

  /// How far apart two scores of prompt_losses() can lie; infinity for a head without bounds.
  [[nodiscard]] double score_range() const noexcept;
  [[nodiscard]] std::vector<Parameter>& parameters() noexcept { return parameters_; }
  [[nodiscard]] const ObjectiveOptions& options() const noexcept { return options_; }

 private:
  /// What rows are compared by: [rows].
  [[nodiscard]] at::Tensor scores(const at::Tensor& outputs) const;

  ObjectiveOptions options_;
  std::vector<Parameter> parameters_;
};

}  // namespace imagerank::reward
