#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "blip/cross_encoder.h"
#include "clip/encoder.h"
#include "reward/reward.h"

namespace imagerank::scoring {

using reward::EncoderPlace;

/// A loaded encoder: the one or the other, as EncoderNeed::kind says.
struct SharedEncoder {
  std::shared_ptr<const clip::Encoder> towers;
  std::shared_ptr<const blip::CrossEncoder> cross;

  [[nodiscard]] const std::string& name() const noexcept { return towers ? towers->name() : cross->name(); }
  [[nodiscard]] bool untrained() const noexcept { return towers ? towers->untrained() : cross->untrained(); }
  bool operator==(const SharedEncoder&) const = default;
};

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
  [[nodiscard]] SharedEncoder load_towers(const reward::EncoderNeed& need, const std::string& title);
  [[nodiscard]] SharedEncoder load_cross(const reward::EncoderNeed& need);
  std::vector<Shelved> shelved_;
};

/// What of an option of several rewards goes to one of them: hps_antialias to HPSv2 and v2.1 only.
[[nodiscard]] EncoderPlace place_for(const std::filesystem::path& reward, EncoderPlace place);

/// Where the parts of a cross-encoder are that a reward needs. @throws Error kNotFound: one line that says which file,
/// where to, and what pulls it.
[[nodiscard]] blip::CrossPlace cross_place(const reward::EncoderNeed& need);

/// The need's options with what they leave open filled in: a published scorer's tokenizer. @throws Error kNotFound.
[[nodiscard]] clip::EncoderOptions whole_options(const reward::EncoderNeed& need);

/// @param reward  as Reward::load takes it. @throws Error kNotFound (reward or model missing), kCorruptData,
/// kInvalidArgument where the reward does not say where its encoder is, kRefused if the model found is not the one that
/// the reward was trained on, naming both.
[[nodiscard]] RewardedEncoder load_rewarded_encoder(const std::filesystem::path& reward, const EncoderPlace& place,
                                                    EncoderShelf& shelf);

}  // namespace imagerank::scoring
