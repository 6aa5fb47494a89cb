#pragma once

#include <functional>
#include <string>
#include <vector>

namespace imagerank::clip {

/// Gives a parameter's numbers, row-major, by its name in list_weights (clip/weight_reader.h).
using ParameterReader = std::function<std::vector<float>(const std::string& parameter)>;

}  // namespace imagerank::clip
