#include "imagerank/scorer.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <new>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "clip/encoder.h"
#include "core/fail.h"
#include "core/progress.h"
#include "images/decode.h"
#include "images/preprocess.h"
#include "reward/reward.h"

namespace imagerank {
namespace {

/// Prompts whose vectors are kept: a caller that scores block by block asks for the same ones again.
constexpr std::size_t kMaxKeptPrompts = 1 << 14;

ScoredImage failed_item(std::string reason, std::string detail) {
  return {std::numeric_limits<float>::quiet_NaN(), std::move(reason), std::move(detail)};
}

clip::Precision precision_of(const nlohmann::json& record) {
  return record.value("precision", "fp32") == "bf16" ? clip::Precision::kBf16 : clip::Precision::kFp32;
}

clip::Encoder load_encoder(const reward::Reward& reward, const std::filesystem::path& folder,
                           const ScorerOptions& options) {
  const std::string model = options.model.empty() ? reward.model() : options.model;
  if (model.empty()) {
    fail(ErrorCode::kInvalidArgument, "reward {}: it does not say where its encoder {} is; give --model",
         folder.string(), reward.encoder());
  }
  clip::EncoderOptions encoder_options;
  encoder_options.precision = precision_of(reward.record());
  encoder_options.allow_untrained = true;  // the reward was trained on it: whoever did that has been warned
  const bool same_place = options.model.empty() || options.model == reward.model();
  encoder_options.tokenizer_dir =
      options.tokenizer.empty() && same_place ? reward.record().value("tokenizer", "") : options.tokenizer;
  clip::Encoder encoder = clip::Encoder::load(model, encoder_options);
  if (encoder.name() != reward.encoder()) {
    fail(ErrorCode::kRefused, "reward {}: trained on encoder {}, but {} is {}: its scores would mean nothing",
         folder.string(), reward.encoder(), model, encoder.name());
  }
  return encoder;
}

}  // namespace

struct Scorer::State {
  reward::Reward reward;
  clip::Encoder encoder;
  int threads = 1;
  std::size_t batch = 32;
  std::unordered_map<std::string, std::vector<float>> prompts;

  using Load = std::function<images::Image(std::size_t)>;
  std::vector<ScoredImage> run(std::size_t count, const Load& load,
                               const std::function<const std::string&(std::size_t)>& prompt);

 private:
  void encode_prompts(std::size_t count, const std::function<const std::string&(std::size_t)>& prompt);
  void prepare(std::size_t begin, std::size_t end, const Load& load, std::vector<std::vector<float>>& pixels,
               std::vector<ScoredImage>& results) const;
};

void Scorer::State::encode_prompts(std::size_t count, const std::function<const std::string&(std::size_t)>& prompt) {
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < count; ++i) {
    if (!prompts.contains(prompt(i))) missing.push_back(prompt(i));
  }
  std::ranges::sort(missing);
  const auto repeated = std::ranges::unique(missing);
  missing.erase(repeated.begin(), repeated.end());
  if (missing.empty()) return;
  const std::vector<float> vectors = encoder.embed_texts(missing).values;
  const std::size_t dim = encoder.dim();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const auto row = std::span(vectors).subspan(i * dim, dim);
    prompts.emplace(std::move(missing[i]), std::vector<float>(row.begin(), row.end()));
  }
}

/// Files to tensors on several threads: decoding costs more than a small tower.
void Scorer::State::prepare(std::size_t begin, std::size_t end, const Load& load,
                            std::vector<std::vector<float>>& pixels, std::vector<ScoredImage>& results) const {
  pixels.assign(end - begin, {});
  std::atomic<std::size_t> next = begin;
  const auto work = [&] {
    for (std::size_t i = next++; i < end; i = next++) {
      try {
        pixels[i - begin] = images::preprocess(load(i), encoder.preprocessing());
      } catch (const Error& error) {
        results[i] = failed_item(images::failure_reason(error.code()), error.what());
      } catch (const std::bad_alloc&) {
        results[i] = failed_item("too_large", "out of memory");
      }
    }
  };
  std::vector<std::jthread> helpers;
  const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(threads), end - begin);
  for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
  work();
}

