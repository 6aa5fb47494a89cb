#include "clip/pretrain.h"

#include <dlfcn.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <numbers>
#include <numeric>
#include <sstream>
#include <utility>

#include "clip/crew.h"
#include "clip/pair_vectors.h"
#include "clip/pretrain_batches.h"
#include "clip/towers.h"
#include "clip/weights.h"
#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"

namespace imagerank::clip {
namespace {

using torch::Tensor;
constexpr std::size_t kLossWindow = 50;
constexpr double kMaxLogitScale = 4.605170185988092;  // ln 100
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.98;
constexpr double kEpsilon = 1e-6;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// While it lives, an operation of libtorch or OpenBLAS keeps to the thread that calls it.
class SingleThreadedProducts {
 public:
  SingleThreadedProducts() : threads_(at::get_num_threads()) { set(1, 1); }
  SingleThreadedProducts(const SingleThreadedProducts&) = delete;
  SingleThreadedProducts& operator=(const SingleThreadedProducts&) = delete;
  ~SingleThreadedProducts() { set(threads_, threads_); }

 private:
  static void set(int torch_threads, int blas_threads) {
    at::set_num_threads(torch_threads);
    // OpenBLAS keeps threads of its own; another BLAS has no such function.
    if (void* function = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"); function != nullptr) {
      reinterpret_cast<void (*)(int)>(function)(blas_threads);
    }
  }
  int threads_;
};

/// Cross-entropy both ways; every pair of one caption is a right answer for it.
Tensor contrastive_loss(const Tensor& images, const Tensor& texts, const Tensor& scale, const Tensor& captions) {
  const Tensor logits = torch::matmul(unit(images), unit(texts).t()) * scale.exp();
  Tensor targets = captions.unsqueeze(0).eq(captions.unsqueeze(1)).to(torch::kFloat32);
  targets = targets / targets.sum(1, true);
  return -0.5 * ((targets * torch::log_softmax(logits, 1)).sum(1).mean() +
                 (targets * torch::log_softmax(logits.t(), 1)).sum(1).mean());
}

/// AdamW (Loshchilov and Hutter 2019) over float32 tensors whose state can be saved.
class AdamW {
 public:
  AdamW(std::vector<Tensor> weights, double decay) : weights_(std::move(weights)), decay_(decay) {
    for (const Tensor& weight : weights_) {
      first_.push_back(torch::zeros_like(weight));
      second_.push_back(torch::zeros_like(weight));
    }
  }

  void step(const std::vector<Tensor>& gradients, double rate, std::int64_t step_number) {
    const double correction1 = 1.0 - std::pow(kBeta1, static_cast<double>(step_number));
    const double correction2 = 1.0 - std::pow(kBeta2, static_cast<double>(step_number));
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      first_[i].mul_(kBeta1).add_(gradients[i], 1.0 - kBeta1);
      second_[i].mul_(kBeta2).addcmul_(gradients[i], gradients[i], 1.0 - kBeta2);
      if (weights_[i].dim() >= 2) weights_[i].mul_(1.0 - rate * decay_);
      weights_[i].addcdiv_(first_[i], (second_[i] / correction2).sqrt_().add_(kEpsilon), -rate / correction1);
    }
  }

  /// Weights, first and second moments.
  [[nodiscard]] std::vector<Tensor> state() const {
    std::vector<Tensor> all = weights_;
    all.insert(all.end(), first_.begin(), first_.end());
    all.insert(all.end(), second_.begin(), second_.end());
    return all;
  }

 private:
  std::vector<Tensor> weights_, first_, second_;
  double decay_;
};

/// One thread's copy of the model and what it made of its share of the batch.
struct Worker {
  ClipModel model{nullptr};
  std::vector<Tensor> leaves;  ///< the model's parameters; products in bfloat16 if asked for
  std::vector<Tensor> gradients;
  Tensor images, texts;

