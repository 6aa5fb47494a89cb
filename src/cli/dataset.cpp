#include "cli/dataset.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <unordered_map>

#include "core/fail.h"
#include "embeddings/embedding_cache.h"
#include "embeddings/encode.h"
#include "workspace/database.h"

namespace imagerank::cli {
namespace {

constexpr std::size_t npos = embeddings::EmbeddingCache::npos;

/// The rows of a cache that the labels use: packed densely in the order of first use, or, mapped, all where they are.
/// Without a cache (null) rows without numbers.
class UsedRows {
 public:
  UsedRows(std::shared_ptr<const embeddings::EmbeddingCache> cache, bool mapped) : cache_(std::move(cache)) {
    if (mapped && cache_) halves_ = cache_->mapped_rows();
  }

  /// Row in the table, or npos if the cache has no such key.
  std::size_t row(const std::string& key) {
    if (!halves_.empty()) return cache_->find(key);
    if (const auto at = rows_.find(key); at != rows_.end()) return at->second;
    if (cache_) {
      const std::size_t index = cache_->find(key);
      if (index == npos) return rows_[key] = npos;
      const std::vector<float> vector = cache_->row(index);
      values_.insert(values_.end(), vector.begin(), vector.end());
    }
    keys_.push_back(key);
    return rows_[key] = keys_.size() - 1;
  }
  [[nodiscard]] std::size_t count() const { return halves_.empty() ? keys_.size() : cache_->size(); }

  reward::VectorTable take_table() {
    return {.dim = cache_ ? cache_->dim() : 0, .values = std::move(values_), .halves = halves_, .owner = cache_};
  }
  std::vector<std::string> take_keys() {
    if (!halves_.empty()) {
      for (std::size_t i = 0; i < cache_->size(); ++i) keys_.push_back(cache_->key(i));
    }
    return std::move(keys_);
  }

 private:
  std::shared_ptr<const embeddings::EmbeddingCache> cache_;
  std::span<const std::uint16_t> halves_;
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

/// Joins the tables of a workspace, one after another.
class Loader {
 public:
  using Cache = std::shared_ptr<const embeddings::EmbeddingCache>;
  /// @param scores  of a cross-encoder, which has no images and texts (null); or null.
  Loader(const workspace::Workspace& workspace, Cache images, Cache texts, Cache scores, bool mapped)
      : workspace_(workspace), images_(std::move(images), mapped), texts_(std::move(texts), mapped) {
    dataset_.scores = std::move(scores);
  }

  void add_points() {
    dataset_.examples.class_count = 2;
    for (const workspace::Point& point : workspace_.load_points()) {
      const std::size_t image = image_row(point.image_uid, point.prompt);
      const std::size_t text = texts_.row(point.prompt);
      if (image == npos || text == npos) {
        ++dataset_.points_without_vectors;
        continue;
      }
      if (point.label > 1) dataset_.examples.class_count = 3;
      dataset_.examples.points[split_index(point.split)].push_back(
          {static_cast<std::uint32_t>(image), static_cast<std::uint32_t>(text), point.label});
    }
  }

  void add_pairs(const std::vector<workspace::Pair>& pairs) {
    for (const workspace::Pair& pair : pairs) {
      const std::size_t image_a = image_row(pair.image_a, pair.prompt);
      const std::size_t image_b = image_row(pair.image_b, pair.prompt);
      const std::size_t text = texts_.row(pair.prompt);
      if (image_a == npos || image_b == npos || text == npos) {
        ++dataset_.pairs_without_vectors;
        continue;
      }
      const std::size_t split = split_index(pair.split);
      dataset_.examples.pairs[split].push_back({static_cast<std::uint32_t>(image_a),
                                                static_cast<std::uint32_t>(image_b), static_cast<std::uint32_t>(text),
                                                static_cast<float>(pair.p_a), static_cast<float>(pair.weight)});
      dataset_.pair_users[split].push_back(pair.user_id);
      dataset_.pair_rankings[split].push_back(pair.ranking_id);
    }
  }

  /// The rankings behind the pairs, in their splits.
  void add_lists(const std::vector<workspace::Pair>& pairs) {
    // Ids are unique within a dataset only; with the prompt they are unique in practice.
    std::unordered_map<std::string, std::size_t> splits;
    for (const workspace::Pair& pair : pairs) splits[pair.ranking_id + '\n' + pair.prompt] = split_index(pair.split);
    for (const workspace::Ranking& ranking : workspace_.load_rankings()) {
      const auto split = splits.find(ranking.ranking_id + '\n' + ranking.prompt);
      if (split == splits.end()) continue;
      add_list(ranking, dataset_.examples.lists[split->second]);
    }
  }

