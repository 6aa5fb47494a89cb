#include "reward/finetune.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "clip/pair_vectors.h"
#include "clip/weights.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "core/random.h"
#include "reward/inference.h"
#include "reward/losses.h"
#include "reward/tensor_adam.h"

namespace imagerank::reward {
namespace {

using torch::Tensor;
constexpr double kMaxLogitScale = 4.605170185988092;  // ln 100
constexpr std::size_t kPiece = 32;                    // rows whose activations live at once when they are recomputed

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void check(const PreferenceImages& data, const FinetuneOptions& options, const clip::ModelConfig& config) {
  const auto range = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
    }
  };
  range("--steps", static_cast<double>(options.steps), 1, 1e9);
  range("--batch", static_cast<double>(options.batch), 1, 65536);
  range("--lr", options.learning_rate, 1e-12, 10);
  range("--weight-decay", options.weight_decay, 0, 10);
  range("--warm-up-steps", static_cast<double>(options.warm_up_steps), 0, 1e9);
  range("--clip-norm", options.clip_norm, 0, 1e9);
  range("--validation-steps", static_cast<double>(options.validation_steps), 1, 1e9);
  range("--freeze-image-layers", static_cast<double>(options.frozen_image_layers), 0,
        static_cast<double>(config.vision.layers));
  range("--freeze-text-layers", static_cast<double>(options.frozen_text_layers), 0,
        static_cast<double>(config.text.layers));
  const auto image_bytes = static_cast<std::size_t>(config.image_size * config.image_size * 3);
  if (data.pixels.size() % image_bytes != 0) {
    fail(ErrorCode::kInvalidArgument, "finetune: expected images of {} bytes, found {} bytes", image_bytes,
         data.pixels.size());
  }
  const std::size_t images = data.pixels.size() / image_bytes;
  bool strict = false;
  for (const auto pairs : {data.train, data.validation}) {
    for (const PreferencePair& pair : pairs) {
      const bool sound = pair.image_a < images && pair.image_b < images && pair.text < data.prompts.size() &&
                         pair.p_a >= 0.0F && pair.p_a <= 1.0F && pair.weight > 0.0F && std::isfinite(pair.weight);
      if (!sound) {
        fail(ErrorCode::kCorruptData, "pair: expected images < {}, prompt < {}, p_a 0..1, found {}, {}, {}, {}", images,
             data.prompts.size(), pair.image_a, pair.image_b, pair.text, pair.p_a);
      }
    }
  }
  for (const PreferencePair& pair : data.train) strict = strict || pair.p_a < 0.5F || pair.p_a > 0.5F;
  if (!strict) {
    fail(ErrorCode::kNotFound, "train split: expected pairs with a better image, found {}",
         data.train.empty() ? "no pairs" : fmt::format("{} pairs that are all ties", data.train.size()));
  }
  for (const auto& prompt : data.prompts) {
    const bool valid = prompt.size() >= 2 && std::ranges::all_of(prompt, [&](std::int32_t id) {
                         return id >= 0 && id < config.vocabulary_size;
                       });
    if (!valid) {
      fail(ErrorCode::kInvalidArgument, "prompt: expected two or more token ids in 0..{}, found others",
           config.vocabulary_size - 1);
    }
  }
}

/// What must be equal for a checkpoint to be gone on with.
std::string fingerprint(const PreferenceImages& data, const FinetuneOptions& options,
                        const std::filesystem::path& model) {
  Digest hash;
  hash.update(fmt::format("2 {} {} {} {} {} {} {} {} {} {} {} {} ", options.steps, options.batch, options.learning_rate,
                          options.weight_decay, options.warm_up_steps, options.clip_norm, options.seed,
                          options.validation_steps, options.frozen_image_layers, options.frozen_text_layers,
                          options.bfloat16, options.device == clip::Device::kCuda));
  hash.update(std::as_bytes(data.pixels));
  for (const auto& prompt : data.prompts) hash.update(std::as_bytes(std::span(prompt)));
  hash.update(std::as_bytes(data.train));
  hash.update(std::as_bytes(data.validation));
  clip::ClipModel start = clip::load_clip_model(model);
  for (const Tensor& weight : start->parameters()) {
    const Tensor dense = weight.detach().contiguous();
    hash.update(std::as_bytes(std::span(dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel()))));
  }
  return hash.hex_digest();
}