  void take_weights(const std::vector<Tensor>& weights) {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      leaves[i].mutable_grad() = Tensor();
      leaves[i].copy_(weights[i]);
    }
  }
  void backward(const Tensor& image_gradient, const Tensor& text_gradient) {
    torch::autograd::backward({images, texts}, {image_gradient, text_gradient});
    const torch::NoGradGuard no_grad;
    gradients.clear();
    for (const Tensor& leaf : leaves) {
      gradients.push_back(leaf.grad().defined() ? leaf.grad().to(torch::kFloat32)
                                                : torch::zeros(leaf.sizes(), torch::kFloat32));
    }
    images = texts = Tensor();
  }
};

/// What must be equal for a checkpoint to be gone on with.
std::string fingerprint(const CaptionedImages& pairs, const PretrainOptions& options) {
  std::ostringstream text;
  const ModelConfig& m = options.model;
  text << "1 " << m.image_size << ' ' << m.patch_size << ' ' << m.vocabulary_size << ' ' << m.context_length << ' '
       << m.projection_dim << ' ' << m.vision.width << ' ' << m.vision.layers << ' ' << m.vision.heads << ' '
       << m.text.width << ' ' << m.text.layers << ' ' << m.text.heads << ' ' << options.steps << ' ' << options.batch
       << ' ' << options.learning_rate << ' ' << options.weight_decay << ' ' << options.warmup << ' '
       << options.ngram_weight << ' ' << options.max_ngrams << ' ' << options.similar_run << ' ' << options.bfloat16
       << ' ' << options.seed << ' ' << pairs.size() << ' ';
  Digest hash;
  hash.update(text.str());
  for (const auto& row : pairs.tokens) hash.update(std::as_bytes(std::span(row)));
  hash.update(std::as_bytes(pairs.pixels));
  return hash.hex_digest();
}

class Trainer {
 public:
  Trainer(const CaptionedImages& pairs, const PretrainOptions& options, std::filesystem::path folder,
          const RunContext& context)
      : pairs_(pairs),
        options_(options),
        folder_(std::move(folder)),
        context_(context),
        model_(options.model),
        ngrams_(find_caption_ngrams(pairs.tokens, options.max_ngrams)),
        captions_(number_captions(pairs.tokens)),
        crew_(static_cast<std::size_t>(std::clamp<std::int64_t>(context.thread_count(), 1, options.batch / 2))) {
    initialize_weights(model_, options.seed);
    ngram_weight_ = torch::zeros({std::max<std::int64_t>(1, ngram_count()), options.model.projection_dim});
    ngram_bias_ = torch::zeros({std::max<std::int64_t>(1, ngram_count())});
    for (std::int64_t i = 0; i < ngram_count(); ++i) {
      const float share = ngrams_.frequency[static_cast<std::size_t>(i)];
      ngram_bias_[i] = std::log(share / (1.0F - share));
      mean_ngrams_ += share;
    }
    for (const Tensor& weight : model_->parameters()) {
      weights_.push_back(weight.detach());
      if (weight.is_same(model_->logit_scale)) scale_ = weights_.back();
    }
    weights_.push_back(ngram_weight_);
    weights_.push_back(ngram_bias_);
    optimizer_ = std::make_unique<AdamW>(weights_, options.weight_decay);
    for (std::size_t i = 0; i < crew_.size(); ++i) {
      Worker worker{ClipModel(options.model), {}, {}, {}, {}};
      if (options.bfloat16) worker.model->use_bfloat16();
      for (const Tensor& leaf : worker.model->parameters()) worker.leaves.push_back(leaf);
      workers_.push_back(std::move(worker));
    }
  }

