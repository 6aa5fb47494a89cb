#include "embeddings/embedding_cache.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/half.h"
#include "core/random.h"
#include "workspace/database.h"

namespace imagerank::embeddings {

EmbeddingCache EmbeddingCache::open(const std::filesystem::path& folder, const std::string& side, Stored stored) {
  EmbeddingCache cache(folder, side, stored);
  if (std::filesystem::exists(folder)) remove_stale_temporaries(folder);
  cache.load();
  return cache;
}

void EmbeddingCache::load() {
  dim_ = 0;
  by_key_.clear();
  by_content_.clear();
  keys_.clear();
  contents_.clear();
  places_.clear();
  array_.reset();
  logs_.clear();
  // Logs are opened before the files are read: what a merge deletes meanwhile stands in the one or in the other.
  for (const std::filesystem::path& path : EmbeddingLog::list(folder_, side_)) {
    if (auto log = EmbeddingLog::open(path)) logs_.push_back(std::move(*log));
  }
  if (std::filesystem::exists(file(".parquet"))) load_files();
  // This process's own words are the last.
  std::ranges::stable_partition(logs_, [this](const EmbeddingLog& log) { return !is_own(log); });
  for (std::size_t i = 0; i < logs_.size(); ++i) read_log(i);
}

void EmbeddingCache::load_files() {
  workspace::Database database;
  try {
    database.for_each_chunk(fmt::format("SELECT key, content FROM read_parquet({}) ORDER BY row",
                                        workspace::sql_literal(file(".parquet").string())),
                            [this](const workspace::Table& rows) {
                              const workspace::Column& key = rows.column("key");
                              const workspace::Column& content = rows.column("content");
                              for (std::size_t i = 0; i < rows.row_count; ++i) put(key.text[i], content.text[i], {});
                            });
  } catch (const Error& error) {
    fail(ErrorCode::kCorruptData, "{}: expected the keys of embeddings: {}; delete the folder to encode again",
         file(".parquet").string(), error.what());
  }
  array_.emplace(file(".npy"));
  // The array is replaced before the keys: after a crash between the two it may hold more rows, never fewer.
  const bool whole = stored_ == Stored::kFloat;
  if (array_->type() != (whole ? NpyType::kFloat32 : NpyType::kFloat16) || array_->shape().size() != 2 ||
      array_->shape()[0] < size()) {
    fail(ErrorCode::kCorruptData, "{}: expected {} [{} or more, D]; delete the folder to encode again",
         file(".npy").string(), whole ? "float32" : "float16", size());
  }
  dim_ = array_->shape()[1];
  for (std::size_t i = 0; i < size(); ++i) places_[i].at = i * words(dim_) * sizeof(std::uint16_t);
}

void EmbeddingCache::read_log(std::size_t number) {
  EmbeddingLog& log = logs_[number];
  const auto source = static_cast<std::uint32_t>(number + 1);
  log.read_new([&](const EmbeddingLog::Record& record) {
    const std::size_t dim = log.dim() / words(1);
    if (dim_ == 0) dim_ = dim;
    if (words(dim_) != log.dim()) {
      fail(ErrorCode::kCorruptData, "{}: expected vectors of {} numbers like the others, found {}; delete it",
           log.path().string(), dim_, dim);
    }
    const std::size_t at = find(record.key);
    // What the files already hold stays there: a log of a process that was killed before it could delete it.
    if (at != npos && places_[at].source == 0 && contents_[at] == record.content) return;
    put(record.key, record.content, {source, record.vector_at});
  });
}

void EmbeddingCache::put(std::string_view key, std::string_view content, Place place) {
  std::size_t at = find(key);
  if (at == npos) {
    at = keys_.size();
    by_key_.emplace(keys_.emplace_back(key), static_cast<std::uint32_t>(at));
    contents_.emplace_back(content);
    places_.push_back(place);
  } else {
    const auto known = by_content_.find(contents_[at]);
    if (known != by_content_.end() && known->second == at) by_content_.erase(known);
    contents_[at] = content;
    places_[at] = place;
  }
  if (!content.empty()) by_content_.emplace(contents_[at], static_cast<std::uint32_t>(at));
}

std::size_t EmbeddingCache::find(std::string_view key) const noexcept {
  const auto at = by_key_.find(key);
  return at == by_key_.end() ? npos : at->second;
}

std::size_t EmbeddingCache::find_content(std::string_view content) const noexcept {
  const auto at = by_content_.find(content);
  return at == by_content_.end() ? npos : at->second;
}

void EmbeddingCache::copy_row(std::size_t index, std::span<std::uint16_t> vector) const {
  const Place& place = places_[index];
  if (place.source == 0) {
    std::memcpy(vector.data(), array_->bytes().data() + place.at, vector.size_bytes());
  } else {
    logs_[place.source - 1].read_vector(place.at, vector);
  }
}

std::vector<float> EmbeddingCache::row(std::size_t index) const {
  std::vector<std::uint16_t> stored(words(dim_));
  copy_row(index, stored);
  std::vector<float> vector(dim_);
  if (stored_ == Stored::kFloat) {
    std::memcpy(vector.data(), stored.data(), dim_ * sizeof(float));
  } else {
    std::ranges::transform(stored, vector.begin(), float_from_half);
  }
  return vector;
}

std::span<const std::uint16_t> EmbeddingCache::mapped_rows() const noexcept {
  const bool all = array_ && std::ranges::all_of(places_, [](const Place& place) { return place.source == 0; });
  if (!all || stored_ == Stored::kFloat ||
      reinterpret_cast<std::uintptr_t>(array_->bytes().data()) % alignof(std::uint16_t) != 0)
    return {};
  return {reinterpret_cast<const std::uint16_t*>(array_->bytes().data()), size() * dim_};
}

void EmbeddingCache::create_log(std::size_t dim) {
  if (own_) return;
  own_.emplace(EmbeddingLog::create(folder_, side_, words(dim)));
  logs_.push_back(EmbeddingLog::open(own_->path()).value());
}

std::optional<std::uint64_t> EmbeddingCache::join(std::size_t dim) {
  create_log(dim);
  refresh();
  const bool alone =
      std::ranges::none_of(logs_, [&](const EmbeddingLog& log) { return !is_own(log) && log.has_writer(); });
  if (alone) return std::nullopt;
  const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return Random(now, static_cast<std::uint64_t>(::getpid())).next();
}

void EmbeddingCache::add(const std::string& key, const std::string& content, std::span<const float> vector) {
  if (vector.empty() || (dim_ != 0 && vector.size() != dim_)) {
    fail(ErrorCode::kInvalidArgument, "embedding of '{}': expected {} numbers, found {}", key, dim_, vector.size());
  }
  create_log(vector.size());
  dim_ = vector.size();
  std::vector<std::uint16_t> stored(words(dim_));
  if (stored_ == Stored::kFloat) {
    std::memcpy(stored.data(), vector.data(), dim_ * sizeof(float));
  } else {
    std::ranges::transform(vector, stored.begin(), half_from_float);
  }
  const std::uint64_t at = own_->append(key, content, stored);
  const auto own = std::ranges::find_if(logs_, [&](const EmbeddingLog& log) { return is_own(log); });
  put(key, content, {static_cast<std::uint32_t>(own - logs_.begin() + 1), at});
}

void EmbeddingCache::refresh() {
  for (const std::filesystem::path& path : EmbeddingLog::list(folder_, side_)) {
    const bool known = std::ranges::any_of(logs_, [&](const EmbeddingLog& log) { return log.path() == path; });
    if (known) continue;
    if (auto log = EmbeddingLog::open(path)) logs_.push_back(std::move(*log));
  }
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    if (!is_own(logs_[i])) read_log(i);
  }
}

