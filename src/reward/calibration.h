#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "reward/examples.h"

namespace imagerank::reward {

/// A score difference d as probabilities, p(a over b) : p(b over a) : p(tie) = e^(x/2) : e^(-x/2) : e^(w/2) with
/// x = d / temperature and w the width of ties (Davidson 1970). Where one of the two is preferred it is a with
/// sigmoid(x), and a tie is the likeliest outcome while |x| < w.
struct PairCalibration {
  double temperature = 1.0;         ///< > 0
  std::optional<double> tie_width;  ///< none without ties
  double log_loss = 0.0;            ///< mean over the pairs it was fitted on, by weight
};

/// The likeliest temperature for the pairs with a winner, then the likeliest width for all (p_a as everywhere: 0.5 a
/// tie, 0.75 half a win and half a tie). The winners alone decide the temperature: ties come about in their own way,
/// and fitted with them it made rewards less sure of winners than they were right. One imaginary undecided pair keeps
/// the temperature finite where every pair is right.
/// @return nullopt without strict pairs, with equal scores, or where the order of the scores does not help: the
/// likeliest temperature is then infinite.
[[nodiscard]] std::optional<PairCalibration> calibrate_pairs(std::span<const double> differences,
                                                             std::span<const float> p_a,
                                                             std::span<const float> weights);

/// Scores of rows (image, text) of the examples.
using ScoreRows =
    std::function<std::vector<float>(std::span<const std::uint32_t> images, std::span<const std::uint32_t> texts)>;

/// The record's "calibration": fitted on the validation split. {"temperature", "tie_width", "log_loss", "pairs"} (null
/// without strict pairs or ties) and {"mean", "standard_deviation", "rows"} of the score over the split's images and
/// prompts, each once (null without rows).
[[nodiscard]] nlohmann::json calibrate(const Examples& examples, const ScoreRows& score);

}  // namespace imagerank::reward
