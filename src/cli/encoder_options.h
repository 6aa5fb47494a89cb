#pragma once

#include <string>

#include "clip/encoder.h"

namespace imagerank::cli {

/// "fp32" | "bf16" | "int8". @throws Error kInvalidArgument.
[[nodiscard]] clip::Precision precision_of(const std::string& name);
/// "cpu" | "cuda". @throws Error kInvalidArgument.
[[nodiscard]] clip::Device device_of(const std::string& name);

}  // namespace imagerank::cli
