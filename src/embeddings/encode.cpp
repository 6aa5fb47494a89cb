#include "embeddings/encode.h"

#include <algorithm>
#include <chrono>

#include "core/fail.h"
#include "core/random.h"

namespace imagerank::embeddings {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> load_prompts(const workspace::Workspace& workspace, const RunContext& context) {
  workspace::Database database(context.threads);
  workspace.attach(database, "rankings");
  workspace.attach_or_empty(database, "perturbed");
  return database.query("SELECT prompt FROM rankings UNION SELECT perturbed_prompt FROM perturbed ORDER BY 1")
      .columns[0]
      .text;
}

void encode_texts(const std::vector<std::string>& prompts, const clip::Encoder& encoder, EmbeddingCache& cache,
                  const RunContext& context, EncodeCounts& counts) {
  std::vector<std::string> todo;
  for (const std::string& prompt : prompts) {
    if (cache.find(prompt) == EmbeddingCache::npos) todo.push_back(prompt);
  }
  counts.texts = prompts.size();
  counts.cached += prompts.size() - todo.size();
  // Neighbours of like length run in one batch without padding.
  std::ranges::stable_sort(todo, [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
  if (todo.empty()) return;
  constexpr std::size_t kChunk = 256;
  std::vector<std::size_t> chunks;
  for (std::size_t first = 0; first < todo.size(); first += kChunk) chunks.push_back(first);
  if (const auto seed = cache.join(encoder.dim())) Random(*seed).shuffle(chunks);
  std::size_t done = 0;
  for (const std::size_t first : chunks) {
    context.check_stop();
    cache.refresh();
    const std::size_t end = std::min(todo.size(), first + kChunk);
    std::vector<std::string> missing;
    for (std::size_t i = first; i < end; ++i) {
      if (cache.find(todo[i]) == EmbeddingCache::npos) missing.push_back(todo[i]);
    }
    counts.cached += end - first - missing.size();
    const clip::TextEmbeddings vectors = encoder.embed_texts(missing);
    for (std::size_t i = 0; i < missing.size(); ++i) {
      cache.add(missing[i], "", std::span(vectors.values).subspan(i * encoder.dim(), encoder.dim()));
      if (vectors.truncated[i]) ++counts.texts_truncated;
    }
    done += end - first;
    context.report({"encode prompts", done, todo.size(), ""});
  }
}

}  // namespace

void fill_cache(EmbeddingCache cache, const std::filesystem::path& place, std::size_t dim, EncodeCounts& counts,
                const std::function<void(EmbeddingCache&)>& fill) {
  if (cache.dim() != 0 && cache.dim() != dim) {
    fail(ErrorCode::kCorruptData,
         "{}: expected vectors of {} numbers, as the encoder gives, found {}; delete the folder to encode again",
         place.string(), dim, cache.dim());
  }
  try {
    fill(cache);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) cache.save();
    throw;
  }
  cache.save();
  counts.damaged += cache.damaged();
}

EncodeCounts encode_workspace(const workspace::Workspace& workspace, const clip::Encoder& encoder,
                              const EncodeOptions& options, const RunContext& context) {
  constexpr std::size_t kMaxBatch = 4096;
  if (options.batch > kMaxBatch) {
    fail(ErrorCode::kInvalidArgument, "--batch: expected 1 to {}, found {}", kMaxBatch, options.batch);
  }
  EncodeCounts counts;
  const Clock::time_point start = Clock::now();
  const std::vector<workspace::Image> images =
      workspace.load_images();  // a broken table is said before the work begins
  const std::vector<std::string> prompts = load_prompts(workspace, context);
  if (images.empty() && prompts.empty()) {
    fail(ErrorCode::kNotFound, "{}: expected rankings or images, found 0 rows of either; `imagerank import` adds them",
         workspace.root().string());
  }
  const std::filesystem::path folder = workspace.embeddings_dir(encoder.name());
  fill_cache(EmbeddingCache::open(folder, "text"), folder / "text", encoder.dim(), counts,
             [&](EmbeddingCache& cache) { encode_texts(prompts, encoder, cache, context, counts); });
  const encoding::Tower tower = encoding::vision_tower(encoder, options.batch);
  fill_cache(EmbeddingCache::open(folder, "image"), folder / "image", encoder.dim(), counts,
             [&](EmbeddingCache& cache) { encode_images(workspace, images, tower, cache, context, counts); });
  counts.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return counts;
}

}  // namespace imagerank::embeddings
