#include "reward/trainer.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/random.h"
#include "reward/checkpoint.h"
#include "reward/inference.h"
#include "reward/losses.h"
#include "reward/optimizer.h"
#include "reward/reward_files.h"
#include "reward/training_set.h"
#include "reward/validation.h"

namespace imagerank::reward {
namespace {

/// Raised when the same options would no longer give the same bytes.
constexpr int kTrainerVersion = 1;
constexpr double kWarmUpShare = 0.05;

/// Options with the head's defaults filled in.
struct Settings {
  const HeadKind* kind = nullptr;
  Loss loss = Loss::kMse;
  double learning_rate = 0.0;
  double weight_decay = 0.0;
  double dropout = 0.0;
};

Settings check_options(const TrainOptions& options, std::int32_t class_count) {
  Settings settings;
  settings.kind = &head_kind(options.head);
  settings.loss = parse_loss(options.loss);
  check_loss(*settings.kind, settings.loss, class_count);
  settings.learning_rate = options.learning_rate.value_or(settings.kind->learning_rate);
  settings.weight_decay = options.weight_decay.value_or(settings.kind->weight_decay);
  settings.dropout = options.dropout.value_or(settings.kind->dropout);
  const auto check = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
    }
  };
  check("--epochs", options.epochs, 1, 10000);
  check("--batch", options.batch, 1, 65536);
  check("--lr", settings.learning_rate, 1e-9, 10);
  check("--weight-decay", settings.weight_decay, 0, 10);
  check("--dropout", settings.dropout, 0, 0.95);
  check("--hidden", static_cast<double>(options.hidden), 1, 65536);
  check("--rank", static_cast<double>(options.rank), 1, 65536);
  return settings;
}

/// glibc hands a step's freed tensors back to the system and gets them again, page by page, in the next: two thirds of
/// a CNN's time. It keeps them from now on, in the whole process.
void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

nlohmann::json options_json(const TrainOptions& options, const Settings& settings) {
  return {{"head", options.head},        {"loss", options.loss},         {"epochs", options.epochs},
          {"batch", options.batch},      {"lr", settings.learning_rate}, {"weight_decay", settings.weight_decay},
          {"dropout", settings.dropout}, {"hidden", options.hidden},     {"rank", options.rank},
          {"limit", options.limit},      {"seed", options.seed}};
}

/// One training: a head, its optimiser and the rows.
class Trainer {
 public:
  Trainer(const Examples& examples, const TrainOptions& options, const Settings& settings, const RunContext& context)
      : examples_(examples),
        options_(options),
        settings_(settings),
        context_(context),
        set_(make_training_set(examples, settings.kind->scaling, settings.loss, options.limit, options.seed)),
        shape_{.head = options.head,
               .dim = static_cast<std::int64_t>(set_.scaler.dim()),
               .outputs = output_count(settings.loss, examples.class_count),
               .hidden = options.hidden,
               .rank = options.rank},
        head_(make_head(shape_, random_parameters(options.seed))) {}

  /// From the checkpoint in `folder`, or from the start. @return epochs that were done before.
  int resume(const std::filesystem::path& folder, const std::string& key) {
    const NamedValues start = current_parameters();
    if (auto found = find_checkpoint(folder, key, start)) {
      state_ = std::move(*found);
      head_ = make_head(shape_, stored_parameters(state_.parameters, at::kFloat, checkpoint_path(folder).string()));
      return state_.epoch;
    }
    for (const auto& [name, values] : start) {
      state_.first_moments[name].assign(values.size(), 0.0F);
      state_.second_moments[name].assign(values.size(), 0.0F);
    }
    return 0;
  }

  void run(const std::filesystem::path& folder, const std::string& key) {
    while (state_.epoch < options_.epochs) {
      const auto started = std::chrono::steady_clock::now();
      const double loss = run_epoch();
      const Validation validation = validate(*head_, settings_.loss, examples_, set_);
      ++state_.epoch;
      state_.parameters = current_parameters();
      const bool best = !validation.loss || state_.best_epoch == 0 || *validation.loss < state_.best_loss;
      if (best) {
        state_.best = state_.parameters;
        state_.best_epoch = state_.epoch;
        state_.best_loss = validation.loss.value_or(0.0);
        state_.collapse = validation.collapse;
      }
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
      state_.seconds += seconds;
      state_.history.push_back(
          {{"epoch", state_.epoch}, {"loss", loss}, {"validation", validation.metrics}, {"seconds", seconds}});
      report(state_.epoch * steps_per_epoch(), loss, validation.loss);
      save_checkpoint(folder, key, state_);
    }
  }

  [[nodiscard]] const TrainingState& state() const noexcept { return state_; }
  [[nodiscard]] const TrainingSet& set() const noexcept { return set_; }
  [[nodiscard]] const Head& head() const noexcept { return *head_; }

