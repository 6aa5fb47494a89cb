#include "imagerank/scorer.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>

#include "core/fail.h"
#include "core/half.h"
#include "core/progress.h"
#include "encoding/image_pipeline.h"
#include "scoring/rewarded_encoder.h"

namespace imagerank {
namespace {

/// Prompts whose vectors are kept: a caller that scores block by block asks for the same ones again.
constexpr std::size_t kMaxKeptPrompts = 1 << 14;

/// Vectors a call of the head, which is small beside the towers.
constexpr std::size_t kScoredAtOnce = 256;

ScoredImage failed_item(std::string reason, std::string detail) {
  return {std::numeric_limits<float>::quiet_NaN(), std::move(reason), std::move(detail), 0.0F};
}

}  // namespace

struct Scorer::State {
  scoring::RewardedEncoder loaded;
  int threads = 1;
  std::size_t batch = 0;
  std::unordered_map<std::string, std::vector<float>> prompts;

  using Source = std::function<encoding::ImageSource(std::size_t)>;
  using Prompt = std::function<const std::string&(std::size_t)>;
  std::vector<ScoredImage> run(std::size_t count, const Source& source, const Prompt& prompt);

 private:
  void encode_prompts(std::size_t count, const Prompt& prompt);
};

void Scorer::State::encode_prompts(std::size_t count, const Prompt& prompt) {
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < count; ++i) {
    if (!prompts.contains(prompt(i))) missing.push_back(prompt(i));
  }
  std::ranges::sort(missing);
  const auto repeated = std::ranges::unique(missing);
  missing.erase(repeated.begin(), repeated.end());
  if (missing.empty()) return;
  const std::vector<float> vectors = loaded.encoder->embed_texts(missing).values;
  const std::size_t dim = loaded.encoder->dim();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const auto row = std::span(vectors).subspan(i * dim, dim);
    prompts.emplace(std::move(missing[i]), std::vector<float>(row.begin(), row.end()));
  }
}

std::vector<ScoredImage> Scorer::State::run(std::size_t count, const Source& source, const Prompt& prompt) {
  if (prompts.size() > kMaxKeptPrompts) prompts.clear();
  const bool reads_text = loaded.reward.reads_text();
  if (reads_text) encode_prompts(count, prompt);
  std::vector<ScoredImage> results(count);
  std::vector<float> images;
  std::vector<float> texts;
  std::vector<std::size_t> good;
  const auto score_block = [&] {
    if (good.empty()) return;
    const reward::Scores scores = loaded.reward.score(images, texts, good.size());
    for (std::size_t i = 0; i < good.size(); ++i) {
      results[good[i]].score = scores.score[i];
      if (!scores.deviation.empty()) results[good[i]].deviation = scores.deviation[i];
    }
    images.clear();
    texts.clear();
    good.clear();
  };
  RunContext context;
  context.threads = threads;
  encoding::ImageList list;
  list.count = count;
  list.source = source;
  encoding::encode_images(
      encoding::vision_tower(*loaded.encoder, batch), list, context, [&](encoding::ImageResult&& result) {
        if (result.failure) {
          results[result.index] = failed_item(std::move(result.failure->reason), std::move(result.failure->detail));
          return;
        }
        good.push_back(result.index);
        // As the cache rounds them, so that scores here and those of `eval` are the same bits.
        for (const float value : result.vector) images.push_back(float_from_half(half_from_float(value)));
        if (reads_text) {
          const std::vector<float>& text = prompts.at(prompt(result.index));
          texts.insert(texts.end(), text.begin(), text.end());
        }
        if (good.size() == kScoredAtOnce) score_block();
      });
  score_block();
  return results;
}

Scorer::Scorer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Scorer Scorer::load(const std::filesystem::path& reward, const ScorerOptions& options) {
  if (options.threads < 0 || options.threads > 1024 || options.batch > 4096) {
    fail(ErrorCode::kInvalidArgument, "scorer: expected threads 0 to 1024 and batch 0 to 4096, found {} and {}",
         options.threads, options.batch);
  }
  scoring::RewardedEncoder loaded =
      scoring::load_rewarded_encoder(reward, {.model = options.model, .tokenizer = options.tokenizer});
  RunContext context;
  context.threads = options.threads;
  std::unique_ptr<State> state(new State{std::move(loaded), context.thread_count(), options.batch, {}});
  return Scorer(std::move(state));
}

std::vector<ScoredImage> Scorer::score(const std::string& prompt, std::span<const std::filesystem::path> images) const {
  return state_->run(
      images.size(), [&](std::size_t i) { return encoding::ImageSource{images[i].string(), images[i]}; },
      // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): it outlives run()
      [&](std::size_t) -> const std::string& { return prompt; });
}

std::vector<ScoredImage> Scorer::score(const std::string& prompt,
                                       std::span<const std::span<const std::byte>> images) const {
  return state_->run(
      images.size(), [&](std::size_t i) { return encoding::ImageSource{std::to_string(i), images[i]}; },
      // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): it outlives run()
      [&](std::size_t) -> const std::string& { return prompt; });
}

std::vector<ScoredImage> Scorer::score(std::span<const ImagePrompt> items) const {
  return state_->run(
      items.size(), [&](std::size_t i) { return encoding::ImageSource{items[i].image.string(), items[i].image}; },
      [&](std::size_t i) -> const std::string& { return items[i].prompt; });
}

std::vector<float> Scorer::score_embeddings(std::span<const float> images, std::span<const float> texts,
                                            std::size_t count) const {
  return state_->loaded.reward.score(images, texts, count).score;
}

std::size_t Scorer::dim() const noexcept { return state_->loaded.reward.dim(); }
int Scorer::ensemble() const noexcept { return state_->loaded.reward.ensemble(); }
const std::string& Scorer::head() const noexcept { return state_->loaded.reward.head(); }
const std::string& Scorer::loss() const noexcept { return state_->loaded.reward.loss(); }
const std::string& Scorer::encoder() const noexcept { return state_->loaded.encoder->name(); }
bool Scorer::untrained() const noexcept { return state_->loaded.encoder->untrained(); }

}  // namespace imagerank
