#include "reward/reward.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/safetensors.h"
#include "reward/inference.h"
#include "reward/reward_files.h"

namespace imagerank::reward {
namespace {

constexpr int kFormat = 1;
constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;
// float32 products round differently with a row's place in its batch and the number of threads. In float64 that stays
// far below what the final float32 can show, so a row scores the same bits wherever it stands.
constexpr at::ScalarType kScoringType = at::kDouble;
constexpr const char* kMeanName = "scaler.mean";
constexpr const char* kInverseName = "scaler.inverse_deviation";

std::string weights_key(const SafetensorsFile& file) {
  const auto found = file.metadata().find("key");
  return found == file.metadata().end() ? std::string() : found->second;
}

nlohmann::json load_record(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail(ErrorCode::kNotFound, "reward {}: expected a folder with reward.json and reward.safetensors, found {}",
         folder.string(), std::filesystem::exists(folder, ignored) ? "a file (only folders are accepted)" : "nothing");
  }
  const std::filesystem::path path = record_path(folder);
  if (!std::filesystem::exists(path, ignored)) {
    fail(ErrorCode::kNotFound, "reward {}: expected reward.json in it, found none (`imagerank train` makes it)",
         folder.string());
  }
  nlohmann::json record = nlohmann::json::parse(load_file(path, kMaxRecordBytes), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) fail(ErrorCode::kCorruptData, "{}: expected a JSON object", path.string());
  return record;
}

template <typename T>
T field(const nlohmann::json& record, const char* name, const std::filesystem::path& path) {
  try {
    return record.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kCorruptData, "{}: expected a field '{}' of another type or at all", path.string(), name);
  }
}

std::vector<float> load_vector(const SafetensorsFile& file, const char* name, std::size_t size,
                               const std::filesystem::path& path) {
  const TensorView* const tensor = file.find(name);
  if (tensor == nullptr || tensor->element_count() != size) {
    fail(ErrorCode::kCorruptData, "{}: tensor {}: expected {} numbers, found {}", path.string(), name, size,
         tensor == nullptr ? 0 : tensor->element_count());
  }
  return tensor->to_float();
}

/// Rounded as the cache rounds it.
void round_through_half(std::span<const float> from, std::span<float> to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = float_from_half(half_from_float(from[i]));
}

}  // namespace

std::filesystem::path weights_path(const std::filesystem::path& folder) { return folder / "reward.safetensors"; }
std::filesystem::path record_path(const std::filesystem::path& folder) { return folder / "reward.json"; }

ParameterSource stored_parameters(const NamedValues& values, at::ScalarType type, std::string where) {
  return [&values, type, where = std::move(where)](const std::string& name, const std::vector<std::int64_t>& shape,
                                                   double) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    const auto found = values.find(name);
    if (found == values.end() || found->second.size() != size) {
      fail(ErrorCode::kCorruptData, "{}: tensor {}: expected {} numbers, found {}", where, name, size,
           found == values.end() ? 0 : found->second.size());
    }
    at::Tensor value = at::empty(shape, at::kFloat);
    std::ranges::copy(found->second, value.data_ptr<float>());
    return value.to(type);
  };
}

void save_reward(const std::filesystem::path& folder, const nlohmann::json& record, const Head& head,
                 const NamedValues& values, const Scaler& scaler) {
  std::map<std::string, TensorToWrite> tensors;
  for (const Parameter& parameter : head.parameters()) {
    tensors.emplace(parameter.name, float_tensor(values.at(parameter.name), parameter.value.sizes().vec()));
  }
  if (scaler.kind() == InputScaling::kStandardise) {
    const auto size = static_cast<std::int64_t>(scaler.mean().size());
    tensors.emplace(kMeanName, float_tensor(scaler.mean(), {size}));
    tensors.emplace(kInverseName, float_tensor(scaler.inverse_deviation(), {size}));
  }
  nlohmann::json whole = record;
  whole["format"] = kFormat;
  write_safetensors(weights_path(folder), tensors, {{"key", record.at("key").get<std::string>()}});
  write_file_atomically(record_path(folder), whole.dump(2) + "\n");
}

