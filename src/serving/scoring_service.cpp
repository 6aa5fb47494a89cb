#include "serving/scoring_service.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <span>
#include <thread>
#include <utility>

#include "clip/models.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/hash.h"
#include "core/progress.h"
#include "images/preprocess.h"
#include "serving/vector_cache.h"

namespace imagerank::serving {
namespace {

using Clock = std::chrono::steady_clock;

/// An encoder that is served, and the vectors it gave.
struct ServedEncoder {
  scoring::SharedEncoder encoder;
  VectorCache images;
  VectorCache prompts;
  VectorCache pairs;        ///< of a cross-encoder: one number, by image and prompt
  bool reads_text = false;  ///< a reward of it does; otherwise it may have no tokenizer

  ServedEncoder(scoring::SharedEncoder loaded, std::size_t cached)
      : encoder(std::move(loaded)), images(cached), prompts(cached), pairs(cached) {}
};

struct ServedReward {
  reward::Reward reward;
  std::vector<std::size_t> encoders;  ///< one for each of reward.needs(): indices of the served encoders

  [[nodiscard]] bool uses(std::size_t encoder) const { return std::ranges::find(encoders, encoder) != encoders.end(); }
};

/// What one encoder gave for a batch's tasks; null where it was not asked, or there is no image or prompt.
struct BatchVectors {
  std::vector<VectorCache::Vector> images, prompts, pairs;  ///< [tasks]
};

/// A request under way.
struct Job {
  Work work;
  Results results;
  std::size_t left = 0;  ///< items that are not done; the queue's mutex
  std::function<void(Results&&)> done;
};

struct Task {
  std::shared_ptr<Job> job;
  std::size_t item = 0;
  Clock::time_point since;