  /// All modes: what is wrong with a prompt does not matter here.
  void add_wrong_prompts() {
    workspace::Database database;
    workspace_.attach_or_empty(database, "perturbed");
    const workspace::Table rows =
        database.query("SELECT DISTINCT prompt, perturbed_prompt FROM perturbed ORDER BY prompt, perturbed_prompt");
    std::unordered_map<std::size_t, std::vector<std::uint32_t>> wrong;
    for (std::size_t i = 0; i < rows.row_count; ++i) {
      const std::size_t right = texts_.row(rows.column("prompt").text[i]);
      const std::size_t other = texts_.row(rows.column("perturbed_prompt").text[i]);
      if (right != npos && other != npos && right != other) wrong[right].push_back(static_cast<std::uint32_t>(other));
    }
    if (wrong.empty()) return;
    reward::Examples& examples = dataset_.examples;
    examples.wrong_begin.push_back(0);
    for (std::size_t text = 0; text < texts_.count(); ++text) {
      if (const auto found = wrong.find(text); found != wrong.end()) {
        examples.wrong_texts.insert(examples.wrong_texts.end(), found->second.begin(), found->second.end());
      }
      examples.wrong_begin.push_back(static_cast<std::uint32_t>(examples.wrong_texts.size()));
    }
  }

  Dataset finish() {
    dataset_.examples.images = images_.take_table();
    dataset_.examples.texts = texts_.take_table();
    dataset_.image_uids = images_.take_keys();
    dataset_.prompts = texts_.take_keys();
    return std::move(dataset_);
  }

 private:
  /// Row of an image that the encoder has something of for this prompt, or npos.
  std::size_t image_row(const std::string& image_uid, const std::string& prompt) {
    return dataset_.has_pair(image_uid, prompt) ? images_.row(image_uid) : npos;
  }
  void add_list(const workspace::Ranking& ranking, std::vector<reward::PreferenceList>& lists) {
    std::vector<std::int32_t> places = ranking.ranks;
    std::ranges::sort(places);
    places.erase(std::ranges::unique(places).begin(), places.end());
    const auto level_of = [&](std::size_t i) -> std::uint32_t {
      if (ranking.ranks.size() == ranking.image_uids.size()) {
        return static_cast<std::uint32_t>(std::ranges::lower_bound(places, ranking.ranks[i]) - places.begin());
      }
      const bool best = !ranking.best_image_uid || ranking.image_uids[i] == *ranking.best_image_uid;
      return best ? 0 : reward::RankedImage::kUnordered;
    };
    const std::size_t text = texts_.row(ranking.prompt);
    reward::PreferenceList list;
    std::vector<reward::RankedImage> images;
    bool has_best = false;
    for (std::size_t i = 0; i < ranking.image_uids.size(); ++i) {
      const std::size_t image = image_row(ranking.image_uids[i], ranking.prompt);
      if (image == npos) continue;
      images.push_back({static_cast<std::uint32_t>(image), level_of(i)});
      has_best = has_best || images.back().level == 0;
    }
    if (text == npos || images.size() < 2 || !has_best) {
      ++dataset_.rankings_without_vectors;
      return;
    }
    auto& ranked = dataset_.examples.ranked;
    list = {static_cast<std::uint32_t>(text), static_cast<std::uint32_t>(ranked.size()),
            static_cast<std::uint32_t>(images.size()), static_cast<float>(ranking.weight)};
    ranked.insert(ranked.end(), images.begin(), images.end());
    lists.push_back(list);
  }

  const workspace::Workspace& workspace_;
  UsedRows images_, texts_;
  Dataset dataset_;
};

}  // namespace

bool Dataset::has_pair(const std::string& image_uid, const std::string& prompt) const {
  return scores == nullptr || scores->find(embeddings::score_key(image_uid, prompt)) != npos;
}

Dataset load_dataset(const workspace::Workspace& workspace, const std::string& encoder, const DatasetParts& parts) {
  using embeddings::EmbeddingCache;
  const std::filesystem::path folder = workspace.embeddings_dir(encoder);
  const std::vector<workspace::Pair> pairs = workspace.load_pairs();
  if (!workspace.has_table("points")) (void)workspace.load_points();  // says which command makes them
  const auto open = [&](const char* side) {
    return std::make_shared<const EmbeddingCache>(EmbeddingCache::open(folder, side));
  };
  auto scores = std::make_shared<const EmbeddingCache>(embeddings::open_scores(folder));
  const bool cross = scores->size() != 0;
  auto images = cross ? nullptr : open("image"), texts = cross ? nullptr : open("text");
  if (!cross && (images->size() == 0 || texts->size() == 0)) {
    fail(ErrorCode::kNotFound, "{}: no vectors of encoder {}; run `imagerank encode --data {} --model ...` first",
         workspace.root().string(), encoder, workspace.root().string());
  }
  Loader loader(workspace, std::move(images), std::move(texts), cross ? std::move(scores) : nullptr, parts.mapped);
  loader.add_points();
  loader.add_pairs(pairs);
  if (parts.lists) loader.add_lists(pairs);
  if (parts.wrong_prompts) loader.add_wrong_prompts();
  return loader.finish();
}

}  // namespace imagerank::cli
