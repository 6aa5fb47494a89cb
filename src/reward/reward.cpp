#include "reward/reward.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <system_error>
#include <utility>

#include "core/fail.h"
#include "core/half.h"
#include "reward/inference.h"
#include "reward/published_head.h"
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

}  // namespace

struct Reward::State {
  nlohmann::json record;
  std::string head_name, loss_name, encoder, model;
  Loss loss = Loss::kMse;
  std::int32_t class_count = 0;
  std::size_t dim = 0;
  HeadShape shape;
  std::vector<Member> members;  ///< none of a published head
  std::optional<PublishedHead> published;

  [[nodiscard]] Scores score(const Member& member, std::span<const float> images, std::span<const float> texts,
                             std::size_t count) const;
};

Reward::Reward(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reward::Reward(Reward&&) noexcept = default;
Reward& Reward::operator=(Reward&&) noexcept = default;
Reward::~Reward() = default;

Reward Reward::load(const std::filesystem::path& folder) {
  if (std::error_code ignored; std::filesystem::is_regular_file(folder, ignored)) {
    auto state = std::make_unique<State>();
    try {
      state->published = load_published_head(folder);
    } catch (const Error& error) {
      fail(error.code(), "reward: expected a folder with reward.json, or a published head's file: {}", error.what());
    }
    state->head_name = "published";
    state->dim = state->published->weight.size();
    state->record = nlohmann::json::object();
    return Reward(std::move(state));
  }
  nlohmann::json record = load_record(folder);
  (void)field<std::string>(record, "key", record_path(folder).string());
  return from_tensors(std::move(record), load_tensors(folder), folder.string());
}

Reward Reward::from_tensors(nlohmann::json stored, const StoredTensors& tensors, const std::string& folder) {
  auto state = std::make_unique<State>();
  state->record = std::move(stored);
  const nlohmann::json& record = state->record;
  const std::string where = record_path(folder).string();
  state->head_name = field<std::string>(record, "head", where);
  state->loss_name = field<std::string>(record, "loss", where);
  state->encoder = field<std::string>(record, "encoder", where);
  state->model = field<std::string>(record, "model", where);
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
    state->loss = parse_loss(state->loss_name);
    const HeadKind& kind = head_kind(state->head_name);
    check_loss(kind, state->loss, state->class_count);
    shape.outputs = output_count(state->loss, state->class_count);
    state->dim = static_cast<std::size_t>(shape.dim);
    const std::string weights = weights_path(folder).string();
    for (int k = 0; k < ensemble; ++k) {
      const NamedValues values = member_values(tensors, member_prefix(k, ensemble));
      Member member;
      member.head = make_head(shape, stored_parameters(values, kScoringType, weights));
      member.scaler = stored_scaler(values, kind.scaling, state->dim, weights);
      if (ensemble > 1 && gives_utility(state->loss)) {
        const auto members = field<std::vector<nlohmann::json>>(record, "members", where);
        if (members.size() != static_cast<std::size_t>(ensemble)) {
          fail(ErrorCode::kCorruptData, "{}: members: expected {}, found {}", where, ensemble, members.size());
        }
        member.centre = field_or<double>(members[static_cast<std::size_t>(k)], "centre", 0.0, where);
      }
      state->members.push_back(std::move(member));
    }
    state->shape = std::move(shape);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    // What is a bad option elsewhere is a bad file here.
    fail(ErrorCode::kCorruptData, "{}: {}", where, error.what());
  }
  return Reward(std::move(state));
}

Scores Reward::State::score(const Member& member, std::span<const float> images, std::span<const float> texts,
                            std::size_t count) const {
  const auto fill = [&](std::size_t begin, std::size_t end, float* out) {
    for (std::size_t i = begin; i < end; ++i, out += 2 * dim) {
      const std::span<float> image(out, dim);
      const std::span<float> text(out + dim, dim);
      round_through_half(images.subspan(i * dim, dim), image);
      round_through_half(texts.subspan(i * dim, dim), text);
      member.scaler.prepare_image(image, image);
      member.scaler.prepare_text(text, text);
    }
  };
  const auto outputs = static_cast<std::size_t>(output_count(loss, class_count));
  return scores_from_outputs(loss, class_count, run_head(*member.head, dim, outputs, count, fill));
}

Scores Reward::score(std::span<const float> images, std::span<const float> texts, std::size_t count) const {
  const std::size_t dim = state_->dim;
  if (images.size() != count * dim || (texts.size() != count * dim && (reads_text() || !texts.empty()))) {
    fail(ErrorCode::kInvalidArgument,
         "reward: expected {} image and text vectors of dimension {}, found {} and {} numbers", count, dim,
         images.size(), texts.size());
  }
  if (state_->published) {
    Scores scores;
    for (std::size_t i = 0; i < count; ++i) {
      scores.score.push_back(static_cast<float>(state_->published->score(images.subspan(i * dim, dim))));
    }
    return scores;
  }
  try {
    std::vector<Scores> said;
    for (const Member& member : state_->members) said.push_back(state_->score(member, images, texts, count));
    return said.size() == 1 ? std::move(said.front()) : combine(said, state_->members);
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "reward: scoring {} rows: {}", count, error.what_without_backtrace());
  }
}

RewardParts Reward::parts() const {
  if (state_->members.size() != 1) {
    fail(ErrorCode::kUnavailable, "reward: expected one trained head, found {}",
         state_->published ? "a published one" : "an ensemble");
  }
  const Member& member = state_->members.front();
  RewardParts parts;
  parts.head = state_->head_name;
  parts.loss = state_->loss;
  parts.class_count = state_->class_count;
  parts.dim = state_->shape.dim;
  parts.outputs = state_->shape.outputs;
  parts.hidden = state_->shape.hidden;
  parts.rank = state_->shape.rank;
  parts.scaling = member.scaler.kind();
  parts.mean = member.scaler.mean();
  parts.inverse_deviation = member.scaler.inverse_deviation();
  for (const Parameter& parameter : member.head->parameters()) {
    const at::Tensor values = parameter.value.detach().to(at::kFloat).contiguous();
    const auto* const first = values.data_ptr<float>();
    parts.values.emplace(parameter.name, std::vector<float>(first, first + values.numel()));
  }
  return parts;
}

std::size_t Reward::dim() const noexcept { return state_->dim; }
int Reward::ensemble() const noexcept { return std::max(1, static_cast<int>(state_->members.size())); }
const std::string& Reward::head() const noexcept { return state_->head_name; }
const std::string& Reward::loss() const noexcept { return state_->loss_name; }
bool Reward::is_classifier() const noexcept { return is_classification(state_->loss); }
bool Reward::is_utility() const noexcept { return state_->published || gives_utility(state_->loss); }
bool Reward::reads_text() const noexcept { return !state_->published; }
std::int32_t Reward::class_count() const noexcept { return state_->class_count; }
const std::string& Reward::encoder() const noexcept { return state_->encoder; }
const std::string& Reward::model() const noexcept { return state_->model; }
const nlohmann::json& Reward::record() const noexcept { return state_->record; }

}  // namespace imagerank::reward