std::optional<nlohmann::json> find_finished(const std::filesystem::path& folder, const std::string& key) {
  try {
    nlohmann::json record = load_record(folder);
    if (record.value("key", "") != key || record.value("format", 0) != kFormat) return std::nullopt;
    if (weights_key(SafetensorsFile(weights_path(folder))) != key) return std::nullopt;
    return record;
  } catch (const Error&) {  // nothing there, or nothing usable: it is trained again
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

struct Reward::State {
  nlohmann::json record;
  std::string head_name, loss_name, encoder, model;
  Loss loss = Loss::kMse;
  std::int32_t class_count = 0;
  std::size_t dim = 0;
  std::int64_t hidden = 0, rank = 0;
  std::unique_ptr<Head> head;
  Scaler scaler;
};

Reward::Reward(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reward::Reward(Reward&&) noexcept = default;
Reward& Reward::operator=(Reward&&) noexcept = default;
Reward::~Reward() = default;

Reward Reward::load(const std::filesystem::path& folder) {
  auto state = std::make_unique<State>();
  state->record = load_record(folder);
  const nlohmann::json& record = state->record;
  const std::filesystem::path path = record_path(folder);
  if (const int format = field<int>(record, "format", path); format != kFormat) {
    fail(ErrorCode::kCorruptData, "{}: expected format {}, found {}", path.string(), kFormat, format);
  }
  state->head_name = field<std::string>(record, "head", path);
  state->loss_name = field<std::string>(record, "loss", path);
  state->encoder = field<std::string>(record, "encoder", path);
  state->model = field<std::string>(record, "model", path);
  state->class_count = field<std::int32_t>(record, "class_count", path);
  const auto dim = field<std::int64_t>(record, "dim", path);
  const auto hidden = field<std::int64_t>(record, "hidden", path);
  const auto rank = field<std::int64_t>(record, "rank", path);
  if (state->class_count < 2 || state->class_count > 3) {
    fail(ErrorCode::kCorruptData, "{}: class_count: expected 2 or 3, found {}", path.string(), state->class_count);
  }
  const SafetensorsFile weights(weights_path(folder));
  if (weights_key(weights) != field<std::string>(record, "key", path)) {
    fail(ErrorCode::kCorruptData, "reward {}: reward.json and reward.safetensors are of two trainings; run train again",
         folder.string());
  }
  NamedValues values;
  for (const auto& [name, tensor] : weights.tensors()) values.emplace(name, tensor.to_float());
  try {
    state->loss = parse_loss(state->loss_name);
    const HeadKind& kind = head_kind(state->head_name);
    check_loss(kind, state->loss, state->class_count);
    state->head = make_head({.head = state->head_name,
                             .dim = dim,
                             .outputs = output_count(state->loss, state->class_count),
                             .hidden = hidden,
                             .rank = rank},
                            stored_parameters(values, kScoringType, weights_path(folder).string()));
    state->dim = static_cast<std::size_t>(dim);
    state->hidden = hidden;
    state->rank = rank;
    state->scaler = kind.scaling == InputScaling::kUnitLength
                        ? Scaler::unit_length(state->dim)
                        : Scaler::standardise(load_vector(weights, kMeanName, 2 * state->dim, weights_path(folder)),
                                              load_vector(weights, kInverseName, 2 * state->dim, weights_path(folder)));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    // What is a bad option elsewhere is a bad file here.
    fail(ErrorCode::kCorruptData, "{}: {}", path.string(), error.what());
  }
  return Reward(std::move(state));
}

Scores Reward::score(std::span<const float> images, std::span<const float> texts, std::size_t count) const {
  const std::size_t dim = state_->dim;
  if (images.size() != count * dim || texts.size() != count * dim) {
    fail(ErrorCode::kInvalidArgument,
         "reward: expected {} image and text vectors of dimension {}, found {} and {} numbers", count, dim,
         images.size(), texts.size());
  }
  const auto fill = [&](std::size_t begin, std::size_t end, float* out) {
    for (std::size_t i = begin; i < end; ++i, out += 2 * dim) {
      const std::span<float> image(out, dim);
      const std::span<float> text(out + dim, dim);
      round_through_half(images.subspan(i * dim, dim), image);
      round_through_half(texts.subspan(i * dim, dim), text);
      state_->scaler.prepare_image(image, image);
      state_->scaler.prepare_text(text, text);
    }
  };
  try {
    const auto outputs = static_cast<std::size_t>(output_count(state_->loss, state_->class_count));
    return scores_from_outputs(state_->loss, state_->class_count, run_head(*state_->head, dim, outputs, count, fill));
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "reward: scoring {} rows: {}", count, error.what_without_backtrace());
  }
}

RewardParts Reward::parts() const {
  RewardParts parts;
  parts.head = state_->head_name;
  parts.loss = state_->loss;
  parts.class_count = state_->class_count;
  parts.dim = static_cast<std::int64_t>(state_->dim);
  parts.outputs = output_count(state_->loss, state_->class_count);
  parts.hidden = state_->hidden;
  parts.rank = state_->rank;
  parts.scaling = state_->scaler.kind();
  parts.mean = state_->scaler.mean();
  parts.inverse_deviation = state_->scaler.inverse_deviation();
  for (const Parameter& parameter : state_->head->parameters()) {
    const at::Tensor values = parameter.value.detach().to(at::kFloat).contiguous();
    const auto* const first = values.data_ptr<float>();
    parts.values.emplace(parameter.name, std::vector<float>(first, first + values.numel()));
  }
  return parts;
}

std::size_t Reward::dim() const noexcept { return state_->dim; }
const std::string& Reward::head() const noexcept { return state_->head_name; }
const std::string& Reward::loss() const noexcept { return state_->loss_name; }
bool Reward::is_classifier() const noexcept { return is_classification(state_->loss); }
std::int32_t Reward::class_count() const noexcept { return state_->class_count; }
const std::string& Reward::encoder() const noexcept { return state_->encoder; }
const std::string& Reward::model() const noexcept { return state_->model; }
const nlohmann::json& Reward::record() const noexcept { return state_->record; }

}  // namespace imagerank::reward
