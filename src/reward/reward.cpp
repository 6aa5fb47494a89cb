#include "reward/reward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include "core/fail.h"
#include "core/half.h"
#include "reward/inference.h"
#include "reward/mixture.h"
#include "reward/published_head.h"
#include "reward/published_scorers.h"
#include "reward/reward_files.h"

namespace imagerank::reward {
namespace {

// float32 products round differently with a row's place in its batch and the number of threads. In float64 that stays
// far below what the final float32 can show, so a row scores the same bits wherever it stands.
constexpr at::ScalarType kScoringType = at::kDouble;
constexpr int kMostMembers = 64;

template <typename T>
T field(const nlohmann::json& record, const char* name, const std::string& where) {
  try {
    return record.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kCorruptData, "{}: expected a field '{}' of another type or at all", where, name);
  }
}

template <typename T>
T field_or(const nlohmann::json& record, const char* name, T otherwise, const std::string& where) {
  return record.contains(name) ? field<T>(record, name, where) : otherwise;
}

/// Rounded as the cache rounds it.
void round_through_half(std::span<const float> from, std::span<float> to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = float_from_half(half_from_float(from[i]));
}

struct Member {
  std::unique_ptr<Head> head;
  Scaler scaler;
  double centre = 0.0;  ///< what is taken off before members are compared
};

/// The tensors of one member, by their names in a head.
NamedValues member_values(const StoredTensors& tensors, const std::string& prefix) {
  NamedValues values;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) values.emplace(name.substr(prefix.size()), tensor.values);
  }
  return values;
}

/// Means over the members, and the deviation of their centred scores.
Scores combine(const std::vector<Scores>& said, const std::vector<Member>& members) {
  const auto count = static_cast<double>(said.size());
  Scores result = said.front();
  result.deviation.resize(result.score.size());
  for (std::size_t i = 0; i < result.score.size(); ++i) {
    double sum = 0.0;
    double centred = 0.0;
    double squares = 0.0;
    for (std::size_t k = 0; k < said.size(); ++k) {
      const double value = said[k].score[i];
      sum += value;
      centred += value - members[k].centre;
      squares += (value - members[k].centre) * (value - members[k].centre);
    }
    result.score[i] = static_cast<float>(sum / count);
    const double variance = squares / count - centred / count * (centred / count);
    result.deviation[i] = static_cast<float>(std::sqrt(std::max(variance, 0.0)));
  }
  for (std::size_t i = 0; i < result.probabilities.size(); ++i) {
    double sum = 0.0;
    for (const Scores& one : said) sum += one.probabilities[i];
    result.probabilities[i] = static_cast<float>(sum / count);
  }
  return result;
}

/// Each vector [dim]. One of length 0 gives NaN.
float cosine_score(const CosineRule& rule, std::span<const float> image, std::span<const float> text) {
  double product = 0.0, image_square = 0.0, text_square = 0.0;
  for (std::size_t i = 0; i < image.size(); ++i) {
    const double a = float_from_half(half_from_float(image[i])), b = float_from_half(half_from_float(text[i]));
    product += a * b;
    image_square += a * a;
    text_square += b * b;
  }
  const double cosine = product / std::sqrt(image_square * text_square);
  return static_cast<float>(rule.scale * (rule.positive && cosine < 0.0 ? 0.0 : cosine));
}

/// The cross-encoder's number itself.
struct PairScore {};

}  // namespace

struct Reward::State {
  nlohmann::json record = nlohmann::json::object();
  std::string head_name, loss_name;
  Loss loss = Loss::kMse;
  std::int32_t class_count = 0;
  HeadShape shape;
  std::vector<EncoderNeed> needs;
  std::variant<std::vector<Member>, PublishedHead, CosineRule, PairScore, Mixture>
      kind;  ///< members: a head, or an ensemble's