  [[nodiscard]] const Item& what() const { return job->work.items[item]; }
  [[nodiscard]] ItemResult& result() const { return job->results[item]; }
};

void set_failure(const Task& task, std::string reason, std::string detail) {
  ItemResult& result = task.result();
  result.failure = {fmt::format("item {}", task.item), std::move(reason), std::move(detail)};
  result.scores.assign(task.job->work.rewards.size(), std::numeric_limits<float>::quiet_NaN());
  result.vector.clear();
}

/// Appends the task's image, prepared. @return false if it failed, which is noted.
bool append_pixels(const Task& task, const images::PreprocessOptions& preprocessing, const images::DecodeLimits& limits,
                   std::vector<float>& pixels) {
  try {
    const auto bytes = std::as_bytes(std::span(*task.what().image));
    const std::vector<float> own = images::preprocess(images::decode_image(bytes, limits), preprocessing);
    pixels.insert(pixels.end(), own.begin(), own.end());
    return true;
  } catch (const Error& error) {
    set_failure(task, images::failure_reason(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    set_failure(task, "too_large", "out of memory");
  }
  return false;
}

std::optional<double> temperature_of(const reward::Reward& reward) {
  const auto calibration = reward.record().find("calibration");
  if (calibration == reward.record().end() || !calibration->is_object()) return std::nullopt;
  const auto temperature = calibration->find("temperature");
  if (temperature == calibration->end() || !temperature->is_number()) return std::nullopt;
  const auto value = temperature->get<double>();
  return value > 0.0 ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<std::size_t> find_reward(const std::vector<RewardInfo>& rewards, const std::string& name) noexcept {
  const auto found = std::ranges::find(rewards, name, &RewardInfo::name);
  if (found == rewards.end()) return std::nullopt;
  return static_cast<std::size_t>(found - rewards.begin());
}

void ServiceOptions::validate() const {
  if (image_urls && (url_threads < 1 || url_threads > 1024)) {
    fail(ErrorCode::kInvalidArgument, "serve: expected 1 to 1024 threads for URLs, found {}", url_threads);
  }
  if (threads < 0 || threads > 1024 || max_batch > 4096 || max_wait_ms < 0 || max_wait_ms > 10'000 || max_queued == 0) {
    fail(ErrorCode::kInvalidArgument,
         "serve: expected threads 0 to 1024, a batch of 0 to 4096, a wait of 0 to 10000 ms and a queue of 1 or more, "
         "found {}, {}, {} and {}",
         threads, max_batch, max_wait_ms, max_queued);
  }
}

struct ScoringService::State {
  ServiceOptions options;
  std::vector<std::unique_ptr<ServedEncoder>> encoders;
  std::vector<ServedReward> rewards;
  std::vector<RewardInfo> infos;
  std::mutex head_mutex;  // heads are small beside the towers, and not thread-safe

  std::mutex mutex;  // all below
  std::condition_variable ready;
  std::deque<Task> queue;
  std::size_t downloading = 0;  // tasks that wait for their image
  ServiceCounts counts;
  bool draining = false;
  bool stopped = false;
  std::optional<Downloads> downloads;
  std::vector<std::jthread> workers;  // the last: they use the others

  void load(const std::vector<RewardSource>& sources, const scoring::EncoderPlace& place);
  void work();
  std::vector<Task> take_batch();
  void run(const std::vector<Task>& batch);
  void run_on(std::size_t encoder, const std::vector<Task>& batch, BatchVectors& vectors);
  void finish(const std::vector<Task>& batch);
  void download(const Task& task);
  [[nodiscard]] bool uses(const Task& task, std::size_t encoder) const;
  std::vector<VectorCache::Vector> prompt_vectors(ServedEncoder& encoder, const std::vector<Task>& tasks);
  std::vector<VectorCache::Vector> image_vectors(ServedEncoder& encoder, const std::vector<Task>& tasks);
  std::vector<VectorCache::Vector> pair_scores(ServedEncoder& encoder, const std::vector<Task>& tasks);
  void score(std::size_t reward, const std::vector<Task>& tasks, const std::vector<BatchVectors>& vectors);
};

void ScoringService::State::load(const std::vector<RewardSource>& sources, const scoring::EncoderPlace& place) {
  std::set<std::string> names;
  scoring::EncoderShelf shelf;
  for (const RewardSource& source : sources) {
    if (!names.insert(source.name).second) {
      fail(ErrorCode::kInvalidArgument, "--reward: expected different names, found '{}' twice", source.name);
    }
    auto [reward, loaded] =
        scoring::load_rewarded_encoder(source.folder, scoring::place_for(source.folder, place), shelf);
    infos.push_back({source.name, reward.head(), reward.loss(), loaded.front().name(), reward.dim(), false,
                     temperature_of(reward)});
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      const auto same = std::ranges::find_if(encoders, [&](const auto& each) { return each->encoder == loaded[i]; });
      indices.push_back(static_cast<std::size_t>(same - encoders.begin()));
      if (same == encoders.end()) {
        encoders.push_back(std::make_unique<ServedEncoder>(loaded[i], options.cached_vectors));
      }
      ServedEncoder& served = *encoders[indices.back()];
      served.reads_text = served.reads_text || reward.needs()[i].reads_text;
      infos.back().untrained = infos.back().untrained || loaded[i].untrained();
    }
    rewards.push_back({std::move(reward), std::move(indices)});
  }
}

void ScoringService::State::work() {
  clip::set_tower_threads(1);  // workers are as many as cores: a product's own threads would only get in their way
  for (;;) {
    const std::vector<Task> batch = take_batch();  // gone before the next is waited for: it holds requests
    if (batch.empty()) return;
    run(batch);
    finish(batch);
  }
}

/// Waits for work. @return empty once stopped and all is done.
std::vector<Task> ScoringService::State::take_batch() {
  std::unique_lock lock(mutex);
  const std::size_t most = options.max_batch;
  for (;;) {
    ready.wait(lock, [&] { return stopped || !queue.empty(); });
    if (queue.empty()) return {};
    const Clock::time_point full = queue.front().since + std::chrono::milliseconds(options.max_wait_ms);
    if (stopped || queue.size() >= most || Clock::now() >= full) break;
    ready.wait_until(lock, full);  // another worker may take all there is meanwhile
  }
  // What is too little for a whole batch each is shared among the workers.
  const std::size_t share = (queue.size() + workers.size() - 1) / workers.size();
  std::vector<Task> batch;
  for (std::size_t i = std::min(most, share); i > 0; --i) {
    batch.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  if (!batch.empty()) ++counts.batches;
  return batch;
}

bool ScoringService::State::uses(const Task& task, std::size_t encoder) const {
  const Work& work = task.job->work;
  if (work.vectors) return rewards[work.rewards.front()].encoders.front() == encoder;
  return std::ranges::any_of(work.rewards, [&](std::size_t reward) { return rewards[reward].uses(encoder); });
}

void ScoringService::State::run(const std::vector<Task>& batch) {
  std::vector<BatchVectors> vectors(encoders.size());
  for (std::size_t encoder = 0; encoder < encoders.size(); ++encoder) run_on(encoder, batch, vectors[encoder]);
  for (std::size_t reward = 0; reward < rewards.size(); ++reward) {
    try {
      score(reward, batch, vectors);
    } catch (const std::exception& error) {  // of those that asked for it, and of nobody else
      for (const Task& task : batch) {
        const Work& work = task.job->work;
        const bool asked = std::ranges::find(work.rewards, reward) != work.rewards.end();
        if (asked && !work.vectors) set_failure(task, "internal", error.what());
      }
    }
  }
}

void ScoringService::State::run_on(std::size_t encoder, const std::vector<Task>& batch, BatchVectors& vectors) {
  vectors.images.resize(batch.size());
  vectors.prompts.resize(batch.size());
  vectors.pairs.resize(batch.size());
  std::vector<Task> tasks;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!uses(batch[i], encoder) || batch[i].result().failure) continue;
    tasks.push_back(batch[i]);
    places.push_back(i);
  }
  if (tasks.empty()) return;
  try {
    if (encoders[encoder]->encoder.cross) {
      const std::vector<VectorCache::Vector> pairs = pair_scores(*encoders[encoder], tasks);
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        vectors.pairs[places[i]] = pairs[i];
        if (pairs[i] != nullptr) tasks[i].result().truncated = tasks[i].result().truncated || pairs[i]->truncated;
      }
      return;
    }
    const std::vector<VectorCache::Vector> prompts = prompt_vectors(*encoders[encoder], tasks);
    const std::vector<VectorCache::Vector> images = image_vectors(*encoders[encoder], tasks);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      ItemResult& result = tasks[i].result();
      if (prompts[i] != nullptr) result.truncated = result.truncated || prompts[i]->truncated;
      vectors.prompts[places[i]] = prompts[i];
      vectors.images[places[i]] = images[i];
      if (!tasks[i].job->work.vectors || result.failure) continue;
      const CachedVector& given = *(images[i] != nullptr ? images[i] : prompts[i]);
      result.vector = given.values;
      result.tokens = given.tokens;
    }
  } catch (const std::exception& error) {  // of all of them, and of nobody else
    for (const Task& task : tasks) set_failure(task, "internal", error.what());
  }
}

/// [tasks]; null where there is no prompt.
std::vector<VectorCache::Vector> ScoringService::State::prompt_vectors(ServedEncoder& encoder,
                                                                       const std::vector<Task>& tasks) {
  std::vector<VectorCache::Vector> vectors(tasks.size());
  std::map<std::string, VectorCache::Vector> missing;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& prompt = tasks[i].what().prompt;
    if (!prompt || (!encoder.reads_text && !tasks[i].job->work.vectors)) continue;
    vectors[i] = encoder.prompts.find(*prompt);
    if (vectors[i] == nullptr) missing.emplace(*prompt, nullptr);
    hits += vectors[i] != nullptr ? 1 : 0;
  }
  std::vector<std::string> texts;
  for (const auto& [text, vector] : missing) texts.push_back(text);
  if (!texts.empty()) {
    const clip::TextEmbeddings encoded = encoder.encoder.towers->embed_texts(texts);
    const std::size_t dim = encoder.encoder.towers->dim();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto row = std::span(encoded.values).subspan(i * dim, dim);
      const VectorCache::Vector vector = std::make_shared<const CachedVector>(
          CachedVector{{row.begin(), row.end()}, encoded.truncated[i], encoded.tokens[i]});
      missing[texts[i]] = vector;
      encoder.prompts.put(texts[i], vector);
    }
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& prompt = tasks[i].what().prompt;
    if (vectors[i] != nullptr || !prompt) continue;
    if (const auto made = missing.find(*prompt); made != missing.end()) vectors[i] = made->second;
  }
  const std::lock_guard lock(mutex);
  counts.prompt_cache_hits += hits;
  counts.prompts_encoded += texts.size();
  return vectors;
}