/// The towers' parameters that stay as they are.
std::vector<Tensor> frozen_parameters(clip::ClipModel& model, const FinetuneOptions& options) {
  std::vector<Tensor> frozen;
  const auto freeze_layers = [&](std::vector<clip::TransformerLayer>& layers, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (const Tensor& weight : layers[static_cast<std::size_t>(i)]->parameters()) frozen.push_back(weight);
    }
  };
  freeze_layers(model->vision->layers, options.frozen_image_layers);
  freeze_layers(model->text->layers, options.frozen_text_layers);
  const auto& vision = model->vision;
  if (options.frozen_image_layers > 0) {
    for (const Tensor& weight : {vision->class_embedding, vision->patch_embedding, vision->position_embedding,
                                 vision->pre_norm_weight, vision->pre_norm_bias}) {
      frozen.push_back(weight);
    }
  }
  if (options.frozen_text_layers > 0) {
    frozen.push_back(model->text->token_embedding);
    frozen.push_back(model->text->position_embedding);
  }
  return frozen;
}

/// One batch as rows: images a then b, and prompts.
struct Rows {
  std::vector<std::uint32_t> images, texts;
  Tensor p_a, weights;
};

class Finetuning {
 public:
  Finetuning(const PreferenceImages& data, const FinetuneOptions& options, const std::filesystem::path& model,
             std::filesystem::path folder, const RunContext& context)
      : data_(data),
        options_(options),
        start_(model),
        folder_(std::move(folder)),
        context_(context),
        model_(clip::load_clip_model(model)) {
    check(data, options, model_->config());
    clip::require_device(options.device);
    fingerprint_ = fingerprint(data, options, model);
    if (options.device == clip::Device::kCuda) device_ = torch::kCUDA;
    model_->to(device_);
    for (const PreferencePair& pair : data.train) ++pairs_of_prompt_[pair.text];
    const std::vector<Tensor> frozen = frozen_parameters(model_, options);
    for (Tensor& weight : model_->parameters()) {
      const bool is_frozen = std::ranges::any_of(frozen, [&](const Tensor& one) { return one.is_same(weight); });
      weight.set_requires_grad(!is_frozen);
      if (is_frozen) continue;
      leaves_.push_back(weight);
      masters_.push_back(weight.detach().clone());
      first_.push_back(torch::zeros_like(masters_.back()));
      second_.push_back(torch::zeros_like(masters_.back()));
    }
    best_ = clones(masters_);
    if (options.bfloat16) model_->use_bfloat16();
  }

  FinetuneResult run() {
    load_checkpoint();
    result_.resumed_at = step_;
    started_ = seconds_now();
    while (step_ < options_.steps) {
      if (context_.stop.stop_requested()) {
        save_checkpoint();
        context_.check_stop();
      }
      train_step();
      ++step_;
      context_.report({"finetune", static_cast<std::uint64_t>(step_), static_cast<std::uint64_t>(options_.steps),
                       fmt::format("loss {:.4f}", loss_sum_ / static_cast<double>(loss_count_))});
      if (step_ % options_.validation_steps == 0 || step_ == options_.steps) {
        validate();
        if (step_ < options_.steps) save_checkpoint();
      }
    }
    finish();
    return std::move(result_);
  }

 private:
  static std::vector<Tensor> clones(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> copies;
    for (const Tensor& tensor : tensors) copies.push_back(tensor.clone());
    return copies;
  }
  [[nodiscard]] double seconds() const { return earlier_seconds_ + seconds_now() - started_; }

  /// The pairs of this step: each epoch an order of its own, whole but for its last batch.
  std::vector<std::uint32_t> next_units() {
    const auto batch = static_cast<std::size_t>(options_.batch);
    const std::size_t batches = (data_.train.size() + batch - 1) / batch;
    const std::size_t epoch = static_cast<std::size_t>(step_) / batches;
    if (order_.empty() || epoch != epoch_) {
      order_.resize(data_.train.size());
      std::iota(order_.begin(), order_.end(), 0U);
      Random(options_.seed, epoch).shuffle(order_);
      epoch_ = epoch;
    }
    const std::size_t begin = static_cast<std::size_t>(step_) % batches * batch;
    const auto units = std::span(order_).subspan(begin, std::min(batch, order_.size() - begin));
    return {units.begin(), units.end()};
  }

