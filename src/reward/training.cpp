#include "reward/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "core/fail.h"
#include "core/random.h"
#include "reward/batch.h"
#include "reward/losses.h"
#include "reward/optimizer.h"
#include "reward/reward_files.h"
#include "reward/validation.h"
#include "reward/wide_linear.h"
#include "reward/work_crew.h"

namespace imagerank::reward {
namespace {

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
  }
}

void check_one_of(const char* name, const std::string& value, std::initializer_list<std::string_view> known) {
  if (std::ranges::find(known, value) == known.end()) {
    fail(ErrorCode::kInvalidArgument, "{}: expected one of {}, found '{}'", name, fmt::join(known, ", "), value);
  }
}

void check_prompts(const PromptClassification& prompts) {
  check_range("--prompt-loss", prompts.weight, 0, 1000);
  check_range("--prompt-temperature", prompts.temperature, 1e-3, 1000);
  check_range("--wrong-prompts", prompts.wrong_count, 1, 1000);
}

}  // namespace

Settings check_options(const TrainOptions& options, std::int32_t class_count) {
  Settings settings;
  settings.kind = &head_kind(options.head);
  settings.loss = parse_loss(options.loss);
  check_loss(*settings.kind, settings.loss, class_count);
  check_one_of("--optimizer", options.optimizer, {"adamw", "adam"});
  check_one_of("--schedule", options.schedule, {"cosine", "linear", "constant"});
  // Where decay is part of the gradient, the heads' own, which are for AdamW, would be far too strong.
  const double own_decay = options.optimizer == "adam" ? 0.0 : settings.kind->weight_decay;
  settings.learning_rate = options.learning_rate.value_or(settings.kind->learning_rate);
  settings.weight_decay = options.weight_decay.value_or(own_decay);
  settings.dropout = options.dropout.value_or(settings.kind->dropout);
  check_range("--epochs", options.epochs, 1, 10000);
  check_range("--batch", options.batch, 1, 65536);
  check_range("--lr", settings.learning_rate, 1e-9, 10);
  check_range("--weight-decay", settings.weight_decay, 0, 10);
  check_range("--dropout", settings.dropout, 0, 0.95);
  check_range("--hidden", static_cast<double>(options.hidden), 1, 65536);
  check_range("--rank", static_cast<double>(options.rank), 1, 65536);
  check_range("--layers", static_cast<double>(options.layers), 1, 64);
  check_range("--warm-up", options.warm_up, 0, 1);
  check_range("--clip-norm", options.clip_norm, 0, 1e9);
  check_range("--patience", options.patience, 0, 10000);
  check_range("--ensemble", options.ensemble, 1, 64);
  check_range("--label-smoothing", options.label_smoothing, 0, 0.9);
  if (options.label_smoothing > 0.0 && settings.loss == Loss::kMse) {
    fail(ErrorCode::kInvalidArgument, "--label-smoothing: loss mse has no probabilities to smooth");
  }
  check_prompts(options.prompts);
  return settings;
}

nlohmann::json options_json(const TrainOptions& options, const Settings& settings) {
  const PromptClassification& prompts = options.prompts;
  return {{"head", options.head},
          {"loss", options.loss},
          {"epochs", options.epochs},
          {"batch", options.batch},
          {"lr", settings.learning_rate},
          {"weight_decay", settings.weight_decay},
          {"dropout", settings.dropout},
          {"hidden", options.hidden},
          {"rank", options.rank},
          {"layers", options.layers},
          {"limit", options.limit},
          {"seed", options.seed},
          {"optimizer", options.optimizer},
          {"schedule", options.schedule},
          {"warm_up", options.warm_up},
          {"clip_norm", options.clip_norm},
          {"bf16", options.bfloat16},
          {"patience", options.patience},
          {"label_smoothing", options.label_smoothing},
          {"class_weights", options.weighting.class_weights},
          {"balanced", options.weighting.balanced},
          {"per_prompt", options.weighting.per_prompt},
          {"prompt_loss", prompts.weight},
          {"prompt_temperature", prompts.temperature},
          {"wrong_prompts", prompts.wrong_count},
          {"prompt_logits", prompts.logits},
          {"ensemble", options.ensemble}};
}