  [[nodiscard]] std::size_t dim() const { return needs.front().dim; }
  [[nodiscard]] bool is_trained() const { return kind.index() == 0; }
  [[nodiscard]] const std::vector<Member>& members() const { return std::get<0>(kind); }
  [[nodiscard]] Scores score(const Member& member, const VectorBlock& block, std::size_t count) const;
  [[nodiscard]] Scores score_trained(const VectorBlock& block, std::size_t count) const;
  [[nodiscard]] HeadParts parts_of(const Member& member) const;

  static std::unique_ptr<State> of_file(const std::filesystem::path& file, const EncoderPlace& encoder);
  static std::unique_ptr<State> of_scorer(const PublishedScorer& scorer, const EncoderPlace& encoder);
  static std::unique_ptr<State> of_mixture(nlohmann::json record, const std::filesystem::path& folder,
                                           const EncoderPlace& encoder);
  void set_published_head(const std::filesystem::path& file);
};

Reward::Reward(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reward::Reward(Reward&&) noexcept = default;
Reward& Reward::operator=(Reward&&) noexcept = default;
Reward::~Reward() = default;

void Reward::State::set_published_head(const std::filesystem::path& file) {
  PublishedHead head = load_published_head(file);
  const PublishedScorer* const promised = find_scorer_of_head(file.filename().string());
  if (promised != nullptr && head.weight.size() != promised->dim) {
    fail(ErrorCode::kCorruptData, "{}: expected the head of {}, of {} numbers, as its name says, found one of {}",
         file.string(), promised->title, promised->dim, head.weight.size());
  }
  head_name = "published";
  needs.front().dim = head.weight.size();
  needs.front().reads_text = false;
  kind = std::move(head);
}

std::unique_ptr<Reward::State> Reward::State::of_file(const std::filesystem::path& file, const EncoderPlace& encoder) {
  auto state = std::make_unique<State>();
  EncoderNeed& need = state->needs.emplace_back();
  need.model = encoder.model;
  need.options.tokenizer_dir = encoder.tokenizer;
  try {
    state->set_published_head(file);
  } catch (const Error& error) {
    fail(error.code(), "reward: expected a folder with reward.json, or a published head's file: {}", error.what());
  }
  return state;
}

std::unique_ptr<Reward::State> Reward::State::of_scorer(const PublishedScorer& scorer, const EncoderPlace& encoder) {
  auto state = std::make_unique<State>();
  state->record = {{"scorer", scorer.name}, {"title", scorer.title}, {"source", scorer.source}};
  EncoderNeed& need = state->needs.emplace_back();
  need.scorer = scorer.name;
  need.dim = scorer.dim;
  need.reads_text = scorer.reads_text();
  need.options.tokenizer_dir = encoder.tokenizer;
  need.options.text_cleaning = scorer.text_cleaning;
  need.options.rules = {.text_prefix = std::string(scorer.text_prefix),
                        .resize = scorer.resize,
                        .crop_rounding = scorer.crop_rounding,
                        .antialias = std::nullopt};
  if (scorer.own_antialias) {
    need.options.rules.antialias = encoder.hps_antialias.value_or(false);
  } else if (encoder.hps_antialias) {
    fail(ErrorCode::kInvalidArgument, "--hps-antialias: expected hpsv2 or hpsv2.1, found {}", scorer.name);
  }
  need.model = encoder.model;
  if (scorer.rule == ScoreRule::kCross) {
    if (need.model.empty()) need.model = find_scorer_model(scorer);
    need.kind = EncoderKind::kCross;
    state->head_name = "cross";
    state->kind = PairScore{};
    return state;
  }
  // A head alone scores vectors; whoever encodes asks for the encoder.
  if (need.model.empty() && scorer.rule != ScoreRule::kLinearHead) {
    const bool any_clip = scorer.rule == ScoreRule::kClipScore;
    need.model = any_clip ? std::string(scorer.encoder.repository) : find_scorer_model(scorer);
  }
  if (scorer.rule == ScoreRule::kLinearHead) {
    if (need.model.empty()) need.model = scorer.encoder.repository;
    state->set_published_head(find_scorer_head(scorer));
    return state;
  }
  state->head_name = "cosine";
  if (!encoder.model.empty()) need.dim = read_model_dim(need.model);
  CosineRule rule;
  if (scorer.rule == ScoreRule::kClipScore) rule = {.scale = 2.5, .positive = true};
  if (scorer.rule == ScoreRule::kScaledCosine) rule.scale = read_score_scale(need.model);
  state->record["scale"] = rule.scale;
  state->kind = rule;
  return state;
}

std::unique_ptr<Reward::State> Reward::State::of_mixture(nlohmann::json record, const std::filesystem::path& folder,
                                                         const EncoderPlace& encoder) {
  auto state = std::make_unique<State>();
  Mixture mixture(parse_mixture(record, record_path(folder).string()), folder, encoder);
  state->head_name = "mixture";
  state->needs = mixture.needs();
  state->record = std::move(record);
  state->kind = std::move(mixture);
  return state;
}

Reward Reward::load(const std::filesystem::path& place, const EncoderPlace& encoder) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(place, ignored) && !encoder.hps_antialias) {
    return Reward(State::of_file(place, encoder));
  }
  if (!std::filesystem::exists(place, ignored)) {
    if (const auto* const scorer = find_scorer(place.string())) return Reward(State::of_scorer(*scorer, encoder));
  }
  nlohmann::json record = load_record(place);
  const bool is_mixture = record.contains("head") && record["head"] == "mixture";
  if (encoder.hps_antialias && !is_mixture) {
    fail(ErrorCode::kInvalidArgument, "--hps-antialias: expected hpsv2 or hpsv2.1, found {}", place.string());
  }
  if (is_mixture) return Reward(State::of_mixture(std::move(record), place, encoder));
  (void)field<std::string>(record, "key", record_path(place).string());
  return from_tensors(std::move(record), load_tensors(place), place.string(), encoder);
}

