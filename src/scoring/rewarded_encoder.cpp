#include "scoring/rewarded_encoder.h"

#include <algorithm>

#include "clip/models.h"
#include "core/fail.h"
#include "reward/published_scorers.h"

namespace imagerank::scoring {
namespace {

bool is_same(const clip::EncoderOptions& a, const clip::EncoderOptions& b) {
  return a.precision == b.precision && a.tokenizer_dir == b.tokenizer_dir && a.text_cleaning == b.text_cleaning &&
         a.rules == b.rules && (a.need_tokenizer || !b.need_tokenizer);
}

}  // namespace

EncoderPlace place_for(const std::filesystem::path& reward, EncoderPlace place) {
  const auto* const scorer = reward::find_scorer(reward.string());
  if (scorer == nullptr || !scorer->own_antialias) place.hps_antialias = std::nullopt;
  return place;
}

clip::EncoderOptions whole_options(const reward::EncoderNeed& need) {
  clip::EncoderOptions options = need.options;
  options.allow_untrained = true;  // callers warn; who trained a reward on it has been warned before
  options.need_tokenizer = need.reads_text;
  if (!need.scorer.empty() && options.tokenizer_dir.empty()) {
    try {
      options.tokenizer_dir = reward::find_clip_tokenizer(need.scorer, need.model);
    } catch (const Error& error) {
      if (need.reads_text || error.code() != ErrorCode::kNotFound) throw;
    }
  }
  return options;
}

SharedEncoder EncoderShelf::find_or_load(const reward::EncoderNeed& need, const std::string& title) {
  if (need.model.empty()) {
    fail(ErrorCode::kInvalidArgument, "reward {}: it does not say where its encoder {} is; give --model", title,
         need.encoder.empty() ? fmt::format("(of vectors of {} numbers)", need.dim) : need.encoder);
  }
  clip::EncoderOptions options = whole_options(need);
  const std::string model = clip::resolve_weights(need.model).string();
  const auto known = std::ranges::find_if(
      shelved_, [&](const Shelved& shelved) { return shelved.model == model && is_same(shelved.options, options); });
  SharedEncoder encoder = known == shelved_.end() ? nullptr : known->encoder;
  if (encoder == nullptr) {
    const auto& folder = options.tokenizer_dir;
    options.need_tokenizer =
        options.need_tokenizer ||  // another reward of this encoder may read texts
        !clip::find_tokenizer_files(folder.empty() ? std::filesystem::path(model) : folder).empty();
    encoder = std::make_shared<const clip::Encoder>(clip::Encoder::load(need.model, options));
    shelved_.push_back({model, options, encoder});
  }
  // A published head does not name its encoder: the dimension, which is checked, is all there is to compare.
  if (!need.encoder.empty() && encoder->name() != need.encoder) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing", title,
         need.encoder, need.model, encoder->name());
  }
  if (encoder->dim() != need.dim) {
    fail(ErrorCode::kCorruptData, "reward {}: takes vectors of dimension {}, its encoder gives {}", title, need.dim,
         encoder->dim());
  }
  return encoder;
}

RewardedEncoder load_rewarded_encoder(const std::filesystem::path& reward, const EncoderPlace& place,
                                      EncoderShelf& shelf) {
  RewardedEncoder loaded{reward::Reward::load(reward, place), {}};
  for (const reward::EncoderNeed& need : loaded.reward.needs()) {
    loaded.encoders.push_back(shelf.find_or_load(need, reward.string()));
  }
  return loaded;
}

}  // namespace imagerank::scoring