/// [tasks]; null where there is no image, or it failed, which is noted.
std::vector<VectorCache::Vector> ScoringService::State::image_vectors(ServedEncoder& encoder,
                                                                      const std::vector<Task>& tasks) {
  std::vector<VectorCache::Vector> vectors(tasks.size());
  std::vector<std::size_t> good;
  std::vector<std::string> keys(tasks.size());
  std::vector<float> pixels;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& image = tasks[i].what().image;
    if (!image) continue;
    keys[i] = sha256_hex(*image);
    vectors[i] = encoder.images.find(keys[i]);
    if (vectors[i] != nullptr) {
      ++hits;
      continue;
    }
    if (append_pixels(tasks[i], encoder.encoder.towers->preprocessing(), options.decode, pixels)) good.push_back(i);
  }
  if (!good.empty()) {
    const std::size_t dim = encoder.encoder.towers->dim();
    std::vector<float> values(good.size() * dim);
    encoder.encoder.towers->embed_group(pixels, values);
    for (std::size_t i = 0; i < good.size(); ++i) {
      const auto row = std::span(values).subspan(i * dim, dim);
      vectors[good[i]] = std::make_shared<const CachedVector>(CachedVector{{row.begin(), row.end()}});
      encoder.images.put(keys[good[i]], vectors[good[i]]);
    }
  }
  const std::lock_guard lock(mutex);
  counts.image_cache_hits += hits;
  counts.images_encoded += good.size();
  return vectors;
}

