#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "embeddings/embedding_cache.h"
#include "reward/examples.h"
#include "workspace/workspace.h"

namespace imagerank::cli {

/// A workspace's labels joined with an encoder's vectors: what `train`, `eval` and `compare` work on.
/// Points and pairs whose image or prompt has no vector are left out and counted. Of a cross-encoder, which has a score
/// of an image and a prompt together, the tables of vectors have rows of 0 numbers, and "vector" means a score here.
struct Dataset {
  reward::Examples examples;
  std::vector<std::string> image_uids;                                      ///< parallel to examples.images
  std::vector<std::string> prompts;                                         ///< parallel to examples.texts
  std::array<std::vector<std::string>, reward::kSplitCount> pair_users;     ///< parallel to examples.pairs
  std::array<std::vector<std::string>, reward::kSplitCount> pair_rankings;  ///< ranking ids, parallel to examples.pairs
  std::shared_ptr<const embeddings::EmbeddingCache> scores;                 ///< of a cross-encoder; else null
  std::uint64_t points_without_vectors = 0;
  std::uint64_t pairs_without_vectors = 0;
  std::uint64_t rankings_without_vectors = 0;  ///< of which fewer than two images, or not the best, has one

  /// Whether an image and a prompt that have rows can be scored together.
  [[nodiscard]] bool has_pair(const std::string& image_uid, const std::string& prompt) const;
};

/// What of a workspace a Dataset holds beside points and pairs.
struct DatasetParts {
  bool mapped = false;         ///< vectors stay in the cache's files where they can: tables then hold all of its rows
  bool lists = false;          ///< the rankings that the pairs are of
  bool wrong_prompts = false;  ///< of perturbed.parquet
};

/// @param encoder  Encoder::name(), a folder under embeddings/.
/// @throws Error kNotFound, naming the command that makes what is missing.
[[nodiscard]] Dataset load_dataset(const workspace::Workspace& workspace, const std::string& encoder,
                                   const DatasetParts& parts = {});

}  // namespace imagerank::cli
