#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "evaluation/measurement.h"
#include "evaluation/ridge.h"

namespace imagerank::evaluation {

/// What a result is read beside, in the order of every table. The names are a contract.
enum class Baseline : std::uint8_t {
  kMajority,
  kRandom,
  kAlwaysTie,
  kPromptOnly,
  kImageOnly,
  kClipCosine,
  kOracle,
};
inline constexpr std::size_t kBaselineCount = 7;
inline constexpr std::array<std::string_view, kBaselineCount> kBaselineNames = {
    "majority", "random", "always_tie", "prompt_only", "image_only", "clip_cosine", "oracle"};
[[nodiscard]] std::string_view baseline_definition(Baseline baseline) noexcept;

/// The rows of the vector tables behind the items of a SplitTruth, parallel to its arrays.
struct SplitRows {
  std::vector<std::uint32_t> point_image, point_text;
  std::vector<std::uint32_t> pair_image_a, pair_image_b, pair_text;
  std::vector<std::uint32_t> candidate_image, candidate_text;
};
struct SplitData {
  SplitTruth truth;
  SplitRows rows;
};

/// An encoder's vectors, float32 [rows, dim] each; dim 0 of one that has none.
struct Vectors {
  std::size_t dim = 0;
  std::span<const float> images;
  std::span<const float> texts;
};

using UtilityFunction = std::function<double(std::uint32_t image, std::uint32_t text)>;
/// The utilities of a split's pairs and candidates.
[[nodiscard]] Predictions predict_preferences(const SplitData& data, const UtilityFunction& utility);

/// One baseline: what it predicts (empty for the random one, which is worked out, not drawn) and how it fares.
struct BaselineResult {
  Predictions predictions;
  Measurement measurement;
  double pickscore_threshold = 0.0;
};
using BaselineResults = std::array<BaselineResult, kBaselineCount>;
[[nodiscard]] inline const BaselineResult& at(const BaselineResults& results, Baseline baseline) {
  return results[static_cast<std::size_t>(baseline)];
}

/// All baselines. Those that learn do so on `train`; what they choose, they choose on `validation`.
/// @param oracle  the true utility, where it is known for every pair and candidate of `measured`; else empty.
/// Without training points the learnt ones are null, without vectors those and the cosine; without validation pairs
/// PickScore's threshold is 0.
[[nodiscard]] BaselineResults measure_baselines(const Vectors& vectors, const SplitData& train,
                                                const SplitData& validation, const SplitData& measured,
                                                const UtilityFunction& oracle, const Bootstrap& bootstrap);

/// The baseline's measurement with brier, log_loss and ece of pairs' winners in the place of those of labels, as a
/// report on a pair loss needs them: a baseline that tells no two images apart states 0.5, CLIP's cosine what its scale
/// of 100 makes of the difference, and the others state nothing of pairs.
[[nodiscard]] Measurement measurement_on_pairs(Baseline baseline, const BaselineResult& result, const SplitTruth& truth,
                                               const Bootstrap& bootstrap);

/// The expected result of answering at random: labels uniformly, utilities in a random order without ties. In closed
/// form, so without intervals; macro_f1 is that of the expected confusion matrix.
[[nodiscard]] Measurement random_measurement(const SplitTruth& truth);

/// PickScore's threshold for a predictor, from its predictions on validation; 0 where there are none.
[[nodiscard]] double threshold_from_validation(const SplitTruth& validation, const Predictions& predictions);

}  // namespace imagerank::evaluation
