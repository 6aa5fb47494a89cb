#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace imagerank::test {

template <typename T>
struct OnnxTensor {
  std::vector<std::int64_t> dims;
  std::vector<T> values;
};
using OnnxFloats = OnnxTensor<float>;
using OnnxIntegers = OnnxTensor<std::int64_t>;

/// What ONNX Runtime (installed by scripts/bootstrap.sh) makes of a model file: its outputs, all float32, by name.
/// @throws std::runtime_error with its words if it refuses the file or the inputs.
std::map<std::string, OnnxFloats> run_onnx(const std::filesystem::path& model,
                                           const std::map<std::string, OnnxFloats>& floats,
                                           const std::map<std::string, OnnxIntegers>& integers = {});

}  // namespace imagerank::test
