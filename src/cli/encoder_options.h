#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "clip/encoder.h"
#include "reward/reward.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank::cli {

/// "cpu" | "cuda". @throws Error kInvalidArgument.
[[nodiscard]] clip::Device device_of(const std::string& name);

/// The encoder that the options named, and how to find it again.
struct NamedEncoder {
  scoring::SharedEncoder encoder;
  nlohmann::json record;  ///< encoder, model, precision, tokenizer, encoder_untrained: what rewards say of theirs
};
/// @param model  "builtin/sample" or a folder. @param tokenizer  a folder, or "" for the model's own.
/// @throws Error as clip::Encoder::load.
[[nodiscard]] NamedEncoder load_named_encoder(const std::string& model, const std::string& precision,
                                              const std::string& device, const std::string& tokenizer,
                                              bool allow_untrained);

/// The encoder that a reward stands on, as the reward uses it. @throws Error as clip::Encoder::load and
/// blip::CrossEncoder::load; kRefused if it is another than the reward was trained on; kInvalidArgument for a
/// cross-encoder on another device than the CPU.
[[nodiscard]] NamedEncoder load_needed_encoder(const reward::EncoderNeed& need, const std::string& device,
                                               bool allow_untrained);

}  // namespace imagerank::cli
