#include "cli/dataset.h"

#include <unordered_map>

#include "core/fail.h"
#include "embeddings/embedding_cache.h"

namespace imagerank::cli {
namespace {

/// Rows of a cache that the labels use, packed densely in the order of first use.
class UsedRows {
 public:
  explicit UsedRows(const embeddings::EmbeddingCache& cache) : cache_(cache) {}

  /// Row in the packed table, or npos if the cache has no such key.
  std::size_t row(const std::string& key) {
    if (const auto at = rows_.find(key); at != rows_.end()) return at->second;
    const std::size_t index = cache_.find(key);
    if (index == embeddings::EmbeddingCache::npos) return rows_[key] = embeddings::EmbeddingCache::npos;
    const std::vector<float> vector = cache_.row(index);
    values_.insert(values_.end(), vector.begin(), vector.end());
    keys_.push_back(key);
    return rows_[key] = keys_.size() - 1;
  }
  reward::VectorTable take_table() { return {cache_.dim(), std::move(values_)}; }
  std::vector<std::string> take_keys() { return std::move(keys_); }

 private:
  const embeddings::EmbeddingCache& cache_;
  std::unordered_map<std::string, std::size_t> rows_;
  std::vector<std::string> keys_;
  std::vector<float> values_;
};

std::size_t split_index(const std::string& split) {
  if (split == "train") return static_cast<std::size_t>(reward::Split::kTrain);
  if (split == "validation") return static_cast<std::size_t>(reward::Split::kValidation);
  if (split == "test") return static_cast<std::size_t>(reward::Split::kTest);
  fail(ErrorCode::kCorruptData, "split: expected train, validation or test, found '{}'; run `label` again", split);
}

}  // namespace

Dataset load_dataset(const workspace::Workspace& workspace, const std::string& encoder) {
  constexpr std::size_t npos = embeddings::EmbeddingCache::npos;
  const std::vector<workspace::Point> points = workspace.load_points();
  const std::vector<workspace::Pair> pairs = workspace.load_pairs();
  const std::filesystem::path folder = workspace.embeddings_dir(encoder);
  const auto images = embeddings::EmbeddingCache::open(folder, "image");
  const auto texts = embeddings::EmbeddingCache::open(folder, "text");
  if (images.size() == 0 || texts.size() == 0) {
    fail(ErrorCode::kNotFound, "{}: no vectors of encoder {}; run `imagerank encode --data {} --model ...` first",
         workspace.root().string(), encoder, workspace.root().string());
  }
  Dataset dataset;
  UsedRows image_rows(images);
  UsedRows text_rows(texts);
  dataset.examples.class_count = 2;
  for (const workspace::Point& point : points) {
    const std::size_t image = image_rows.row(point.image_uid);
    const std::size_t text = text_rows.row(point.prompt);
    if (image == npos || text == npos) {
      ++dataset.points_without_vectors;
      continue;
    }
    if (point.label > 1) dataset.examples.class_count = 3;
    dataset.examples.points[split_index(point.split)].push_back(
        {static_cast<std::uint32_t>(image), static_cast<std::uint32_t>(text), point.label});
  }
  for (const workspace::Pair& pair : pairs) {
    const std::size_t image_a = image_rows.row(pair.image_a);
    const std::size_t image_b = image_rows.row(pair.image_b);
    const std::size_t text = text_rows.row(pair.prompt);
    if (image_a == npos || image_b == npos || text == npos) {
      ++dataset.pairs_without_vectors;
      continue;
    }
    const std::size_t split = split_index(pair.split);
    dataset.examples.pairs[split].push_back({static_cast<std::uint32_t>(image_a), static_cast<std::uint32_t>(image_b),
                                             static_cast<std::uint32_t>(text), static_cast<float>(pair.p_a),
                                             static_cast<float>(pair.weight)});
    dataset.pair_users[split].push_back(pair.user_id);
    dataset.pair_rankings[split].push_back(pair.ranking_id);
  }
  dataset.examples.images = image_rows.take_table();
  dataset.examples.texts = text_rows.take_table();
  dataset.image_uids = image_rows.take_keys();
  dataset.prompts = text_rows.take_keys();
  return dataset;
}

}  // namespace imagerank::cli
