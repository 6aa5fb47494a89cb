#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "reward/examples.h"
#include "reward/head_kinds.h"
#include "reward/heads.h"
#include "reward/objective.h"
#include "reward/training_set.h"

namespace imagerank::reward {

/// What a head does on the validation split.
struct Validation {
  std::optional<double> loss;  ///< empty where validation has no rows of the loss's kind
  nlohmann::json metrics;      ///< loss, accuracy, r2, pair_accuracy_strict; null where one does not apply
  std::string collapse;        ///< a warning, where the head says the same of every row; else ""
};

/// The loss is the objective's over the set's validation units, weighted as they are, without the prompt classification
/// and in float64. Accuracy takes a classifier's most probable class and a regression's nearest label. A strict pair
/// (p_a not 0.5) is right if the preferred image scores higher; equal scores are wrong.
[[nodiscard]] Validation validate(const Head& head, const Objective& objective, const Examples& examples,
                                  const TrainingSet& set);

}  // namespace imagerank::reward
