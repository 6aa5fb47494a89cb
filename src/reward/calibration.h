#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "reward/examples.h"

namespace imagerank::reward {

/// A score difference as a probability: p(a over b) = sigmoid(d / temperature - tie_width), p(b over a) the same of -d,
/// a tie the rest (Rao, Kupper 1967). Without ties the width is 0.
struct PairCalibration {
  double temperature = 1.0;  ///< > 0
  double tie_width = 0.0;    ///< >= 0
  double log_loss = 0.0;     ///< mean over the pairs it was fitted on, by weight
};

/// The likeliest temperature and width for pairs of score differences and labels (p_a as everywhere: 0.5 a tie, 0.75
/// half a win and half a tie). One imaginary undecided pair keeps the temperature finite where every pair is right.
/// @return nullopt without strict pairs, with equal scores, or where the order of the scores does not help: the
/// likeliest temperature is then infinite.
/// Convex in 1 / temperature and width: Newton's method with halved steps.
[[nodiscard]] std::optional<PairCalibration> calibrate_pairs(std::span<const double> differences,
                                                             std::span<const float> p_a,
                                                             std::span<const float> weights);

/// Scores of rows (image, text) of the examples.
using ScoreRows =
    std::function<std::vector<float>(std::span<const std::uint32_t> images, std::span<const std::uint32_t> texts)>;

/// The record's "calibration": fitted on the validation split. {"temperature", "tie_width", "log_loss", "pairs"} (null
/// where there is none) and {"mean", "standard_deviation", "rows"} of the score over the split's images and prompts,
/// each once (null without rows).
[[nodiscard]] nlohmann::json calibrate(const Examples& examples, const ScoreRows& score);

}  // namespace imagerank::reward