/// [tasks], a number each; null where the image failed, which is noted. Each image is looked at once.
std::vector<VectorCache::Vector> ScoringService::State::pair_scores(ServedEncoder& encoder,
                                                                    const std::vector<Task>& tasks) {
  const blip::CrossEncoder& cross = *encoder.encoder.cross;
  std::vector<VectorCache::Vector> scores(tasks.size());
  std::map<std::string, std::vector<std::size_t>> missing;  // tasks by image
  const auto key = [&](const std::string& image, std::size_t task) {
    return fmt::format("{} {}", image, *tasks[task].what().prompt);
  };
  std::uint64_t hits = 0, images_encoded = 0, prompts_encoded = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string image = sha256_hex(*tasks[i].what().image);
    scores[i] = encoder.pairs.find(key(image, i));
    if (scores[i] == nullptr) missing[image].push_back(i);
    hits += scores[i] != nullptr ? 1 : 0;
  }
  for (const auto& [image, places] : missing) {
    std::vector<float> pixels;
    if (!append_pixels(tasks[places.front()], cross.preprocessing(), options.decode, pixels)) {
      const ItemFailure failure = *tasks[places.front()].result().failure;
      for (const std::size_t place : places) set_failure(tasks[place], failure.reason, failure.detail);
      continue;
    }
    std::map<std::string, blip::CrossPrompt> prompts;
    for (const std::size_t place : places) prompts.try_emplace(*tasks[place].what().prompt);
    std::vector<const blip::CrossPrompt*> read;
    for (auto& [text, prompt] : prompts) {
      prompt = cross.read_prompt(text);
      read.push_back(&prompt);
    }
    std::vector<float> values(read.size());
    cross.score(pixels, read, values);
    for (const std::size_t place : places) {
      const auto found = prompts.find(*tasks[place].what().prompt);
      const float value = values[static_cast<std::size_t>(std::distance(prompts.begin(), found))];
      scores[place] = std::make_shared<const CachedVector>(CachedVector{{value}, found->second.truncated});
      encoder.pairs.put(key(image, place), scores[place]);
    }
    ++images_encoded;
    prompts_encoded += prompts.size();
  }
  const std::lock_guard lock(mutex);
  counts.image_cache_hits += hits;
  counts.images_encoded += images_encoded;
  counts.prompts_encoded += prompts_encoded;
  return scores;
}