  [[nodiscard]] static Rows rows_of(std::span<const PreferencePair> pairs, std::span<const std::uint32_t> units) {
    Rows rows;
    const auto count = static_cast<std::int64_t>(units.size());
    rows.p_a = torch::empty({count}, torch::kFloat32);
    rows.weights = torch::empty({count}, torch::kFloat32);
    rows.images.resize(2 * units.size());
    for (std::size_t i = 0; i < units.size(); ++i) {
      const PreferencePair& pair = pairs[units[i]];
      rows.images[i] = pair.image_a;
      rows.images[units.size() + i] = pair.image_b;
      rows.texts.push_back(pair.text);
      rows.p_a.data_ptr<float>()[i] = pair.p_a;
      rows.weights.data_ptr<float>()[i] = pair.weight;
    }
    return rows;
  }

  Tensor images(std::span<const std::uint32_t> rows) { return clip::embed_images(model_, {data_.pixels, {}}, rows); }
  Tensor prompts(std::span<const std::uint32_t> rows) {
    return clip::embed_captions(model_, {{}, data_.prompts}, rows);
  }

  /// exp(scale) times the difference of the cosines, [N].
  static Tensor differences(const Tensor& images, const Tensor& prompts, const Tensor& scale) {
    const std::int64_t count = prompts.size(0);
    const Tensor directions = clip::unit(images);
    const Tensor lead = directions.narrow(0, 0, count) - directions.narrow(0, count, count);
    return scale.clamp_max(kMaxLogitScale).exp() * (lead * clip::unit(prompts)).sum(1);
  }

  void train_step() {
    const std::vector<std::uint32_t> units = next_units();
    Rows rows = rows_of(data_.train, units);
    for (std::size_t i = 0; i < units.size(); ++i) {
      rows.weights.data_ptr<float>()[i] /= static_cast<float>(pairs_of_prompt_.at(rows.texts[i]));
    }
    copy_to_model(masters_);
    for (Tensor& leaf : leaves_) leaf.mutable_grad() = Tensor();
    const auto loss_of = [&](const Tensor& of_images, const Tensor& of_prompts) {
      return weighted_mean(bradley_terry(differences(of_images, of_prompts, model_->logit_scale), rows.p_a.to(device_)),
                           rows.weights.to(device_));
    };
    Tensor loss;
    if (options_.recompute) {
      Tensor of_images, of_prompts;
      {
        const torch::NoGradGuard guard;
        of_images = images(rows.images);
        of_prompts = prompts(rows.texts);
      }
      // The loss needs the whole batch, a piece's towers only the loss's gradient by its vectors.
      of_images.requires_grad_(true);
      of_prompts.requires_grad_(true);
      loss = loss_of(of_images, of_prompts);
      loss.backward();
      backward_in_pieces(rows.images, of_images.grad(), [&](auto piece) { return images(piece); });
      backward_in_pieces(rows.texts, of_prompts.grad(), [&](auto piece) { return prompts(piece); });
    } else {
      loss = loss_of(images(rows.images), prompts(rows.texts));
      loss.backward();
    }
    const double value = loss.item<float>();
    if (!std::isfinite(value)) {
      fail(ErrorCode::kInvalidArgument,
           "finetune: the loss is no longer finite at step {}: use a smaller --lr than {}; the last checkpoint is kept",
           step_ + 1, options_.learning_rate);
    }
    loss_sum_ += value;
    ++loss_count_;
    update();
  }

  template <typename Embed>
  static void backward_in_pieces(std::span<const std::uint32_t> rows, const Tensor& gradient, const Embed& embed) {
    for (std::size_t begin = 0; begin < rows.size(); begin += kPiece) {
      const auto piece = rows.subspan(begin, std::min(kPiece, rows.size() - begin));
      const Tensor vectors = embed(piece);
      if (!vectors.requires_grad()) return;  // the whole tower is frozen
      vectors.backward(gradient.narrow(0, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(piece.size())));
    }
  }

