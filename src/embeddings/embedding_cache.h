#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/npy.h"
#include "embeddings/embedding_log.h"

namespace imagerank::embeddings {

/// How a cache keeps numbers.
enum class Stored {
  kHalf,   ///< float16: vectors
  kFloat,  ///< float32: scores, which are kept as they are
};

/// One side of an encoder's cache: vectors as the tower gives them, in float16, under keys (image uid, or prompt) with
/// the SHA-256 of the content they were made from; or a cross-encoder's scores, under the keys of pairs.
/// <folder>/<side>.npy + <side>.parquet hold those that save() has merged; what came since, from this process or
/// others, stands in logs beside them. Several processes may fill one cache. In memory: keys, contents and where each
/// vector stands; the vectors stay on disk. Not thread-safe.
class EmbeddingCache {
 public:
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

  /// Files and logs, those of processes at work included. Empty if there are none. @param side  "image", "text" or
  /// "pair".
  /// @throws Error kCorruptData if array and keys disagree, or vectors of different sizes stand in one cache.
  static EmbeddingCache open(const std::filesystem::path& folder, const std::string& side,
                             Stored stored = Stored::kHalf);

  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
  /// 0 while it is empty.
  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }
  [[nodiscard]] const std::string& key(std::size_t index) const { return keys_[index]; }
  /// SHA-256 of what was encoded, "" for prompts.
  [[nodiscard]] const std::string& content(std::size_t index) const { return contents_[index]; }
  /// Row of a key, or npos.
  [[nodiscard]] std::size_t find(std::string_view key) const noexcept;
  /// A row with this content, or npos.
  [[nodiscard]] std::size_t find_content(std::string_view content) const noexcept;
  /// Row as float32, [dim].
  [[nodiscard]] std::vector<float> row(std::size_t index) const;
  /// All rows, float16 [size(), dim()], as the file has them, mapped: valid until the cache changes or goes. Empty
  /// while vectors stand in logs, and of kFloat.
  [[nodiscard]] std::span<const std::uint16_t> mapped_rows() const noexcept;

  /// Adds or replaces one vector, rounded to float16 unless kFloat. It stands in this process's log when the call
  /// returns, and survives the process. @throws Error kInvalidArgument if the dimension differs; kResourceLimit, kIo.
  void add(const std::string& key, const std::string& content, std::span<const float> vector);
  /// Takes in what other processes have appended since.
  void refresh();
  /// Makes this process known to others that fill the cache, before its first add(). @return nullopt if it is alone; if
  /// not, a seed of its own to shuffle its work with, so that two do not do the same side by side.
  std::optional<std::uint64_t> join(std::size_t dim);
  /// Merges this process's log and those of dead ones into the files, each written anew and put in place at once, keys
  /// last, and deletes them. Waits for another process that does the same. Does nothing if there is nothing to merge.
  void save();
  /// Records of dead processes' logs that save() dropped because they were torn or damaged.
  [[nodiscard]] std::size_t damaged() const noexcept { return damaged_; }

 private:
  /// Where a vector stands: in the array (0) or in logs_[source - 1].
  struct Place {
    std::uint32_t source = 0;
    std::uint64_t at = 0;  ///< bytes into the array's elements, or as the log says
  };

  EmbeddingCache(std::filesystem::path folder, std::string side, Stored stored)
      : folder_(std::move(folder)), side_(std::move(side)), stored_(stored) {}
  [[nodiscard]] std::filesystem::path file(const char* extension) const { return folder_ / (side_ + extension); }
  void create_log(std::size_t dim);
  void load();
  void load_files();
  void read_log(std::size_t number);
  void put(std::string_view key, std::string_view content, Place place);
  /// Of 16 bits, as logs have them.
  [[nodiscard]] std::size_t words(std::size_t numbers) const noexcept {
    return stored_ == Stored::kFloat ? 2 * numbers : numbers;
  }
  void copy_row(std::size_t index, std::span<std::uint16_t> vector) const;
  [[nodiscard]] bool is_own(const EmbeddingLog& log) const { return own_ && log.path() == own_->path(); }
  void write_array() const;
  void write_keys() const;

  std::filesystem::path folder_;
  std::string side_;
  Stored stored_ = Stored::kHalf;
  std::size_t dim_ = 0;
  std::deque<std::string> keys_;  // deques: the indices below point into them
  std::deque<std::string> contents_;
  std::vector<Place> places_;
  std::unordered_map<std::string_view, std::uint32_t> by_key_;
  std::unordered_map<std::string_view, std::uint32_t> by_content_;
  std::optional<NpyFile> array_;
  std::deque<EmbeddingLog> logs_;
  std::optional<EmbeddingLog> own_;  // for writing; for reading it is one of logs_
  std::size_t damaged_ = 0;
};

}  // namespace imagerank::embeddings