std::vector<ScoredImage> Scorer::State::run(std::size_t count, const Load& load,
                                            const std::function<const std::string&(std::size_t)>& prompt) {
  if (prompts.size() > kMaxKeptPrompts) prompts.clear();
  encode_prompts(count, prompt);
  std::vector<ScoredImage> results(count);
  std::vector<std::vector<float>> pixels;
  for (std::size_t begin = 0; begin < count; begin += batch) {
    const std::size_t end = std::min(count, begin + batch);
    prepare(begin, end, load, pixels, results);
    std::vector<float> whole;
    std::vector<float> texts;
    std::vector<std::size_t> good;
    for (std::size_t i = begin; i < end; ++i) {
      if (!results[i].ok()) continue;
      good.push_back(i);
      whole.insert(whole.end(), pixels[i - begin].begin(), pixels[i - begin].end());
      const std::vector<float>& text = prompts.at(prompt(i));
      texts.insert(texts.end(), text.begin(), text.end());
    }
    if (good.empty()) continue;
    const std::vector<float> vectors = encoder.embed_pixels(whole, good.size());
    const std::vector<float> scores = reward.score(vectors, texts, good.size()).score;
    for (std::size_t i = 0; i < good.size(); ++i) results[good[i]].score = scores[i];
  }
  return results;
}

Scorer::Scorer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Scorer Scorer::load(const std::filesystem::path& reward, const ScorerOptions& options) {
  if (options.threads < 0 || options.threads > 1024 || options.batch < 1 || options.batch > 4096) {
    fail(ErrorCode::kInvalidArgument, "scorer: expected threads 0 to 1024 and batch 1 to 4096, found {} and {}",
         options.threads, options.batch);
  }
  reward::Reward head = reward::Reward::load(reward);
  clip::Encoder encoder = load_encoder(head, reward, options);
  if (encoder.dim() != head.dim()) {
    fail(ErrorCode::kCorruptData, "reward {}: takes vectors of dimension {}, its encoder gives {}", reward.string(),
         head.dim(), encoder.dim());
  }
  RunContext context;
  context.threads = options.threads;
  std::unique_ptr<State> state(
      new State{std::move(head), std::move(encoder), context.thread_count(), options.batch, {}});
  return Scorer(std::move(state));
}

std::vector<ScoredImage> Scorer::score(const std::string& prompt, std::span<const std::filesystem::path> images) const {
  return state_->run(
      images.size(), [&](std::size_t i) { return images::load_image(images[i]); },
      // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): it outlives run()
      [&](std::size_t) -> const std::string& { return prompt; });
}

std::vector<ScoredImage> Scorer::score(const std::string& prompt,
                                       std::span<const std::span<const std::byte>> images) const {
  return state_->run(
      images.size(), [&](std::size_t i) { return images::decode_image(images[i]); },
      // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): it outlives run()
      [&](std::size_t) -> const std::string& { return prompt; });
}

std::vector<ScoredImage> Scorer::score(std::span<const ImagePrompt> items) const {
  return state_->run(
      items.size(), [&](std::size_t i) { return images::load_image(items[i].image); },
      [&](std::size_t i) -> const std::string& { return items[i].prompt; });
}

std::vector<float> Scorer::score_embeddings(std::span<const float> images, std::span<const float> texts,
                                            std::size_t count) const {
  return state_->reward.score(images, texts, count).score;
}

std::size_t Scorer::dim() const noexcept { return state_->reward.dim(); }
const std::string& Scorer::head() const noexcept { return state_->reward.head(); }
const std::string& Scorer::loss() const noexcept { return state_->reward.loss(); }
const std::string& Scorer::encoder() const noexcept { return state_->reward.encoder(); }
bool Scorer::untrained() const noexcept { return state_->encoder.untrained(); }

}  // namespace imagerank