namespace {

/// What a record says of its encoder, or what is said instead.
EncoderNeed recorded_need(const nlohmann::json& record, const EncoderPlace& encoder, const std::string& where) {
  EncoderNeed need;
  need.encoder = field<std::string>(record, "encoder", where);
  const auto recorded = field<std::string>(record, "model", where);
  need.model = encoder.model.empty() ? recorded : encoder.model;
  const bool same_place = need.model == recorded;
  need.options.precision = clip::parse_precision(field_or<std::string>(record, "precision", "fp32", where));
  need.options.tokenizer_dir = encoder.tokenizer.empty() && same_place
                                   ? field_or<std::string>(record, "tokenizer", "", where)
                                   : encoder.tokenizer;
  return need;
}

}  // namespace

Reward Reward::from_tensors(nlohmann::json stored, const StoredTensors& tensors, const std::string& folder,
                            const EncoderPlace& encoder) {
  auto state = std::make_unique<State>();
  state->record = std::move(stored);
  const nlohmann::json& record = state->record;
  const std::string where = record_path(folder).string();
  state->head_name = field<std::string>(record, "head", where);
  state->loss_name = field<std::string>(record, "loss", where);
  state->class_count = field<std::int32_t>(record, "class_count", where);
  HeadShape shape = {.head = state->head_name,
                     .dim = field<std::int64_t>(record, "dim", where),
                     .outputs = 1,
                     .hidden = field<std::int64_t>(record, "hidden", where),
                     .rank = field<std::int64_t>(record, "rank", where),
                     .layers = field_or<std::int64_t>(record, "layers", 3, where)};
  const int ensemble = field_or<int>(record, "ensemble", 1, where);
  if (state->class_count < 2 || state->class_count > 3) {
    fail(ErrorCode::kCorruptData, "{}: class_count: expected 2 or 3, found {}", where, state->class_count);
  }
  if (ensemble < 1 || ensemble > kMostMembers) {
    fail(ErrorCode::kCorruptData, "{}: ensemble: expected 1 to {}, found {}", where, kMostMembers, ensemble);
  }
  try {
    state->needs.push_back(recorded_need(record, encoder, where));
    state->loss = parse_loss(state->loss_name);
    const HeadKind& kind = head_kind(state->head_name);
    check_loss(kind, state->loss, state->class_count);
    shape.outputs = output_count(state->loss, state->class_count);
    state->needs.front().dim = static_cast<std::size_t>(shape.dim);
    std::vector<Member> members;
    const std::string weights = weights_path(folder).string();
    for (int k = 0; k < ensemble; ++k) {
      const NamedValues values = member_values(tensors, member_prefix(k, ensemble));
      Member member;
      member.head = make_head(shape, stored_parameters(values, kScoringType, weights));
      member.scaler = stored_scaler(values, kind.scaling, state->dim(), weights);
      if (ensemble > 1 && gives_utility(state->loss)) {
        const auto said = field<std::vector<nlohmann::json>>(record, "members", where);
        if (said.size() != static_cast<std::size_t>(ensemble)) {
          fail(ErrorCode::kCorruptData, "{}: members: expected {}, found {}", where, ensemble, said.size());
        }
        member.centre = field_or<double>(said[static_cast<std::size_t>(k)], "centre", 0.0, where);
      }
      members.push_back(std::move(member));
    }
    state->kind = std::move(members);
    state->shape = std::move(shape);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    // What is a bad option elsewhere is a bad file here.
    fail(ErrorCode::kCorruptData, "{}: {}", where, error.what());
  }
  return Reward(std::move(state));
}