Training::Training(const Examples& examples, const TrainOptions& options, const Settings& settings,
                   const RunContext& context)
    : examples_(examples),
      options_(options),
      settings_(settings),
      context_(context),
      set_(make_training_set(examples, settings.kind->scaling, settings.loss, options.weighting, options.limit,
                             options.seed)),
      shape_{.head = options.head,
             .dim = static_cast<std::int64_t>(set_.scaler.dim()),
             .outputs = output_count(settings.loss, examples.class_count),
             .hidden = options.hidden,
             .rank = options.rank,
             .layers = options.layers},
      head_(make_head(shape_, random_parameters(options.seed))),
      objective_({.loss = settings.loss,
                  .class_count = examples.class_count,
                  .label_smoothing = options.label_smoothing,
                  .prompts = options.prompts},
                 random_parameters(options.seed)) {
  examples.images.expect_scattered_reads();
  examples.texts.expect_scattered_reads();
  if (options.prompts.weight > 0.0 && examples.wrong_texts.empty()) {
    fail(ErrorCode::kNotFound,
         "--prompt-loss: expected wrong prompts with vectors, found none; run `imagerank perturb`, then `encode`");
  }
}

std::vector<Parameter*> Training::parameters() {
  std::vector<Parameter*> all;
  for (Parameter& parameter : head_->parameters()) all.push_back(&parameter);
  for (Parameter& parameter : objective_.parameters()) all.push_back(&parameter);
  return all;
}

NamedValues Training::current_parameters() {
  NamedValues values;
  for (const Parameter* const parameter : parameters()) {
    const auto* const data = parameter->value.data_ptr<float>();
    values.emplace(parameter->name, std::vector<float>(data, data + parameter->value.numel()));
  }
  return values;
}

int Training::resume(const std::filesystem::path& folder, const std::string& key) {
  const NamedValues start = current_parameters();
  if (auto found = find_checkpoint(folder, key, start)) {
    state_ = std::move(*found);
    const ParameterSource stored = stored_parameters(state_.parameters, at::kFloat, checkpoint_path(folder).string());
    head_ = make_head(shape_, stored);
    objective_ = Objective(objective_.options(), stored);
    return state_.epoch;
  }
  for (const auto& [name, values] : start) {
    state_.first_moments[name].assign(values.size(), 0.0F);
    state_.second_moments[name].assign(values.size(), 0.0F);
  }
  return 0;
}

