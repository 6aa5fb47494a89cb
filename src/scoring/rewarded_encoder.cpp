#include "scoring/rewarded_encoder.h"

#include <utility>

#include "core/fail.h"

namespace imagerank::scoring {
namespace {

clip::Encoder load_encoder(const reward::Reward& reward, const std::filesystem::path& folder,
                           const EncoderPlace& place) {
  const std::string model = place.model.empty() ? reward.model() : place.model;
  if (model.empty()) {
    fail(ErrorCode::kInvalidArgument, "reward {}: it does not say where its encoder {} is; give --model",
         folder.string(),
         reward.encoder().empty() ? fmt::format("(of vectors of {} numbers)", reward.dim()) : reward.encoder());
  }
  clip::EncoderOptions options;
  options.precision = clip::parse_precision(reward.record().value("precision", "fp32"));
  options.allow_untrained = true;  // callers warn; who trained a reward on it has been warned before
  const bool same_place = place.model.empty() || place.model == reward.model();
  options.tokenizer_dir =
      place.tokenizer.empty() && same_place ? reward.record().value("tokenizer", "") : place.tokenizer;
  options.need_tokenizer = reward.reads_text();
  clip::Encoder encoder = clip::Encoder::load(model, options);
  // A published head does not name its encoder: the dimension, which is checked, is all there is to compare.
  if (!reward.encoder().empty() && encoder.name() != reward.encoder()) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing",
         folder.string(), reward.encoder(), model, encoder.name());
  }
  return encoder;
}

}  // namespace

RewardedEncoder load_rewarded_encoder(const std::filesystem::path& reward_folder, const EncoderPlace& place,
                                      std::shared_ptr<const clip::Encoder> known) {
  reward::Reward reward = reward::Reward::load(reward_folder);
  std::shared_ptr<const clip::Encoder> encoder =
      known != nullptr && known->name() == reward.encoder()
          ? std::move(known)
          : std::make_shared<const clip::Encoder>(load_encoder(reward, reward_folder, place));
  if (encoder->dim() != reward.dim()) {
    fail(ErrorCode::kCorruptData, "reward {}: takes vectors of dimension {}, its encoder gives {}",
         reward_folder.string(), reward.dim(), encoder->dim());
  }
  return {std::move(reward), std::move(encoder)};
}

}  // namespace imagerank::scoring
