#include "imagerank/scorer.h"

#include <algorithm>
#include <utility>

#include "core/fail.h"
#include "core/progress.h"
#include "scoring/scored_rewards.h"

namespace imagerank {

struct Scorer::State {
  scoring::ScoredRewards rewards;

  [[nodiscard]] const reward::Reward& reward() const { return rewards.rewards().front().reward; }
  [[nodiscard]] const scoring::SharedEncoder& encoder() const { return rewards.rewards().front().encoders.front(); }
  std::vector<ScoredImage> run(std::size_t count, const scoring::ScoredRewards::Source& source,
                               const scoring::ScoredRewards::Prompt& prompt) {
    return std::move(rewards.run(count, source, prompt).front());
  }
};

Scorer::Scorer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Scorer::~Scorer() = default;

Scorer Scorer::load(const std::filesystem::path& reward, const ScorerOptions& options) {
  if (options.threads < 0 || options.threads > 1024 || options.batch > 4096) {
    fail(ErrorCode::kInvalidArgument, "scorer: expected threads 0 to 1024 and batch 0 to 4096, found {} and {}",
         options.threads, options.batch);
  }
  scoring::EncoderShelf shelf;
  std::vector<scoring::RewardedEncoder> loaded;
  loaded.push_back(scoring::load_rewarded_encoder(
      reward, {.model = options.model, .tokenizer = options.tokenizer, .hps_antialias = options.hps_antialias}, shelf));
  RunContext context;
  context.threads = options.threads;
  return Scorer(std::unique_ptr<State>(
      new State{scoring::ScoredRewards(std::move(loaded), context.thread_count(), options.batch)}));
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
  return state_->reward().score(images, texts, count).score;
}

std::size_t Scorer::dim() const noexcept { return state_->reward().dim(); }
int Scorer::ensemble() const noexcept { return state_->reward().ensemble(); }
const std::string& Scorer::head() const noexcept { return state_->reward().head(); }
const std::string& Scorer::loss() const noexcept { return state_->reward().loss(); }
const std::string& Scorer::encoder() const noexcept { return state_->encoder().name(); }
bool Scorer::untrained() const noexcept { return state_->rewards.untrained(); }

}  // namespace imagerank
