#pragma once

#include "onnx/graph.h"
#include "reward/reward.h"

namespace imagerank::onnx {

struct ScoreValues {
  Value score;          ///< float32 [N]
  Value probabilities;  ///< float32 [N, classes] of a classifier, else ""
};

/// A reward's head, with what prepares its input: rounding through float16, as cached vectors are, then the scaler.
/// @param image, text  float32 [N, dim], as the towers give them. @throws Error kUnavailable for a head that has no
/// such graph, by its name.
[[nodiscard]] ScoreValues add_head(Graph& graph, const reward::RewardParts& parts, const Value& image,
                                   const Value& text);

}  // namespace imagerank::onnx
