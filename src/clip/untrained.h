#pragma once

#include "clip/model_config.h"
#include "clip/parameter_reader.h"
#include "clip/weight_reader.h"

namespace imagerank::clip {

/// Whether a model's weights cannot be told from independent random numbers: the largest singular value of every
/// layer's fc1 and fc2 is within 12 % of what random numbers of the same spread give, s (sqrt(rows) + sqrt(columns)).
/// Training leaves directions that stand far out of that; no initialisation does.
/// Source: the edge of the Marchenko-Pastur law; Martin and Mahoney 2021 on trained networks' spectra.
[[nodiscard]] bool weights_look_random(const WeightReader& weights);
/// The same of two towers, whose "vision.layer<i>." and "text.layer<i>." have fc1_weight and fc2_weight.
[[nodiscard]] bool weights_look_random(const ParameterReader& read, const TowerConfig& vision, const TowerConfig& text);

}  // namespace imagerank::clip
