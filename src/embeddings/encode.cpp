#include "embeddings/encode.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "embeddings/embedding_cache.h"
#include "images/decode.h"
#include "images/preprocess.h"

namespace imagerank::embeddings {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// An image on its way to the tower.
struct Prepared {
  std::vector<float> pixels;  ///< [3, S, S], empty if it failed
  std::string content;        ///< sha256 of the file
  std::optional<ItemFailure> failure;
};

Prepared prepare(const workspace::Workspace& workspace, const workspace::Image& image,
                 const images::PreprocessOptions& options) {
  Prepared prepared;
  try {
    if (image.path.empty()) {
      prepared.failure = {image.image_uid, "not_fetched", "no file; run `imagerank fetch` first"};
      return prepared;
    }
    const std::filesystem::path path = workspace.resolve(image);
    const std::string bytes = load_file(path, images::DecodeLimits{}.max_file_bytes);
    prepared.content = sha256_hex(bytes);
    prepared.pixels = images::preprocess(images::decode_image(std::as_bytes(std::span(bytes))), options);
  } catch (const Error& error) {
    prepared.failure = {image.image_uid, images::failure_reason(error.code()), error.what()};
  }
  return prepared;
}

/// Prepares images[first, last) on `threads` threads, in order of the result.
std::vector<Prepared> prepare_chunk(const workspace::Workspace& workspace,
                                    std::span<const workspace::Image* const> images,
                                    const images::PreprocessOptions& options, int threads) {
  std::vector<Prepared> prepared(images.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < images.size(); i = next++) prepared[i] = prepare(workspace, *images[i], options);
  };
  std::vector<std::jthread> workers;
  for (int i = 1; i < threads; ++i) workers.emplace_back(work);
  work();
  workers.clear();
  return prepared;
}

/// Saves a cache no more often than the interval, and never spends more than a small share of the time on it.
class Checkpoints {
 public:
  Checkpoints(const EmbeddingCache& cache, double interval_s) : cache_(cache), interval_s_(interval_s) {}
  void maybe_save() {
    if (seconds_since(last_) < interval_s_) return;
    save();
  }
  void save() {
    const Clock::time_point start = Clock::now();
    cache_.save();
    constexpr double kShare = 20.0;
    interval_s_ = std::max(interval_s_, kShare * seconds_since(start));
    last_ = Clock::now();
  }

 private:
  const EmbeddingCache& cache_;
  double interval_s_;
  Clock::time_point last_ = Clock::now();
};

/// Sends prepared images through the tower in batches, adds their vectors.
void embed_chunk(const clip::Encoder& encoder, std::span<const workspace::Image* const> images,
                 std::vector<Prepared>& prepared, std::size_t batch, EmbeddingCache& cache, EncodeCounts& counts) {
  std::vector<std::size_t> good;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    if (prepared[i].failure) {
      counts.failed.push_back(std::move(*prepared[i].failure));
    } else {
      good.push_back(i);
    }
  }
  const std::size_t dim = encoder.dim();
  std::vector<float> pixels;
  for (std::size_t first = 0; first < good.size(); first += batch) {
    const std::size_t count = std::min(batch, good.size() - first);
    pixels.clear();
    for (std::size_t i = first; i < first + count; ++i) {
      const std::vector<float>& item = prepared[good[i]].pixels;
      pixels.insert(pixels.end(), item.begin(), item.end());
    }
    const std::vector<float> vectors = encoder.embed_pixels(pixels, count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = good[first + i];
      cache.add(images[at]->image_uid, prepared[at].content, std::span(vectors).subspan(i * dim, dim));
    }
  }
}