 private:
  [[nodiscard]] std::int64_t steps_per_epoch() const {
    const auto batch = static_cast<std::size_t>(options_.batch);
    return static_cast<std::int64_t>((set_.size() + batch - 1) / batch);
  }

  void report(std::int64_t steps, double loss, std::optional<double> validation_loss) const {
    context_.report({.stage = "train " + options_.head,
                     .done = static_cast<std::uint64_t>(steps),
                     .total = static_cast<std::uint64_t>(steps_per_epoch() * options_.epochs),
                     .note = validation_loss ? fmt::format("epoch {} loss {:.4f} validation {:.4f}", state_.epoch, loss,
                                                           *validation_loss)
                                             : fmt::format("epoch {} loss {:.4f}", state_.epoch + 1, loss)});
  }

  [[nodiscard]] NamedValues current_parameters() const {
    NamedValues values;
    for (const Parameter& parameter : head_->parameters()) {
      const auto* const data = parameter.value.data_ptr<float>();
      values.emplace(parameter.name, std::vector<float>(data, data + parameter.value.numel()));
    }
    return values;
  }

  /// Mean training loss over the epoch's rows.
  double run_epoch() {
    std::vector<std::uint32_t> order(set_.size());
    std::iota(order.begin(), order.end(), 0U);
    // The epoch's own streams: a resumed run draws what an uninterrupted one would have drawn.
    const auto epoch = static_cast<std::uint64_t>(state_.epoch);
    Random(options_.seed, 2 * epoch).shuffle(order);
    Random dropout(options_.seed, 2 * epoch + 1);
    const auto batch = static_cast<std::size_t>(options_.batch);
    double total = 0.0;
    for (std::size_t begin = 0; begin < order.size(); begin += batch) {
      context_.check_stop();
      const auto rows = std::span(order).subspan(begin, std::min(batch, order.size() - begin));
      const at::Tensor loss = batch_loss(rows, {settings_.dropout, &dropout});
      const double value = loss.item<float>();
      if (!std::isfinite(value)) {
        fail(ErrorCode::kInvalidArgument, "train: the loss is no longer finite in epoch {}: use a smaller --lr than {}",
             epoch + 1, settings_.learning_rate);
      }
      step(loss);
      total += value * static_cast<double>(rows.size());
      if (begin / batch % 64 == 63) {
        report(state_.step, total / static_cast<double>(begin + rows.size()), std::nullopt);
      }
    }
    return total / static_cast<double>(order.size());
  }

  [[nodiscard]] at::Tensor batch_loss(std::span<const std::uint32_t> rows, const Dropout& dropout) const {
    const auto count = static_cast<std::int64_t>(rows.size());
    std::vector<std::uint32_t> images;
    std::vector<std::uint32_t> texts;
    if (uses_pairs(settings_.loss)) {
      at::Tensor p_a = at::empty({count}, at::kFloat);
      at::Tensor weights = at::empty({count}, at::kFloat);
      images.resize(2 * rows.size());
      texts.resize(2 * rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const PreferencePair& pair = set_.pairs[rows[i]];
        images[i] = pair.image_a;
        images[rows.size() + i] = pair.image_b;
        texts[i] = texts[rows.size() + i] = pair.text;
        p_a.data_ptr<float>()[i] = pair.p_a;
        weights.data_ptr<float>()[i] = pair.weight;
      }
      const at::Tensor utility = forward(images, texts, dropout);
      return bradley_terry(utility.narrow(0, 0, count), utility.narrow(0, count, count), p_a, weights);
    }
    at::Tensor labels = at::empty({count}, settings_.loss == Loss::kCe ? at::kLong : at::kFloat);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const LabelledPoint& point = set_.points[rows[i]];
      images.push_back(point.image);
      texts.push_back(point.text);
      if (settings_.loss == Loss::kCe) {
        labels.data_ptr<std::int64_t>()[i] = point.label;
      } else {
        labels.data_ptr<float>()[i] = static_cast<float>(point.label);
      }
    }
    const at::Tensor outputs = forward(images, texts, dropout);
    if (settings_.loss == Loss::kCe) return cross_entropy(outputs, labels);
    return settings_.loss == Loss::kBce ? binary_loss(outputs, labels) : squared_error(outputs, labels);
  }

  [[nodiscard]] at::Tensor forward(const std::vector<std::uint32_t>& images, const std::vector<std::uint32_t>& texts,
                                   const Dropout& dropout) const {
    at::Tensor input = at::empty({static_cast<std::int64_t>(images.size()), 2 * shape_.dim}, at::kFloat);
    gather_rows(set_, images, texts, input.data_ptr<float>());
    return head_->forward(input, dropout);
  }

  void step(const at::Tensor& loss) {
    loss.backward();
    ++state_.step;
    const AdamStep plain{.learning_rate = settings_.learning_rate * schedule(), .step = state_.step};
    AdamStep decayed = plain;
    decayed.weight_decay = settings_.weight_decay;
    for (Parameter& parameter : head_->parameters()) {
      at::Tensor& gradient = parameter.value.mutable_grad();
      if (!gradient.defined()) continue;
      const at::Tensor dense = gradient.contiguous();
      const auto size = static_cast<std::size_t>(parameter.value.numel());
      adamw_update(parameter.decay ? decayed : plain, {parameter.value.data_ptr<float>(), size},
                   state_.first_moments.at(parameter.name), state_.second_moments.at(parameter.name),
                   {dense.data_ptr<float>(), size});
      gradient.reset();  // the next backward then hands its own over instead of adding to this one
    }
  }

  /// Share of the learning rate for the current step, 0..1.
  [[nodiscard]] double schedule() const {
    const auto total = static_cast<double>(steps_per_epoch() * options_.epochs);
    const auto now = static_cast<double>(state_.step);
    const double warm_up = std::max(1.0, kWarmUpShare * total);
    if (now < warm_up) return now / warm_up;
    const double rest = (now - warm_up) / std::max(1.0, total - warm_up);
    // The floor keeps the very last steps, and a training of one step, from being lost.
    return std::max(0.01, 0.5 * (1.0 + std::cos(std::numbers::pi * rest)));
  }

  const Examples& examples_;
  const TrainOptions& options_;
  const Settings& settings_;
  const RunContext& context_;
  TrainingSet set_;
  HeadShape shape_;
  std::unique_ptr<Head> head_;
  TrainingState state_;
};

