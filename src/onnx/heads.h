#pragma once

#include "onnx/graph.h"
#include "reward/reward.h"

namespace imagerank::onnx {

struct ScoreValues {
  Value score;          ///< float32 [N]
  Value probabilities;  ///< float32 [N, classes] of a classifier, else ""
  Value deviation;      ///< float32 [N] of an ensemble, as reward::Scores has it, else ""
};

/// What makes a reward's scores, with what prepares its input: rounding through float16, as cached vectors are, then
/// the scaler; a published head takes vectors as they are.
/// @param image, text  float32 [N, dim], as the towers give them; text may be "" for a published head.
/// @throws Error kUnavailable for a head that has no such graph, by its name.
[[nodiscard]] ScoreValues add_scores(Graph& graph, const reward::RewardParts& parts, const Value& image,
                                     const Value& text);

}  // namespace imagerank::onnx