void encode_images(const workspace::Workspace& workspace, const std::vector<workspace::Image>& all,
                   const clip::Encoder& encoder, const EncodeOptions& options, const RunContext& context,
                   EncodeCounts& counts) {
  EmbeddingCache cache = EmbeddingCache::open(workspace.embeddings_dir(encoder.name()), "image");
  std::vector<const workspace::Image*> todo;
  for (const workspace::Image& image : all) {
    const std::size_t row = cache.find(image.image_uid);
    // Without a recorded hash there is no telling whether the file changed: encode it.
    if (row != EmbeddingCache::npos && !image.sha256.empty() && cache.content(row) == image.sha256) {
      ++counts.cached;
    } else {
      todo.push_back(&image);
    }
  }
  const Clock::time_point start = Clock::now();
  const std::size_t chunk = options.batch * 4;
  const auto chunk_at = [&](std::size_t first) {
    return std::span<const workspace::Image* const>(todo).subspan(first, std::min(chunk, todo.size() - first));
  };
  const auto launch = [&](std::size_t first) {
    return std::async(std::launch::async, [&, first] {
      return prepare_chunk(workspace, chunk_at(first), encoder.preprocessing(), context.thread_count());
    });
  };
  Checkpoints checkpoints(cache, options.checkpoint_interval_s);
  std::future<std::vector<Prepared>> ahead;
  if (!todo.empty()) ahead = launch(0);
  for (std::size_t first = 0; first < todo.size(); first += chunk) {
    std::vector<Prepared> prepared = ahead.get();
    if (first + chunk < todo.size()) ahead = launch(first + chunk);
    embed_chunk(encoder, chunk_at(first), prepared, options.batch, cache, counts);
    context.report({"encode images", std::min(first + chunk, todo.size()), todo.size(), ""});
    if (context.stop.stop_requested()) {
      if (ahead.valid()) ahead.wait();
      checkpoints.save();
      context.check_stop();
    }
    checkpoints.maybe_save();
  }
  if (!todo.empty()) {
    checkpoints.save();
    counts.images_per_s =
        static_cast<double>(todo.size() - counts.failed.size()) / std::max(seconds_since(start), 1e-9);
  }
  counts.images = all.size() - counts.failed.size();
}

void encode_texts(const workspace::Workspace& workspace, const clip::Encoder& encoder, const EncodeOptions& options,
                  const RunContext& context, EncodeCounts& counts) {
  workspace::Database database(context.threads);
  workspace.attach(database, "rankings");
  workspace.attach_or_empty(database, "perturbed");
  const std::vector<std::string> prompts =
      database.query("SELECT prompt FROM rankings UNION SELECT perturbed_prompt FROM perturbed ORDER BY 1")
          .columns[0]
          .text;
  EmbeddingCache cache = EmbeddingCache::open(workspace.embeddings_dir(encoder.name()), "text");
  std::vector<std::string> todo;
  for (const std::string& prompt : prompts) {
    if (cache.find(prompt) == EmbeddingCache::npos) {
      todo.push_back(prompt);
    } else {
      ++counts.cached;
    }
  }
  // Neighbours of like length run in one batch without padding.
  std::ranges::stable_sort(todo, [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
  Checkpoints checkpoints(cache, options.checkpoint_interval_s);
  constexpr std::size_t kChunk = 512;
  const std::size_t dim = encoder.dim();
  for (std::size_t first = 0; first < todo.size(); first += kChunk) {
    const auto chunk = std::span<const std::string>(todo).subspan(first, std::min(kChunk, todo.size() - first));
    const clip::TextEmbeddings vectors = encoder.embed_texts(chunk);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      cache.add(chunk[i], "", std::span(vectors.values).subspan(i * dim, dim));
      if (vectors.truncated[i]) ++counts.texts_truncated;
    }
    context.report({"encode prompts", first + chunk.size(), todo.size(), ""});
    if (context.stop.stop_requested()) {
      checkpoints.save();
      context.check_stop();
    }
    checkpoints.maybe_save();
  }
  if (!todo.empty()) checkpoints.save();
  counts.texts = prompts.size();
}

}  // namespace

EncodeCounts encode_workspace(const workspace::Workspace& workspace, const clip::Encoder& encoder,
                              const EncodeOptions& options, const RunContext& context) {
  constexpr std::size_t kMaxBatch = 4096;
  if (options.batch < 1 || options.batch > kMaxBatch) {
    fail(ErrorCode::kInvalidArgument, "--batch: expected 1 to {}, found {}", kMaxBatch, options.batch);
  }
  EncodeCounts counts;
  const Clock::time_point start = Clock::now();
  const std::vector<workspace::Image> images =
      workspace.load_images();  // a broken table is said before the work begins
  encode_texts(workspace, encoder, options, context, counts);
  encode_images(workspace, images, encoder, options, context, counts);
  if (counts.texts == 0 && counts.images == 0 && counts.failed.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected rankings or images, found 0 rows of either; `imagerank import` adds them",
         workspace.root().string());
  }
  counts.seconds = seconds_since(start);
  return counts;
}

}  // namespace imagerank::embeddings
