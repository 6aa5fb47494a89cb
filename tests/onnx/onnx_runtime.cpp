#include "onnx/onnx_runtime.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

#include "core/atomic_file.h"
#include "support/child_process.h"
#include "support/test_support.h"

namespace imagerank::test {
namespace {

/// The folder that holds node_modules.
std::filesystem::path installed_runtime() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(source_file(".deps"), error)) {
    if (entry.path().filename().string().starts_with("onnxruntime-") &&
        std::filesystem::exists(entry.path() / "complete"))
      return entry.path();
  }
  throw std::runtime_error("expected ONNX Runtime in .deps, found none: run scripts/bootstrap.sh");
}

template <typename T>
void add_input(nlohmann::json& inputs, const std::filesystem::path& folder, const std::string& name, const char* type,
               const OnnxTensor<T>& tensor) {
  const std::filesystem::path file = folder / (name + ".in");
  write_file_atomically(file, {reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(T)});
  inputs[name] = {{"type", type}, {"dims", tensor.dims}, {"file", file.string()}};
}

}  // namespace

std::map<std::string, OnnxFloats> run_onnx(const std::filesystem::path& model,
                                           const std::map<std::string, OnnxFloats>& floats,
                                           const std::map<std::string, OnnxIntegers>& integers) {
  const TemporaryFolder folder;
  nlohmann::json request = {{"model", model.string()}, {"out", folder.path().string()}};
  for (const auto& [name, tensor] : floats) add_input(request["inputs"], folder.path(), name, "float32", tensor);
  for (const auto& [name, tensor] : integers) add_input(request["inputs"], folder.path(), name, "int64", tensor);
  write_text(folder / "request.json", request.dump());
  const ChildResult run = run_child("/usr/bin/env", {"node", source_file("tests/onnx/run_onnx.mjs").string(),
                                                     installed_runtime().string(), folder / "request.json"});
  if (run.exit_code != 0) throw std::runtime_error("ONNX Runtime: " + run.err);
  std::map<std::string, OnnxFloats> outputs;
  const nlohmann::json shapes = nlohmann::json::parse(run.out);
  for (const auto& [name, dims] : shapes.items()) {
    const std::string bytes = load_file(folder / (name + ".f32"));
    OnnxFloats& output = outputs[name];
    output.dims = dims.get<std::vector<std::int64_t>>();
    output.values.resize(bytes.size() / sizeof(float));
    std::memcpy(output.values.data(), bytes.data(), bytes.size());
  }
  return outputs;
}

}  // namespace imagerank::test