Scores Reward::State::score(const Member& member, const VectorBlock& block, std::size_t count) const {
  const std::size_t size = dim();
  const auto fill = [&](std::size_t begin, std::size_t end, float* out) {
    for (std::size_t i = begin; i < end; ++i, out += 2 * size) {
      const std::span<float> image(out, size);
      const std::span<float> text(out + size, size);
      round_through_half(block.images.subspan(i * size, size), image);
      round_through_half(block.texts.subspan(i * size, size), text);
      member.scaler.prepare_image(image, image);
      member.scaler.prepare_text(text, text);
    }
  };
  const auto outputs = static_cast<std::size_t>(output_count(loss, class_count));
  return scores_from_outputs(loss, class_count, run_head(*member.head, size, outputs, count, fill));
}

Scores Reward::State::score_trained(const VectorBlock& block, std::size_t count) const {
  try {
    std::vector<Scores> said;
    for (const Member& member : members()) said.push_back(score(member, block, count));
    return said.size() == 1 ? std::move(said.front()) : combine(said, members());
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "reward: scoring {} rows: {}", count, error.what_without_backtrace());
  }
}

HeadParts Reward::State::parts_of(const Member& member) const {
  HeadParts parts;
  parts.head = head_name;
  parts.loss = loss;
  parts.class_count = class_count;
  parts.dim = shape.dim;
  parts.outputs = shape.outputs;
  parts.hidden = shape.hidden;
  parts.rank = shape.rank;
  parts.layers = shape.layers;
  parts.scaling = member.scaler.kind();
  parts.mean = member.scaler.mean();
  parts.inverse_deviation = member.scaler.inverse_deviation();
  for (const Parameter& parameter : member.head->parameters()) {
    const at::Tensor values = parameter.value.detach().to(at::kFloat).contiguous();
    const auto* const first = values.data_ptr<float>();
    parts.values.emplace(parameter.name, std::vector<float>(first, first + values.numel()));
  }
  parts.centre = member.centre;
  return parts;
}

Scores Reward::score(std::span<const float> images, std::span<const float> texts, std::size_t count) const {
  if (const std::string problem = vectors_problem(); !problem.empty()) {
    fail(ErrorCode::kInvalidArgument, "reward: expected one that scores vectors of one encoder, but {}", problem);
  }
  const std::array<VectorBlock, 1> block = {{{images, texts}}};
  return score(block, count);
}