void EmbeddingCache::save() {
  if (logs_.empty() && !FolderLock::is_left(folder_)) return;
  const FolderLock lock(folder_);
  load();  // another process may have merged since
  std::vector<bool> ours(logs_.size() + 1, false);
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    ours[i + 1] = is_own(logs_[i]) || logs_[i].take_over();
    if (!ours[i + 1] || is_own(logs_[i])) continue;
    read_log(i);  // its last words, before it died
    damaged_ += logs_[i].damaged();
  }
  if (std::ranges::any_of(places_, [&](const Place& place) { return ours[place.source]; })) {
    write_array();
    write_keys();
  }
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    if (ours[i + 1]) logs_[i].remove();
  }
  own_.reset();
  load();
}

void EmbeddingCache::write_array() const {
  constexpr std::size_t kRowsAtOnce = 1024;
  AtomicFile output(file(".npy"));
  const NpyType type = stored_ == Stored::kFloat ? NpyType::kFloat32 : NpyType::kFloat16;
  const std::size_t row = words(dim_);
  output.write(npy_header(type, std::array<std::size_t, 2>{size(), dim_}));
  std::vector<std::uint16_t> block(kRowsAtOnce * row);
  for (std::size_t first = 0; first < size(); first += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, size() - first);
    for (std::size_t i = 0; i < count; ++i) copy_row(first + i, std::span(block).subspan(i * row, row));
    output.write(std::as_bytes(std::span(block).first(count * row)));
  }
  output.commit();
}

void EmbeddingCache::write_keys() const {
  workspace::Database database;
  database.execute("CREATE TABLE rows (row INTEGER, key VARCHAR, content VARCHAR)");
  workspace::Database::Appender appender(database, "rows");
  for (std::size_t i = 0; i < size(); ++i) {
    appender.append(static_cast<std::int32_t>(i));
    appender.append(keys_[i]);
    appender.append(contents_[i]);
    appender.end_row();
  }
  appender.close();
  database.write_parquet("SELECT * FROM rows", file(".parquet"));
}

}  // namespace imagerank::embeddings