  PretrainResult run() {
    checkpoint_path_ = folder_ / "pretrain.checkpoint";
    fingerprint_ = fingerprint(pairs_, options_);
    load_checkpoint();
    PretrainResult result;
    result.resumed_at = step_;
    started_ = seconds_now();
    while (step_ < options_.steps && progress() < 1.0) {
      if (context_.stop.stop_requested()) {
        save_checkpoint();
        context_.check_stop();
      }
      train_step();
      ++step_;
      if (step_ % options_.checkpoint_steps == 0 && step_ < options_.steps) save_checkpoint();
      context_.report({"pretrain", static_cast<std::uint64_t>(step_), static_cast<std::uint64_t>(options_.steps),
                       fmt::format("loss {:.3f} + {:.3f}", mean(losses_), mean(ngram_losses_))});
    }
    save_model_config(options_.model, folder_);
    save_weights(model_, folder_);
    std::error_code ignored;
    std::filesystem::remove(checkpoint_path_, ignored);
    result.steps = step_;
    result.seconds = seconds();
    result.loss = mean(losses_);
    result.ngram_loss = mean(ngram_losses_);
    result.ngrams = ngrams_.frequency.size();
    return result;
  }

 private:
  [[nodiscard]] std::int64_t ngram_count() const { return static_cast<std::int64_t>(ngrams_.frequency.size()); }
  [[nodiscard]] bool uses_ngrams() const { return options_.ngram_weight > 0.0 && ngram_count() > 0; }
  [[nodiscard]] double seconds() const { return earlier_seconds_ + seconds_now() - started_; }
  [[nodiscard]] double progress() const {
    const double by_steps = static_cast<double>(step_) / static_cast<double>(options_.steps);
    return options_.max_seconds > 0.0 ? std::max(by_steps, seconds() / options_.max_seconds) : by_steps;
  }
  static double mean(const std::deque<double>& values) {
    return values.empty() ? 0.0
                          : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }
  [[nodiscard]] double learning_rate() const {
    const double done = std::min(progress(), 1.0);
    if (done < options_.warmup) return options_.learning_rate * (done + 1e-3) / options_.warmup;
    return options_.learning_rate * 0.5 *
           (1.0 + std::cos(std::numbers::pi * (done - options_.warmup) / (1.0 - options_.warmup)));
  }

  /// The pairs of this step: whole batches of each epoch's order.
  std::span<const std::uint32_t> next_batch() {
    const auto batch =
        static_cast<std::size_t>(std::min<std::int64_t>(options_.batch, static_cast<std::int64_t>(pairs_.size())));
    const std::size_t batches = pairs_.size() / batch;
    const auto epoch = static_cast<std::size_t>(step_) / batches;
    if (order_.empty() || epoch != epoch_) {
      order_ = order_epoch(ngrams_, options_.similar_run, options_.seed, epoch);
      epoch_ = epoch;
    }
    return std::span(order_).subspan((static_cast<std::size_t>(step_) % batches) * batch, batch);
  }

