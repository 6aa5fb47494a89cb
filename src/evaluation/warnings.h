#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation/baselines.h"
#include "evaluation/probes.h"

namespace imagerank::evaluation {

/// What the warnings and the verdict of one result follow from.
struct ResultFacts {
  std::string split;               ///< "test"
  std::size_t prompts = 0;         ///< with points or pairs in the split
  std::vector<double> labels;      ///< rows by label, in the split
  std::vector<double> all_labels;  ///< rows by label, in all splits; may be empty
  std::vector<double> predicted;   ///< rows by predicted label; empty where labels are not predicted
  bool constant_utility = false;   ///< every pair got two equal scores
  double prompt_overlap = 0.0;     ///< share of the split's rows whose prompt also stands in train
  double image_overlap = 0.0;      ///< share of the split's rows whose image also stands in train
  bool untrained_encoder = false;
  std::uint64_t images = 0, images_gone = 0;  ///< of the split; those whose file is not there any more
};

inline constexpr std::size_t kFewPrompts = 30;
/// From this share of one class on, in the split or in all of the data, labels are called nearly of one class. The
/// common recipes reach 0.77 to 0.85 (binary labels of Pick-a-Pic): there a constant already looks accurate.
inline constexpr double kNearlyOneClass = 0.7;

/// What a reader must know before the numbers, one sentence each, the name of the trouble first; empty if all is well.
[[nodiscard]] std::vector<std::string> find_warnings(const ResultFacts& facts, const Measurement& measurement);

/// The warning that a head's scores do what they should not under probes; "" if they do not.
[[nodiscard]] std::string probe_warning(const ProbeReport& probes);

enum class VerdictKind : std::uint8_t {
  kNothingToJudge,  ///< no strict pairs, or no interval
  kAtChance,        ///< the interval holds 50 %
  kBelowChance,
  kAboveChance,        ///< above 50 %, but a no-skill baseline is not surpassed
  kBetterThanNoSkill,  ///< the paired difference to each no-skill baseline is above 0
};
struct Verdict {
  VerdictKind kind = VerdictKind::kNothingToJudge;
  std::string sentence;
};

/// Follows the intervals of strict pair accuracy, never the point estimates.
/// @param truth, predictions, bootstrap  what `measurement` was made from, for paired differences.
[[nodiscard]] Verdict judge(const SplitTruth& truth, const Predictions& predictions, const Measurement& measurement,
                            const BaselineResults& baselines, const Bootstrap& bootstrap);

/// How far the strict pair accuracy lies on the way from 50 % to the oracle's; nullopt without an oracle above 50 %.
[[nodiscard]] std::optional<double> way_to_oracle(const Measurement& measurement, const BaselineResults& baselines);

/// 0.8516 -> "85.2 %".
[[nodiscard]] std::string percent(double share);

}  // namespace imagerank::evaluation
