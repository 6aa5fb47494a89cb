#pragma once

#include <cstdint>

#include "reward/head_kinds.h"

namespace imagerank::reward {

/// The auxiliary loss of Lee et al. 2023: an image that is good for its prompt should score higher with it than with
/// wrong ones.
struct PromptClassification {
  double weight = 0.0;  ///< lambda; 0: off
  double temperature = 1.0;
  int wrong_count = 10;  ///< wrong prompts a right one
  bool logits = false;   ///< of classifiers: compare log odds, which have no floor, instead of scores
};

struct ObjectiveOptions {
  Loss loss = Loss::kMse;
  std::int32_t class_count = 3;
  double label_smoothing = 0.0;  ///< 0 to below 1; not for kMse
  PromptClassification prompts;
};

}  // namespace imagerank::reward
