#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluation/baselines.h"

namespace imagerank::evaluation {

/// Some of a split's pairs that have something in common.
struct Slice {
  std::string dimension;             ///< "prompt length"
  std::string name;                  ///< "6 to 15 words"
  std::vector<std::uint32_t> pairs;  ///< into SplitTruth's pairs
};

/// How a head does on one slice.
struct SliceResult {
  std::string dimension, name;
  std::uint64_t prompts = 0, pairs = 0, strict_pairs = 0;
  Estimate strict;     ///< strict micro pair accuracy; null without strict pairs
  Estimate pickscore;  ///< PickScore's half credit, ties too
  /// Strict micro pair accuracy of each baseline there; null without strict pairs, or where the baseline is not known.
  std::array<std::optional<double>, kBaselineCount> baselines;
};

/// Empty slices are left out. A prompt belongs to a slice with the pairs it has there; intervals are by prompt.
/// @param baselines  of the same truth. @param pickscore_threshold  see choose_pickscore_threshold.
/// @throws Error as check_predictions, kInvalidArgument for a pair that is not there.
[[nodiscard]] std::vector<SliceResult> measure_slices(const SplitTruth& truth, const Predictions& predictions,
                                                      const BaselineResults& baselines, double pickscore_threshold,
                                                      const Bootstrap& bootstrap, std::span<const Slice> slices);

}  // namespace imagerank::evaluation
