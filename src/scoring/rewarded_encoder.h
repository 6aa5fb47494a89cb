#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clip/encoder.h"
#include "reward/reward.h"

namespace imagerank::scoring {

using reward::EncoderPlace;
using SharedEncoder = std::shared_ptr<const clip::Encoder>;

/// A reward and the encoders that it stands on.
struct RewardedEncoder {
  reward::Reward reward;
  std::vector<SharedEncoder> encoders;  ///< one for each of reward.needs(); one may serve several
};

/// Encoders that are loaded once, whichever rewards ask for them. Not thread-safe.
class EncoderShelf {
 public:
  /// @param title  the reward's place, for messages. @throws Error as load_rewarded_encoder.
  [[nodiscard]] SharedEncoder find_or_load(const reward::EncoderNeed& need, const std::string& title);

 private:
  struct Shelved {
    std::string model;
    clip::EncoderOptions options;
    SharedEncoder encoder;
  };
  std::vector<Shelved> shelved_;
};

/// What of an option of several rewards goes to one of them: hps_antialias to HPSv2 and v2.1 only.
[[nodiscard]] EncoderPlace place_for(const std::filesystem::path& reward, EncoderPlace place);

/// The need's options with what they leave open filled in: a published scorer's tokenizer. @throws Error kNotFound.
[[nodiscard]] clip::EncoderOptions whole_options(const reward::EncoderNeed& need);

/// @param reward  as Reward::load takes it. @throws Error kNotFound (reward or model missing), kCorruptData,
/// kInvalidArgument where the reward does not say where its encoder is, kRefused if the model found is not the one that
/// the reward was trained on, naming both.
[[nodiscard]] RewardedEncoder load_rewarded_encoder(const std::filesystem::path& reward, const EncoderPlace& place,
                                                    EncoderShelf& shelf);

}  // namespace imagerank::scoring
