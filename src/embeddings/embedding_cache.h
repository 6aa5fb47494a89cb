#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace imagerank::embeddings {

/// One side of an encoder's cache, <folder>/<side>.npy + <side>.parquet: float16 [N, dim] as the tower gives them,
/// and their keys (image uid with content sha256, or prompt). Rows are appended in checkpoints; a crash loses at
/// most the rows since the last one.
class EmbeddingCache {
 public:
  /// An empty cache if the files do not exist. @param side  "image" or "text".
  /// @throws Error kCorruptData if array and keys disagree.
  static EmbeddingCache open(const std::filesystem::path& folder, const std::string& side);

  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }
  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return keys_; }
  /// Row of a key, or npos.
  [[nodiscard]] std::size_t find(const std::string& key) const noexcept;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
  /// Row as float32, [dim].
  [[nodiscard]] std::vector<float> row(std::size_t index) const;

  /// Adds one vector, rounded to float16. @throws Error kInvalidArgument if the dimension differs.
  void add(const std::string& key, const std::string& content, std::span<const float> vector);
  /// The content hash stored with a key; "" for prompts.
  [[nodiscard]] const std::string& content(std::size_t index) const { return contents_[index]; }
  /// Writes both files atomically, keys last.
  void save() const;

 private:
  std::filesystem::path folder_;
  std::string side_;
  std::size_t dim_ = 0;
  std::vector<std::string> keys_;
  std::vector<std::string> contents_;
  std::vector<std::uint16_t> values_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace imagerank::embeddings