Scores Reward::score(std::span<const VectorBlock> blocks, std::size_t count) const {
  const std::vector<EncoderNeed>& needs = state_->needs;
  if (blocks.size() != needs.size()) {
    fail(ErrorCode::kInvalidArgument, "reward: expected vectors of its {} encoders, found those of {}", needs.size(),
         blocks.size());
  }
  for (std::size_t i = 0; i < needs.size(); ++i) {
    const std::size_t dim = needs[i].dim;
    const auto& [images, texts, pairs] = blocks[i];
    const std::size_t numbers = needs[i].kind == EncoderKind::kCross ? count : 0;
    if (pairs.size() != numbers) {
      fail(ErrorCode::kInvalidArgument, "reward: expected {} numbers of image and prompt together, found {}", numbers,
           pairs.size());
    }
    if (images.size() != count * dim || (texts.size() != count * dim && (needs[i].reads_text || !texts.empty()))) {
      fail(ErrorCode::kInvalidArgument,
           "reward: expected {} image and text vectors of dimension {}, found {} and {} numbers", count, dim,
           images.size(), texts.size());
    }
  }
  if (state_->is_trained()) return state_->score_trained(blocks.front(), count);
  if (const auto* const mixture = std::get_if<Mixture>(&state_->kind)) return mixture->score(blocks, count);
  Scores scores;
  if (std::holds_alternative<PairScore>(state_->kind)) {
    scores.score.assign(blocks.front().pairs.begin(), blocks.front().pairs.end());
    return scores;
  }
  const std::size_t dim = state_->dim();
  const auto row = [&](std::span<const float> values, std::size_t i) { return values.subspan(i * dim, dim); };
  for (std::size_t i = 0; i < count; ++i) {
    const auto image = row(blocks.front().images, i);
    if (const auto* const head = std::get_if<PublishedHead>(&state_->kind)) {
      scores.score.push_back(static_cast<float>(head->score(image)));
    } else {
      scores.score.push_back(cosine_score(std::get<CosineRule>(state_->kind), image, row(blocks.front().texts, i)));
    }
  }
  return scores;
}

std::span<const EncoderNeed> Reward::needs() const noexcept { return state_->needs; }

std::string Reward::vectors_problem() const {
  const std::vector<EncoderNeed>& needs = state_->needs;
  if (needs.size() != 1) return fmt::format("it is a mixture on {} encoders", needs.size());
  return needs.front().kind == EncoderKind::kCross ? "it judges an image and its prompt together, and has no vectors"
                                                   : "";
}

RewardParts Reward::parts() const {
  if (const auto* const head = std::get_if<PublishedHead>(&state_->kind)) return *head;
  if (const auto* const rule = std::get_if<CosineRule>(&state_->kind)) return *rule;
  if (!state_->is_trained()) {
    fail(ErrorCode::kUnavailable, "reward: expected one that scores vectors by itself, found {}",
         state_->head_name == "mixture" ? "a mixture" : "a cross-encoder");
  }
  std::vector<HeadParts> heads;
  for (const Member& member : state_->members()) heads.push_back(state_->parts_of(member));
  return heads;
}

std::size_t Reward::dim() const noexcept { return state_->dim(); }
int Reward::ensemble() const noexcept { return state_->is_trained() ? static_cast<int>(state_->members().size()) : 1; }
const std::string& Reward::head() const noexcept { return state_->head_name; }
const std::string& Reward::loss() const noexcept { return state_->loss_name; }
bool Reward::is_classifier() const noexcept { return state_->is_trained() && is_classification(state_->loss); }
bool Reward::is_utility() const noexcept { return !state_->is_trained() || gives_utility(state_->loss); }
bool Reward::reads_text() const noexcept { return std::ranges::any_of(state_->needs, &EncoderNeed::reads_text); }
std::int32_t Reward::class_count() const noexcept { return state_->class_count; }
const std::string& Reward::encoder() const noexcept { return state_->needs.front().encoder; }
const std::string& Reward::model() const noexcept { return state_->needs.front().model; }
const nlohmann::json& Reward::record() const noexcept { return state_->record; }
const PublishedHead* Reward::published_head() const noexcept { return std::get_if<PublishedHead>(&state_->kind); }

}  // namespace imagerank::reward
