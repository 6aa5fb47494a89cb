#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/safetensors.h"

namespace imagerank {

/// weight . x + bias.
struct LinearFunction {
  std::vector<double> weight;  ///< [inputs]
  double bias = 0.0;
};

/// Linear layers one behind the other, with nothing between them, folded into one in float64.
/// @param prefixes  of the layers' "weight" [outputs, inputs] and "bias" [outputs] in `tensors`, first layer first; the
/// last has one output. All of them are there. @param place  their file.
/// @throws Error kCorruptData: shapes that do not fit each other, numbers that are integers or not finite.
[[nodiscard]] LinearFunction fold_linear_layers(const std::map<std::string, TensorView>& tensors,
                                                const std::vector<std::string>& prefixes,
                                                const std::filesystem::path& place);

}  // namespace imagerank
