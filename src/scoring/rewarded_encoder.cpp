#include "scoring/rewarded_encoder.h"

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

blip::CrossPlace cross_place(const reward::EncoderNeed& need) {
  const reward::PublishedScorer& scorer = *reward::find_scorer(need.scorer);
  const std::filesystem::path weights = reward::find_scorer_weights(scorer, need.model);
  const std::filesystem::path& own = need.options.tokenizer_dir;
  const std::filesystem::path vocabulary = own.empty() ? reward::find_scorer_vocabulary(scorer, weights) : own;
  return {weights, vocabulary / scorer.vocabulary.file};
}

SharedEncoder EncoderShelf::load_cross(const reward::EncoderNeed& need) {
  const blip::CrossPlace place = cross_place(need);
  for (const Shelved& shelved : shelved_) {
    if (shelved.encoder.cross && shelved.encoder.cross->place() == place) return shelved.encoder;
  }
  SharedEncoder encoder{nullptr, std::make_shared<const blip::CrossEncoder>(blip::CrossEncoder::load(place))};
  shelved_.push_back({need.model, need.options, encoder});
  return encoder;
}

SharedEncoder EncoderShelf::find_or_load(const reward::EncoderNeed& need, const std::string& title) {
  const bool cross = need.kind == reward::EncoderKind::kCross;
  SharedEncoder encoder = cross ? load_cross(need) : load_towers(need, title);
  // A published head does not name its encoder: the dimension, which is checked, is all there is to compare.
  if (!need.encoder.empty() && encoder.name() != need.encoder) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing", title,
         need.encoder, need.model, encoder.name());
  }
  if (!cross && encoder.towers->dim() != need.dim) {
    fail(ErrorCode::kCorruptData, "reward {}: takes vectors of dimension {}, its encoder gives {}", title, need.dim,
         encoder.towers->dim());
  }
  return encoder;
}

SharedEncoder EncoderShelf::load_towers(const reward::EncoderNeed& need, const std::string& title) {
  if (need.model.empty()) {
    fail(ErrorCode::kInvalidArgument, "reward {}: it does not say where its encoder {} is; give --model", title,
         need.encoder.empty() ? fmt::format("(of vectors of {} numbers)", need.dim) : need.encoder);
  }
  clip::EncoderOptions options = whole_options(need);
  const std::string model = clip::resolve_weights(need.model).string();
  for (const Shelved& shelved : shelved_) {
    if (shelved.encoder.towers && shelved.model == model && is_same(shelved.options, options)) return shelved.encoder;
  }
  const auto& folder = options.tokenizer_dir;
  options.need_tokenizer = options.need_tokenizer ||  // another reward of this encoder may read texts
                           !clip::find_tokenizer_files(folder.empty() ? std::filesystem::path(model) : folder).empty();
  SharedEncoder encoder{std::make_shared<const clip::Encoder>(clip::Encoder::load(need.model, options)), nullptr};
  shelved_.push_back({model, options, encoder});
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
