#include "embeddings/embedding_cache.h"

#include <array>
#include <cstring>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/npy.h"
#include "workspace/database.h"

namespace imagerank::embeddings {

EmbeddingCache EmbeddingCache::open(const std::filesystem::path& folder, const std::string& side) {
  EmbeddingCache cache;
  cache.folder_ = folder;
  cache.side_ = side;
  const std::filesystem::path keys_path = folder / (side + ".parquet");
  const std::filesystem::path array_path = folder / (side + ".npy");
  if (std::filesystem::exists(folder)) remove_stale_temporaries(folder);
  if (!std::filesystem::exists(keys_path)) return cache;

  workspace::Database database;
  workspace::Table table;
  try {
    table = database.query(fmt::format("SELECT key, content FROM read_parquet({}) ORDER BY row",
                                       workspace::sql_literal(keys_path.string())));
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: expected the keys of embeddings: {}; delete the folder to encode again",
         keys_path.string(), error.what());
  }
  const NpyFile array(array_path);
  // The array is replaced before the keys: after a crash between the two it may hold more rows, never fewer.
  if (array.type() != NpyType::kFloat16 || array.shape().size() != 2 || array.shape()[0] < table.row_count) {
    fail(ErrorCode::kCorruptData, "{}: expected float16 [{} or more, D]; delete the folder to encode again",
         array_path.string(), table.row_count);
  }
  cache.dim_ = array.shape()[1];
  cache.keys_ = table.column("key").text;
  cache.contents_ = table.column("content").text;
  const std::size_t count = table.row_count * cache.dim_;
  cache.values_.resize(count);
  if (count != 0) std::memcpy(cache.values_.data(), array.bytes().data(), count * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < cache.keys_.size(); ++i) cache.index_.emplace(cache.keys_[i], i);
  return cache;
}

std::size_t EmbeddingCache::find(const std::string& key) const noexcept {
  const auto at = index_.find(key);
  return at == index_.end() ? npos : at->second;
}

std::vector<float> EmbeddingCache::row(std::size_t index) const {
  std::vector<float> vector(dim_);
  for (std::size_t i = 0; i < dim_; ++i) vector[i] = float_from_half(values_[index * dim_ + i]);
  return vector;
}

void EmbeddingCache::add(const std::string& key, const std::string& content, std::span<const float> vector) {
  if (dim_ == 0) dim_ = vector.size();
  if (vector.size() != dim_) {
    fail(ErrorCode::kInvalidArgument, "embedding of '{}': expected {} numbers, found {}", key, dim_, vector.size());
  }
  const auto [at, inserted] = index_.emplace(key, keys_.size());
  if (inserted) {
    keys_.push_back(key);
    contents_.push_back(content);
    values_.resize(values_.size() + dim_);
  } else {
    contents_[at->second] = content;
  }
  for (std::size_t i = 0; i < dim_; ++i) values_[at->second * dim_ + i] = half_from_float(vector[i]);
}

void EmbeddingCache::save() const {
  const std::array<std::size_t, 2> shape = {keys_.size(), dim_};
  write_npy_half(folder_ / (side_ + ".npy"), values_, shape);
  workspace::Database database;
  database.execute("CREATE TABLE rows (row INTEGER, key VARCHAR, content VARCHAR)");
  workspace::Database::Appender appender(database, "rows");
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    appender.append(static_cast<std::int32_t>(i));
    appender.append(keys_[i]);
    appender.append(contents_[i]);
    appender.end_row();
  }
  appender.close();
  database.write_parquet("SELECT * FROM rows", folder_ / (side_ + ".parquet"));
}

}  // namespace imagerank::embeddings