  Tensor ngram_targets(std::span<const std::uint32_t> rows) const {
    Tensor targets = torch::zeros({static_cast<std::int64_t>(rows.size()), ngram_count()});
    auto* out = targets.data_ptr<float>();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const std::int32_t ngram : ngrams_.of_caption[rows[i]]) {
        out[i * ngrams_.frequency.size() + static_cast<std::size_t>(ngram)] = 1.0F;
      }
    }
    return targets;
  }

  void train_step() {
    const auto rows = next_batch();
    const std::size_t share = (rows.size() + crew_.size() - 1) / crew_.size();
    const auto share_of = [&](std::size_t i) {
      const std::size_t begin = std::min(i * share, rows.size());
      return rows.subspan(begin, std::min(share, rows.size() - begin));
    };
    crew_.run([&](std::size_t i) {
      workers_[i].take_weights(weights_);
      if (share_of(i).empty()) return;
      workers_[i].images = embed_images(workers_[i].model, pairs_, share_of(i));
      workers_[i].texts = embed_captions(workers_[i].model, pairs_, share_of(i));
    });
    std::vector<Tensor> images, texts;
    for (const Worker& worker : workers_) {
      if (!worker.images.defined()) continue;
      images.push_back(worker.images.detach());
      texts.push_back(worker.texts.detach());
    }
    // The loss needs the whole batch, the towers' gradients only the loss's by each vector.
    Tensor all_images = torch::cat(images).requires_grad_(true);
    Tensor all_texts = torch::cat(texts).requires_grad_(true);
    std::vector<Tensor> heads = {model_->logit_scale.detach().clone(), ngram_weight_.clone(), ngram_bias_.clone()};
    for (Tensor& head : heads) head.requires_grad_(true);
    total_loss(rows, all_images, all_texts, heads).backward();
    crew_.run([&](std::size_t i) {
      if (share_of(i).empty()) return;
      const auto begin = static_cast<std::int64_t>(i * share);
      const auto end = begin + static_cast<std::int64_t>(share_of(i).size());
      workers_[i].backward(all_images.grad().slice(0, begin, end), all_texts.grad().slice(0, begin, end));
    });
    update(heads);
    if (!std::isfinite(losses_.back())) {
      fail(ErrorCode::kInvalidArgument,
           "pretrain: step {}: expected a finite loss, found {}; a smaller learning rate may help", step_,
           losses_.back());
    }
  }

  /// @param heads  logit scale, weight and bias of the n-gram layer.
  Tensor total_loss(std::span<const std::uint32_t> rows, const Tensor& images, const Tensor& texts,
                    const std::vector<Tensor>& heads) {
    std::vector<std::int64_t> numbers;
    for (const std::uint32_t row : rows) numbers.push_back(captions_[row]);
    Tensor contrast = contrastive_loss(images, texts, heads[0], torch::tensor(numbers, torch::kInt64));
    remember(losses_, contrast.item<double>());
    if (!uses_ngrams()) return contrast;
    const Tensor targets = ngram_targets(rows);
    const auto told = [&](const Tensor& vectors) {
      return torch::binary_cross_entropy_with_logits(torch::linear(vectors, heads[1], heads[2]), targets, {}, {},
                                                     at::Reduction::Sum) /
             (static_cast<double>(rows.size()) * mean_ngrams_);
    };
    const Tensor ngram_loss = 0.5 * (told(images) + told(texts));
    remember(ngram_losses_, ngram_loss.item<double>());
    return contrast + options_.ngram_weight * ngram_loss;
  }

  /// Sums the workers' gradients, in their order, and moves the weights.
  void update(const std::vector<Tensor>& heads) {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> gradients = workers_[0].gradients;
    for (std::size_t w = 1; w < workers_.size(); ++w) {
      for (std::size_t i = 0; i < workers_[w].gradients.size(); ++i) gradients[i].add_(workers_[w].gradients[i]);
    }
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (weights_[i].is_same(scale_)) gradients[i] = heads[0].grad();
    }
    for (std::size_t i = 1; i < heads.size(); ++i) {
      gradients.push_back(heads[i].grad().defined() ? heads[i].grad() : torch::zeros_like(heads[i]));
    }
    double square = 0.0;
    for (const Tensor& gradient : gradients) square += gradient.square().sum().item<double>();
    const double norm = std::sqrt(square);
    if (norm > options_.gradient_clip) {
      for (Tensor& gradient : gradients) gradient.mul_(options_.gradient_clip / norm);
    }
    optimizer_->step(gradients, learning_rate(), step_ + 1);
    scale_.clamp_(0.0, kMaxLogitScale);
  }

  static void remember(std::deque<double>& window, double value) {
    window.push_back(value);
    if (window.size() > kLossWindow) window.pop_front();
  }

  void save_checkpoint() const {
    torch::serialize::OutputArchive archive;
    archive.write("fingerprint", c10::IValue(fingerprint_));
    archive.write("step", c10::IValue(step_));
    archive.write("seconds", c10::IValue(seconds()));
    archive.write("losses", c10::IValue(c10::List<double>(std::vector<double>(losses_.begin(), losses_.end()))));
    archive.write("ngram_losses",
                  c10::IValue(c10::List<double>(std::vector<double>(ngram_losses_.begin(), ngram_losses_.end()))));
    const std::vector<Tensor> state = optimizer_->state();
    for (std::size_t i = 0; i < state.size(); ++i) archive.write(fmt::format("t{}", i), state[i]);
    std::ostringstream bytes;
    archive.save_to(bytes);
    write_file_atomically(checkpoint_path_, bytes.str());
  }

  void load_checkpoint() {
    if (!std::filesystem::exists(checkpoint_path_)) return;
    std::istringstream bytes(load_file(checkpoint_path_));
    try {
      torch::serialize::InputArchive archive;
      archive.load_from(bytes);
      c10::IValue value;
      archive.read("fingerprint", value);
      if (value.toStringRef() != fingerprint_) {
        fail(ErrorCode::kCorruptData,
             "{}: expected a checkpoint of these options and pairs, found one of others; remove it to start again",
             checkpoint_path_.string());
      }
      archive.read("step", value);
      const std::int64_t step = value.toInt();
      archive.read("seconds", value);
      earlier_seconds_ = value.toDouble();
      for (const auto& [key, window] : {std::pair{"losses", &losses_}, std::pair{"ngram_losses", &ngram_losses_}}) {
        archive.read(key, value);
        const auto list = value.toDoubleVector();
        window->assign(list.begin(), list.end());
      }
      std::vector<Tensor> state = optimizer_->state();
      const torch::NoGradGuard no_grad;
      for (std::size_t i = 0; i < state.size(); ++i) {
        Tensor saved;
        archive.read(fmt::format("t{}", i), saved);
        state[i].copy_(saved);
      }
      step_ = step;
    } catch (const c10::Error& error) {
      fail(ErrorCode::kCorruptData, "{}: expected a checkpoint, found: {}; remove it to start again",
           checkpoint_path_.string(), error.what_without_backtrace());
    }
  }

  const CaptionedImages& pairs_;
  const PretrainOptions& options_;
  std::filesystem::path folder_;
  const RunContext& context_;
  ClipModel model_;
  CaptionNgrams ngrams_;
  std::vector<std::int64_t> captions_;
  double mean_ngrams_ = 0.0;
  Tensor ngram_weight_, ngram_bias_;
  std::vector<Tensor> weights_;  ///< float32: what the optimiser moves
  Tensor scale_;                 ///< one of them: the logit scale
  std::unique_ptr<AdamW> optimizer_;
  std::vector<Worker> workers_;
  Crew crew_;
  std::vector<std::uint32_t> order_;
  std::size_t epoch_ = 0;
  std::int64_t step_ = 0;
  double started_ = 0.0;
  double earlier_seconds_ = 0.0;
  std::deque<double> losses_, ngram_losses_;
  std::filesystem::path checkpoint_path_;
  std::string fingerprint_;
};

}  // namespace

