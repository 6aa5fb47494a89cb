#include "cli/encoder_options.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "clip/engine.h"
#include "clip/published.h"
#include "core/fail.h"

namespace imagerank::cli {

clip::Device device_of(const std::string& name) {
  if (name == "cpu") return clip::Device::kCpu;
  if (name == "cuda") return clip::Device::kCuda;
  fail(ErrorCode::kInvalidArgument, "--device: expected cpu or cuda, found '{}'", name);
}

namespace {

NamedEncoder load_with(const std::string& model, const clip::EncoderOptions& options) {
  auto encoder = clip::Encoder::load(model, options);
  // A model with a name is found from anywhere by it, a folder only by its whole path.
  const std::optional<std::string> cached = clip::cached_model_name(encoder.folder());
  const std::filesystem::path& tokenizer = options.tokenizer_dir;
  nlohmann::json record = {
      {"encoder", encoder.name()},
      {"model", model.starts_with("builtin/") ? model : cached.value_or(encoder.folder().string())},
      {"precision", clip::precision_name(options.precision)},
      {"tokenizer", tokenizer.empty() ? "" : std::filesystem::canonical(tokenizer).string()},
      {"encoder_untrained", encoder.untrained()}};
  return {{std::make_shared<const clip::Encoder>(std::move(encoder)), nullptr}, std::move(record)};
}

NamedEncoder load_cross(const reward::EncoderNeed& need, const std::string& device) {
  if (device_of(device) != clip::Device::kCpu) {
    fail(ErrorCode::kInvalidArgument, "--device: expected cpu, on which {} runs, found {}", need.scorer, device);
  }
  auto encoder = std::make_shared<const blip::CrossEncoder>(blip::CrossEncoder::load(scoring::cross_place(need)));
  const blip::CrossPlace& place = encoder->place();
  nlohmann::json record = {{"encoder", encoder->name()},
                           {"model", std::filesystem::absolute(place.weights).lexically_normal().string()},
                           {"precision", "fp32"},
                           {"tokenizer", std::filesystem::canonical(place.vocabulary.parent_path()).string()},
                           {"encoder_untrained", encoder->untrained()}};
  return {{nullptr, std::move(encoder)}, std::move(record)};
}

}  // namespace

NamedEncoder load_named_encoder(const std::string& model, const std::string& precision, const std::string& device,
                                const std::string& tokenizer, bool allow_untrained) {
  clip::EncoderOptions options;
  options.precision = clip::parse_precision(precision);
  options.device = device_of(device);
  options.tokenizer_dir = tokenizer;
  options.allow_untrained = allow_untrained;
  return load_with(model, options);
}

NamedEncoder load_needed_encoder(const reward::EncoderNeed& need, const std::string& device, bool allow_untrained) {
  const bool cross = need.kind == reward::EncoderKind::kCross;
  if (need.model.empty()) {
    fail(ErrorCode::kInvalidArgument, "--reward: this one does not say where its encoder is; expected --model");
  }
  const auto load_towers = [&] {
    clip::EncoderOptions options = scoring::whole_options(need);
    options.need_tokenizer = true;  // a workspace's prompts are encoded too
    options.device = device_of(device);
    options.allow_untrained = allow_untrained;
    return load_with(need.model, options);
  };
  NamedEncoder named = cross ? load_cross(need, device) : load_towers();
  if (!need.encoder.empty() && need.encoder != named.encoder.name()) {
    fail(ErrorCode::kRefused, "--reward: trained on encoder {}, but {} is {}", need.encoder, need.model,
         named.encoder.name());
  }
  return named;
}

}  // namespace imagerank::cli