void ScoringService::State::score(std::size_t reward, const std::vector<Task>& tasks,
                                  const std::vector<BatchVectors>& vectors) {
  const ServedReward& served = rewards[reward];
  std::vector<std::pair<std::size_t, std::size_t>> rows;  // task, and place among the rewards it asks for
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Work& work = tasks[i].job->work;
    if (work.vectors || tasks[i].result().failure) continue;
    for (std::size_t place = 0; place < work.rewards.size(); ++place) {
      if (work.rewards[place] == reward) rows.emplace_back(i, place);
    }
  }
  if (rows.empty()) return;
  const std::size_t blocks = served.encoders.size();
  std::vector<std::vector<float>> images(blocks), prompts(blocks), pairs(blocks);
  std::vector<reward::VectorBlock> inputs;
  for (std::size_t block = 0; block < blocks; ++block) {
    const BatchVectors& given = vectors[served.encoders[block]];
    if (served.reward.needs()[block].kind == reward::EncoderKind::kCross) {
      for (const auto& [task, place] : rows) pairs[block].push_back(given.pairs[task]->values.front());
      inputs.push_back({{}, {}, pairs[block]});
      continue;
    }
    for (const auto& [task, place] : rows) {
      // As the cache of a workspace rounds them.
      for (const float value : given.images[task]->values) {
        images[block].push_back(float_from_half(half_from_float(value)));
      }
      if (!served.reward.needs()[block].reads_text) continue;
      const std::vector<float>& text = given.prompts[task]->values;
      prompts[block].insert(prompts[block].end(), text.begin(), text.end());
    }
    inputs.push_back({images[block], prompts[block]});
  }
  const std::lock_guard lock(head_mutex);
  const reward::Scores scores = served.reward.score(inputs, rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    ItemResult& result = tasks[rows[row].first].result();
    result.scores[rows[row].second] = scores.score[row];
    if (!scores.deviation.empty()) result.deviations[rows[row].second] = scores.deviation[row];
  }
}

void ScoringService::State::finish(const std::vector<Task>& batch) {
  std::vector<std::shared_ptr<Job>> finished;
  {
    const std::lock_guard lock(mutex);
    counts.items += batch.size();
    for (const Task& task : batch) {
      counts.failed += task.result().failure ? 1 : 0;
      if (--task.job->left == 0) finished.push_back(task.job);
    }
  }
  for (const auto& job : finished) job->done(std::move(job->results));
}

/// Gets the task's image; then the task waits for a worker as any other, or has failed.
void ScoringService::State::download(const Task& task) {
  downloads->get(*task.what().url, [this, task](http::Download&& got) {
    const bool good = got.problem.empty();
    if (good) {
      task.job->work.items[task.item].image = std::move(got.body);
    } else {
      set_failure(task, std::move(got.problem), std::move(got.detail));
    }
    {
      const std::lock_guard lock(mutex);
      --downloading;
      if (good) queue.push_back({task.job, task.item, Clock::now()});
    }
    if (good) {
      ready.notify_all();
    } else {
      finish({task});
    }
  });
}