void PretrainOptions::validate() const {
  model.validate();
  const auto check = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      fail(ErrorCode::kInvalidArgument, "{}: expected {}..{}, found {}", name, low, high, value);
    }
  };
  check("steps", static_cast<double>(steps), 1, 1e9);
  check("batch", static_cast<double>(batch), 2, 65536);
  check("learning rate", learning_rate, 1e-9, 10.0);
  check("weight decay", weight_decay, 0.0, 10.0);
  check("warmup", warmup, 1e-6, 0.9);
  check("gradient clip", gradient_clip, 1e-6, 1e9);
  check("n-gram weight", ngram_weight, 0.0, 1e3);
  check("max seconds", max_seconds, 0.0, 1e9);
  check("checkpoint steps", static_cast<double>(checkpoint_steps), 1, 1e9);
}

PretrainResult pretrain(const CaptionedImages& pairs, const PretrainOptions& options,
                        const std::filesystem::path& folder, const RunContext& context) {
  options.validate();
  if (pairs.size() < 2) fail(ErrorCode::kInvalidArgument, "pairs: expected two or more, found {}", pairs.size());
  check_pairs(pairs, options.model);
#ifdef __GLIBC__
  // Activations are tens of megabytes: given back to the system after each operation, they cost more in page faults
  // than in arithmetic.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
#endif
  const SingleThreadedProducts single;
  at::Context::setFlushDenormal(true);
  try {
    return Trainer(pairs, options, folder, context).run();
  } catch (const c10::Error& error) {
    fail(ErrorCode::kResourceLimit, "pretrain: libtorch: {}", error.what_without_backtrace());
  }
}

}  // namespace imagerank::clip