nlohmann::json make_record(const Examples& examples, const Trainer& trainer, const TrainOptions& options,
                           const Settings& settings, const nlohmann::json& origin, const std::string& key) {
  const auto rows = [](const auto& splits, Split split) { return splits[static_cast<std::size_t>(split)].size(); };
  const bool pairs = uses_pairs(settings.loss);
  const TrainingState& state = trainer.state();
  nlohmann::json warnings = nlohmann::json::array();
  const std::size_t validation_rows =
      pairs ? rows(examples.pairs, Split::kValidation) : rows(examples.points, Split::kValidation);
  if (validation_rows == 0) {
    warnings.push_back(fmt::format("the validation split has no {}: the last epoch was kept, not the best",
                                   pairs ? "pairs" : "points"));
  }
  if (!state.collapse.empty()) warnings.push_back(state.collapse);
  nlohmann::json record = origin;
  record["head"] = options.head;
  record["loss"] = options.loss;
  record["dim"] = examples.images.dim;
  record["hidden"] = options.hidden;
  record["rank"] = options.rank;
  record["class_count"] = examples.class_count;
  record["options"] = options_json(options, settings);
  record["data"] = {{"train_used", trainer.set().size()},
                    {"train_unit", pairs ? "pairs" : "points"},
                    {"train_points", rows(examples.points, Split::kTrain)},
                    {"train_pairs", rows(examples.pairs, Split::kTrain)},
                    {"validation_points", rows(examples.points, Split::kValidation)},
                    {"validation_pairs", rows(examples.pairs, Split::kValidation)}};
  record["epochs"] = state.history;
  record["best_epoch"] = state.best_epoch;
  record["seconds"] = state.seconds;
  record["warnings"] = warnings;
  record["key"] = key;
  return record;
}

}  // namespace

TrainReport train_reward(const Examples& examples, const TrainOptions& options, const nlohmann::json& origin,
                         const std::filesystem::path& folder, const RunContext& context) {
  const Settings settings = check_options(options, examples.class_count);
  const nlohmann::json identity = {{"version", kTrainerVersion},
                                   {"options", options_json(options, settings)},
                                   {"encoder", origin.at("encoder")},
                                   {"data", fingerprint(examples)}};
  const std::string key = sha256_hex(identity.dump());
  TrainReport report;
  if (auto finished = find_finished(folder, key)) {
    report.record = std::move(*finished);
    report.up_to_date = true;
    return report;
  }
  try {
    std::filesystem::create_directories(folder);
    remove_stale_temporaries(folder);
    keep_freed_memory();
    // A step takes milliseconds: more threads wait for each other longer than they work, unless they were asked for.
    const TorchThreads threads(context.threads == 0 ? 1 : context.threads);
    Trainer trainer(examples, options, settings, context);
    report.resumed_from = trainer.resume(folder, key);
    trainer.run(folder, key);
    report.record = make_record(examples, trainer, options, settings, origin, key);
    save_reward(folder, report.record, trainer.head(), trainer.state().best, trainer.set().scaler);
    remove_checkpoint(folder);
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "train {}: {}", options.head, error.what_without_backtrace());
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorCode::kIo, "reward {}: {}", folder.string(), error.code().message());
  }
  return report;
}

}  // namespace imagerank::reward