  void update() {
    const torch::NoGradGuard guard;
    Tensor squares = torch::zeros({}, torch::TensorOptions(torch::kFloat64).device(device_));
    std::vector<Tensor> gradients;
    for (const Tensor& leaf : leaves_) {
      gradients.push_back(leaf.grad().defined() ? leaf.grad().to(torch::kFloat32).contiguous() : Tensor());
      if (gradients.back().defined()) squares += gradients.back().square().sum();
    }
    const double norm = std::sqrt(squares.item<double>());
    AdamStep plain;
    plain.learning_rate = options_.learning_rate * schedule();
    plain.gradient_factor = options_.clip_norm > 0.0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
    plain.step = step_ + 1;
    AdamStep decayed = plain;
    decayed.weight_decay = options_.weight_decay;
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      if (!gradients[i].defined()) continue;
      adam_update(masters_[i].dim() >= 2 ? decayed : plain, masters_[i], first_[i], second_[i], gradients[i]);
    }
  }

  /// Share of the learning rate for the step that is being made, 0..1.
  [[nodiscard]] double schedule() const {
    const auto now = static_cast<double>(step_ + 1);
    const auto warm_up = static_cast<double>(options_.warm_up_steps);
    if (now < warm_up) return now / warm_up;
    const double rest = static_cast<double>(options_.steps) - warm_up;
    return std::clamp((static_cast<double>(options_.steps) - now + 1.0) / std::max(1.0, rest + 1.0), 0.0, 1.0);
  }

  void copy_to_model(const std::vector<Tensor>& weights) {
    const torch::NoGradGuard guard;
    for (std::size_t i = 0; i < leaves_.size(); ++i) leaves_[i].copy_(weights[i]);
  }

  /// Strict pairs right, ties half.
  void validate() {
    copy_to_model(masters_);
    const torch::NoGradGuard guard;
    double right = 0.0;
    std::vector<std::uint32_t> units(data_.validation.size());
    std::iota(units.begin(), units.end(), 0U);
    const auto batch = static_cast<std::size_t>(options_.batch);
    for (std::size_t begin = 0; begin < units.size(); begin += batch) {
      const auto some = std::span(units).subspan(begin, std::min(batch, units.size() - begin));
      const Rows rows = rows_of(data_.validation, some);
      const Tensor d =
          differences(images(rows.images), prompts(rows.texts), model_->logit_scale).to(torch::kCPU).contiguous();
      for (std::size_t i = 0; i < some.size(); ++i) {
        const float p_a = rows.p_a.data_ptr<float>()[i];
        const float lead = d.data_ptr<float>()[i];
        right += p_a > 0.5F ? (lead > 0.0F ? 1.0 : 0.0) : p_a < 0.5F ? (lead < 0.0F ? 1.0 : 0.0) : 0.5;
      }
    }
    nlohmann::json entry = {{"step", step_},
                            {"loss", loss_sum_ / static_cast<double>(std::max<std::int64_t>(1, loss_count_))},
                            {"pair_accuracy", nullptr}};
    if (!units.empty()) entry["pair_accuracy"] = right / static_cast<double>(units.size());
    result_.history.push_back(entry);
    if (units.empty() || result_.best_step == 0 || right > best_right_) {
      best_ = clones(masters_);
      best_right_ = right;
      result_.best_step = step_;
    }
    loss_sum_ = 0.0;
    loss_count_ = 0;
  }

  void finish() {
    // Loaded anew: the frozen weights of a model whose products are bfloat16 are rounded.
    clip::ClipModel kept = clip::load_clip_model(start_);
    const torch::NoGradGuard guard;
    const std::vector<Tensor> all = model_->parameters();
    std::vector<Tensor> targets = kept->parameters();
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t k = 0; k < leaves_.size(); ++k) {
        if (leaves_[k].is_same(all[i])) targets[i].copy_(best_[k]);
      }
    }
    kept->set_untrained(false);
    clip::save_model_config(kept->config(), folder_);
    clip::save_weights(kept, folder_);
    std::error_code ignored;
    std::filesystem::remove(checkpoint_path(), ignored);
    result_.steps = step_;
    result_.seconds = seconds();
    result_.loss = result_.history.back().at("loss").get<double>();
  }

  [[nodiscard]] std::filesystem::path checkpoint_path() const { return folder_ / "finetune.checkpoint"; }
  /// Everything that moves, by name.
  [[nodiscard]] std::vector<std::pair<std::string, std::vector<Tensor>*>> groups() {
    return {{"w", &masters_}, {"m", &first_}, {"v", &second_}, {"b", &best_}};
  }

  void save_checkpoint() {
    torch::serialize::OutputArchive archive;
    const nlohmann::json progress = {{"fingerprint", fingerprint_},    {"step", step_},
                                     {"seconds", seconds()},           {"history", result_.history},
                                     {"best_step", result_.best_step}, {"best_right", best_right_},
                                     {"loss_sum", loss_sum_},          {"loss_count", loss_count_}};
    archive.write("progress", c10::IValue(progress.dump()));
    for (const auto& [name, tensors] : groups()) {
      for (std::size_t i = 0; i < tensors->size(); ++i)
        archive.write(fmt::format("{}{}", name, i), (*tensors)[i].to(torch::kCPU));
    }
    std::ostringstream bytes;
    archive.save_to(bytes);
    write_file_atomically(checkpoint_path(), bytes.str());
  }

  void load_checkpoint() {
    if (!std::filesystem::exists(checkpoint_path())) return;
    std::istringstream bytes(load_file(checkpoint_path(), std::size_t{1} << 36));
    try {
      torch::serialize::InputArchive archive;
      archive.load_from(bytes);
      c10::IValue value;
      archive.read("progress", value);
      const nlohmann::json progress = nlohmann::json::parse(value.toStringRef());
      if (progress.at("fingerprint") != fingerprint_) {
        fail(ErrorCode::kCorruptData,
             "{}: expected a checkpoint of these options and pairs, found one of others; remove it to start again",
             checkpoint_path().string());
      }
      const torch::NoGradGuard guard;
      for (const auto& [name, tensors] : groups()) {
        for (std::size_t i = 0; i < tensors->size(); ++i) {
          Tensor saved;
          archive.read(fmt::format("{}{}", name, i), saved);
          (*tensors)[i].copy_(saved);
        }
      }
      step_ = progress.at("step").get<std::int64_t>();
      earlier_seconds_ = progress.at("seconds").get<double>();
      result_.history = progress.at("history");
      result_.best_step = progress.at("best_step").get<std::int64_t>();
      best_right_ = progress.at("best_right").get<double>();
      loss_sum_ = progress.at("loss_sum").get<double>();
      loss_count_ = progress.at("loss_count").get<std::int64_t>();
    } catch (const c10::Error& error) {
      fail(ErrorCode::kCorruptData, "{}: expected a checkpoint, found: {}; remove it to start again",
           checkpoint_path().string(), error.what_without_backtrace());
    } catch (const nlohmann::json::exception&) {
      fail(ErrorCode::kCorruptData, "{}: expected a checkpoint of this program; remove it to start again",
           checkpoint_path().string());
    }
  }

  const PreferenceImages& data_;
  const FinetuneOptions& options_;
  std::filesystem::path start_;
  std::filesystem::path folder_;
  const RunContext& context_;
  clip::ClipModel model_;  ///< what computes: its products may be bfloat16
  torch::Device device_ = torch::kCPU;
  std::string fingerprint_;
  std::unordered_map<std::uint32_t, std::uint32_t> pairs_of_prompt_;
  std::vector<Tensor> leaves_;                           ///< the model's parameters that learn
  std::vector<Tensor> masters_, first_, second_, best_;  ///< float32, parallel to leaves_
  std::vector<std::uint32_t> order_;
  std::size_t epoch_ = 0;
  std::int64_t step_ = 0;
  double loss_sum_ = 0.0;
  std::int64_t loss_count_ = 0;
  double best_right_ = 0.0;
  double started_ = 0.0;
  double earlier_seconds_ = 0.0;
  FinetuneResult result_;
};

}  // namespace

FinetuneResult finetune(const PreferenceImages& data, const FinetuneOptions& options,
                        const std::filesystem::path& model, const std::filesystem::path& folder,
                        const RunContext& context) {
  const TorchThreads threads(context.thread_count());
  try {
    return Finetuning(data, options, model, folder, context).run();
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "finetune: libtorch: {}", error.what_without_backtrace());
  }
}

}  // namespace imagerank::reward