void Training::run(const std::filesystem::path& folder, const std::string& key) {
  std::optional<EventFile> events;
  if (!options_.tensorboard.empty()) events.emplace(options_.tensorboard, state_.history);
  while (!is_over()) {
    const auto started = std::chrono::steady_clock::now();
    const EpochLoss loss = run_epoch();
    finish_epoch(loss, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    save_checkpoint(folder, key, state_);
    if (events) events->add_epoch(state_.history.back());
  }
}

bool Training::is_over() const {
  if (state_.epoch >= options_.epochs) return true;
  return options_.patience > 0 && state_.epoch > 0 && set_.validation.size() > 0 &&
         state_.epoch - state_.best_epoch >= options_.patience;
}

void Training::finish_epoch(const EpochLoss& loss, double seconds) {
  const auto started = std::chrono::steady_clock::now();
  const Validation validation = validate(*head_, objective_, examples_, set_);
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  ++state_.epoch;
  state_.parameters = current_parameters();
  if (!validation.loss || state_.best_epoch == 0 || *validation.loss < state_.best_loss) {
    state_.best = state_.parameters;
    state_.best_epoch = state_.epoch;
    state_.best_loss = validation.loss.value_or(0.0);
    state_.collapse = validation.collapse;
  }
  state_.seconds += seconds;
  nlohmann::json epoch = {{"epoch", state_.epoch},
                          {"loss", loss.loss},
                          {"validation", validation.metrics},
                          {"lr", settings_.learning_rate * schedule()},
                          {"seconds", seconds}};
  if (loss.prompt_loss) epoch["prompt_loss"] = *loss.prompt_loss;
  state_.history.push_back(std::move(epoch));
  report(state_.epoch * steps_per_epoch(), loss.loss, validation.loss);
}

std::int64_t Training::steps_per_epoch() const {
  const auto batch = static_cast<std::size_t>(options_.batch);
  return static_cast<std::int64_t>((set_.train.size() + batch - 1) / batch);
}

void Training::report(std::int64_t steps, double loss, std::optional<double> validation_loss) const {
  context_.report({.stage = "train " + options_.head,
                   .done = static_cast<std::uint64_t>(steps),
                   .total = static_cast<std::uint64_t>(steps_per_epoch() * options_.epochs),
                   .note = validation_loss ? fmt::format("epoch {} loss {:.4f} validation {:.4f}", state_.epoch, loss,
                                                         *validation_loss)
                                           : fmt::format("epoch {} loss {:.4f}", state_.epoch + 1, loss)});
}

Training::EpochLoss Training::run_epoch() {
  std::vector<std::uint32_t> order(set_.train.size());
  std::iota(order.begin(), order.end(), 0U);
  // The epoch's own streams: a resumed run draws what an uninterrupted one would have drawn.
  const auto epoch = static_cast<std::uint64_t>(state_.epoch);
  Random(options_.seed, 2 * epoch).shuffle(order);
  Random random(options_.seed, 2 * epoch + 1);
  const auto size = static_cast<std::size_t>(options_.batch);
  const auto units_at = [&](std::size_t begin) {
    return std::span(order).subspan(std::min(begin, order.size()),
                                    std::min(size, order.size() - std::min(begin, order.size())));
  };
  const ProductsIn format(options_.bfloat16 ? kernels::Format::kBf16 : kernels::Format::kFp32);
  constexpr std::size_t kBatchesAhead = 8;
  const bool reads_ahead = !examples_.images.is_resident() || !examples_.texts.is_resident();
  EpochLoss sums;
  double rows = 0.0;
  for (std::size_t begin = 0; begin < order.size(); begin += size) {
    context_.check_stop();
    if (reads_ahead) prefetch(units_at(begin + kBatchesAhead * size));
    Batch batch = make_batch(examples_, set_.train, units_at(begin));
    if (options_.prompts.weight > 0.0) {
      add_wrong_prompts(examples_, set_.train, units_at(begin), static_cast<std::size_t>(options_.prompts.wrong_count),
                        random, batch);
    }
    step(batch_loss(batch, random, sums));
    rows += static_cast<double>(batch.unit_count());
    if (begin / size % 64 == 63) report(state_.step, sums.loss / rows, std::nullopt);
  }
  sums.loss /= rows;
  if (sums.prompt_loss) *sums.prompt_loss /= rows;
  return sums;
}

/// Adds the batch's losses, times its units, to `sums`.
at::Tensor Training::batch_loss(const Batch& batch, Random& random, EpochLoss& sums) const {
  at::Tensor input = at::empty({static_cast<std::int64_t>(batch.images.size()), 2 * shape_.dim}, at::kFloat);
  set_.gather(batch.images, batch.texts, input.data_ptr<float>());
  const at::Tensor outputs = head_->forward(input, {settings_.dropout, &random});
  const at::Tensor loss = objective_.total(outputs, batch);
  const double value = loss.item<float>();
  if (!std::isfinite(value)) fail_at_unfinite(outputs.detach(), batch);
  const auto units = static_cast<double>(batch.unit_count());
  sums.loss += value * units;
  if (options_.prompts.weight > 0.0) {
    const at::NoGradGuard guard;
    const double of_prompts =
        batch.right_rows.empty() ? 0.0 : objective_.prompt_losses(outputs, batch).mean().item<float>();
    sums.prompt_loss = sums.prompt_loss.value_or(0.0) + of_prompts * units;
  }
  return loss;
}

void Training::fail_at_unfinite(const at::Tensor& outputs, const Batch& batch) const {
  const at::NoGradGuard guard;
  const at::Tensor finite = at::isfinite(outputs).all(1).contiguous();
  std::size_t row = 0;
  while (row + 1 < batch.images.size() && finite.data_ptr<bool>()[row]) ++row;
  const auto name = [](const auto& names, std::uint32_t index) {
    return names ? names(index) : fmt::format("{}", index);
  };
  fail(ErrorCode::kInvalidArgument,
       "train: the loss is no longer finite in epoch {} (image {}, prompt {}): use a smaller --lr than {}; {}",
       state_.epoch + 1, name(examples_.image_name, batch.images[row]), name(examples_.text_name, batch.texts[row]),
       settings_.learning_rate,
       state_.epoch == 0 ? "no epoch was finished" : fmt::format("the checkpoint of epoch {} is kept", state_.epoch));
}

/// What the gradients are multiplied with so that their norm is at most --clip-norm.
double Training::clip_factor(const std::vector<Parameter*>& parameters) const {
  if (options_.clip_norm <= 0.0) return 1.0;
  double squares = 0.0;
  for (const Parameter* const parameter : parameters) {
    const at::Tensor& gradient = parameter->value.grad();
    if (gradient.defined()) squares += gradient.to(at::kDouble).square().sum().item<double>();
  }
  const double norm = std::sqrt(squares);
  return norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
}

void Training::step(const at::Tensor& loss) {
  loss.backward();
  ++state_.step;
  const std::vector<Parameter*> all = parameters();
  const AdamStep plain{.learning_rate = settings_.learning_rate * schedule(),
                       .decoupled = options_.optimizer == "adamw",
                       .gradient_factor = clip_factor(all),
                       .step = state_.step};
  AdamStep decayed = plain;
  decayed.weight_decay = settings_.weight_decay;
  std::vector<Update> updates;
  for (Parameter* const parameter : all) {
    at::Tensor& gradient = parameter->value.mutable_grad();
    if (!gradient.defined()) continue;
    updates.push_back({parameter->decay ? &decayed : &plain, parameter, gradient.contiguous()});
    gradient.reset();  // the next backward then hands its own over instead of adding to this one
  }
  apply(updates);
}

/// All of them in one round of the crew.
void Training::apply(const std::vector<Update>& updates) {
  constexpr double kOfANumber = 3e-4;  // microseconds
  double microseconds = 0.0;
  for (const Update& update : updates) microseconds += kOfANumber * static_cast<double>(update.gradient.numel());
  share(microseconds, [&](std::size_t piece) {
    for (const auto& [settings, parameter, gradient] : updates) {
      const auto size = static_cast<std::size_t>(gradient.numel());
      const auto [begin, count] = piece_of(size, piece);
      adam_update(*settings, std::span(parameter->value.data_ptr<float>(), size).subspan(begin, count),
                  std::span(state_.first_moments.at(parameter->name)).subspan(begin, count),
                  std::span(state_.second_moments.at(parameter->name)).subspan(begin, count),
                  std::span<const float>(gradient.data_ptr<float>(), size).subspan(begin, count));
    }
  });
}

double Training::schedule() const {
  const auto total = static_cast<double>(steps_per_epoch() * options_.epochs);
  const auto now = static_cast<double>(state_.step);
  const double warm_up = options_.warm_up > 0.0 ? std::max(1.0, options_.warm_up * total) : 0.0;
  if (now < warm_up) return now / warm_up;
  if (options_.schedule == "constant") return 1.0;
  const double rest = std::min(1.0, (now - warm_up) / std::max(1.0, total - warm_up));
  // The floor keeps the very last steps, and a training of one step, from being lost.
  return std::max(0.01, options_.schedule == "linear" ? 1.0 - rest : 0.5 * (1.0 + std::cos(std::numbers::pi * rest)));
}

void Training::prefetch(std::span<const std::uint32_t> units) const {
  if (units.empty()) return;
  const Batch batch = make_batch(examples_, set_.train, units);
  for (const std::uint32_t row : batch.images) examples_.images.prefetch(row);
  for (const std::uint32_t row : batch.texts) examples_.texts.prefetch(row);
}

}  // namespace imagerank::reward
