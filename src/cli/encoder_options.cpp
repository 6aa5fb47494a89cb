#include "cli/encoder_options.h"

#include "core/fail.h"

namespace imagerank::cli {

clip::Precision precision_of(const std::string& name) {
  if (name == "fp32") return clip::Precision::kFp32;
  if (name == "bf16") return clip::Precision::kBf16;
  if (name == "int8") return clip::Precision::kInt8;
  fail(ErrorCode::kInvalidArgument, "--precision: expected fp32, bf16 or int8, found '{}'", name);
}

clip::Device device_of(const std::string& name) {
  if (name == "cpu") return clip::Device::kCpu;
  if (name == "cuda") return clip::Device::kCuda;
  fail(ErrorCode::kInvalidArgument, "--device: expected cpu or cuda, found '{}'", name);
}

}  // namespace imagerank::cli
