#include "cli/encoder_options.h"

#include <filesystem>
#include <utility>

#include "clip/published.h"
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

NamedEncoder load_named_encoder(const std::string& model, const std::string& precision, const std::string& device,
                                const std::string& tokenizer, bool allow_untrained) {
  clip::EncoderOptions options;
  options.precision = precision_of(precision);
  options.device = device_of(device);
  options.tokenizer_dir = tokenizer;
  options.allow_untrained = allow_untrained;
  auto encoder = clip::Encoder::load(model, options);
  // A model with a name is found from anywhere by it, a folder only by its whole path.
  const std::optional<std::string> cached = clip::cached_model_name(encoder.folder());
  nlohmann::json record = {
      {"encoder", encoder.name()},
      {"model", model.starts_with("builtin/") ? model : cached.value_or(encoder.folder().string())},
      {"precision", precision},
      {"tokenizer", tokenizer.empty() ? "" : std::filesystem::canonical(tokenizer).string()},
      {"encoder_untrained", encoder.untrained()}};
  return {std::move(encoder), std::move(record)};
}

}  // namespace imagerank::cli
