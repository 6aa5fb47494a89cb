#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "clip/encoder.h"
#include "reward/reward.h"

namespace imagerank::scoring {

/// A reward and the encoder that it was trained on. Rewards of one encoder may share it.
struct RewardedEncoder {
  reward::Reward reward;
  std::shared_ptr<const clip::Encoder> encoder;
};

/// Where the encoder of a reward is, if not where the reward recorded it; empty: as recorded.
struct EncoderPlace {
  std::string model;      ///< a name or a folder
  std::string tokenizer;  ///< folder of its tokenizer
};

/// @param known  an encoder that is loaded already, taken if it is the reward's; or null.
/// @throws Error kNotFound (reward or model missing), kCorruptData, kInvalidArgument where the reward does not say
/// where
///   its encoder is, kRefused if the model found is not the one that the reward was trained on, naming both.
[[nodiscard]] RewardedEncoder load_rewarded_encoder(const std::filesystem::path& reward_folder,
                                                    const EncoderPlace& place,
                                                    std::shared_ptr<const clip::Encoder> known = nullptr);

}  // namespace imagerank::scoring
