#pragma once

#include "clip/weight_reader.h"
#include "onnx/graph.h"

namespace imagerank::onnx {

/// CLIP's vision tower. @param pixels  float32 [N, 3, S, S], normalised. @param reader  outlives the graph.
/// @return float32 [N, E], not of unit length.
[[nodiscard]] Value add_vision_tower(Graph& graph, const clip::WeightReader& reader, const Value& pixels);

/// CLIP's text tower, pooled as the model's config says. @param tokens  int64 [N, T], T at most the context; what
/// stands behind the pooled token has no influence. @return float32 [N, E].
[[nodiscard]] Value add_text_tower(Graph& graph, const clip::WeightReader& reader, const Value& tokens);

}  // namespace imagerank::onnx