ScoringService::ScoringService(const std::vector<RewardSource>& rewards, const scoring::EncoderPlace& place,
                               const ServiceOptions& options)
    : state_(std::make_unique<State>()) {
  options.validate();
  state_->options = options;
  state_->load(rewards, place);
  if (options.max_batch == 0) {
    constexpr std::size_t kCrossItems = 8;  // so that the prompts of an image share its look at it
    for (const auto& served : state_->encoders) {
      const auto& towers = served->encoder.towers;
      state_->options.max_batch = std::max(state_->options.max_batch, towers ? towers->group_size() : kCrossItems);
    }
  }
  if (options.image_urls) {
    http::DownloadLimits limits = options.urls;
    limits.max_bytes = options.decode.max_file_bytes;
    state_->downloads.emplace(limits, options.url_threads);
  }
  RunContext context;
  context.threads = options.threads;
  const std::lock_guard lock(state_->mutex);  // workers count each other
  for (int i = 0; i < context.thread_count(); ++i) {
    state_->workers.emplace_back([state = state_.get()] { state->work(); });
  }
}

ScoringService::~ScoringService() {
  drain();
  state_->downloads.reset();  // what it gets is scored yet
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopped = true;
  }
  state_->ready.notify_all();
  for (std::jthread& worker : state_->workers) worker.join();
}

bool ScoringService::submit(Work work, std::function<void(Results&&)> done) {
  if (work.items.empty() || work.rewards.empty()) {
    fail(ErrorCode::kInvalidArgument, "scoring: expected an item and a reward, found {} and {}", work.items.size(),
         work.rewards.size());
  }
  if (work.vectors) {
    const ServedReward& first = state_->rewards[work.rewards.front()];
    if (first.reward.needs().front().kind == reward::EncoderKind::kCross) {
      fail(ErrorCode::kInvalidArgument, "model {}: it judges an image and its prompt together, and has no vectors",
           state_->infos[work.rewards.front()].name);
    }
  }
  for (const Item& item : work.items) {
    const bool has_image = item.image || item.url;
    if (work.vectors ? !has_image && !item.prompt : !has_image || !item.prompt) {
      fail(ErrorCode::kInvalidArgument, "scoring: expected an image and a prompt with each item");
    }
    if (item.url && !state_->options.image_urls) {
      fail(ErrorCode::kInvalidArgument, "scoring: expected an image's bytes, found a URL");
    }
  }
  const auto job = std::make_shared<Job>();
  job->results.resize(work.items.size());
  if (!work.vectors) {
    for (ItemResult& result : job->results) {
      result.scores.resize(work.rewards.size());
      result.deviations.resize(work.rewards.size());
    }
  }
  job->left = work.items.size();
  job->work = std::move(work);
  job->done = std::move(done);
  std::vector<Task> to_download;
  {
    const std::lock_guard lock(state_->mutex);
    const std::size_t waiting = state_->queue.size() + state_->downloading;
    if (state_->draining || waiting + job->left > state_->options.max_queued) return false;
    const Clock::time_point now = Clock::now();
    for (std::size_t i = 0; i < job->work.items.size(); ++i) {
      const bool here = !job->work.items[i].url;
      if (here) state_->queue.push_back({job, i, now});
      state_->downloading += here ? 0 : 1;
      if (!here) to_download.push_back({job, i, now});
    }
  }
  state_->ready.notify_all();
  for (const Task& task : to_download) state_->download(task);
  return true;
}

void ScoringService::drain() {
  const std::lock_guard lock(state_->mutex);
  state_->draining = true;
}

bool ScoringService::draining() const {
  const std::lock_guard lock(state_->mutex);
  return state_->draining;
}

const std::vector<RewardInfo>& ScoringService::rewards() const noexcept { return state_->infos; }

ServiceCounts ScoringService::counts() const {
  const std::lock_guard lock(state_->mutex);
  ServiceCounts counts = state_->counts;
  counts.queued = state_->queue.size() + state_->downloading;
  return counts;
}

}  // namespace imagerank::serving
