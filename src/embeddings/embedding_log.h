#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::embeddings {

/// Vectors in the order in which one process made them: <folder>/.<side>.log-<pid>-<n>. A record is whole or, by its
/// checksum, not there; one write() each, so that a killed process loses none that it appended. The writer holds a
/// lock (flock) on its log for as long as it lives. Movable, not thread-safe.
class EmbeddingLog {
 public:
  /// A fresh log, locked. Creates missing folders. @param dim  numbers a vector. @throws Error kIo, kResourceLimit.
  static EmbeddingLog create(const std::filesystem::path& folder, const std::string& side, std::size_t dim);
  /// For reading. @return nullopt if it is gone. @throws Error kCorruptData for a file that is no such log, kIo.
  static std::optional<EmbeddingLog> open(const std::filesystem::path& path);
  /// The logs of a side, the one last written to at the end.
  static std::vector<std::filesystem::path> list(const std::filesystem::path& folder, const std::string& side);
  EmbeddingLog(EmbeddingLog&& other) noexcept;
  EmbeddingLog& operator=(EmbeddingLog&& other) noexcept;
  ~EmbeddingLog();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// 0 in a log whose writer died before its first record.
  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }

  struct Record {
    std::string_view key;
    std::string_view content;
    std::uint64_t vector_at;  ///< for read_vector
  };
  /// Appends one record. A failed write leaves the log as it was. @param vector  float16 bits [dim].
  /// @return where the vector stands. @throws Error kResourceLimit, kIo.
  std::uint64_t append(std::string_view key, std::string_view content, std::span<const std::uint16_t> vector);
  /// The whole records since the last call. A record of another checksum is left out and counted.
  void read_new(const std::function<void(const Record&)>& visit);
  /// @param vector  float16 bits [dim], written.
  void read_vector(std::uint64_t vector_at, std::span<std::uint16_t> vector) const;
  /// Whether nobody else writes it: takes the writer's lock if it is free.
  [[nodiscard]] bool take_over();
  [[nodiscard]] bool has_writer() const;
  /// Of a log that is taken over and read: records that are torn or damaged.
  [[nodiscard]] std::size_t damaged() const;
  /// Deletes the file. Before that, whatever it holds stands elsewhere.
  void remove();

 private:
  EmbeddingLog(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  [[nodiscard]] std::uint64_t file_size() const;
  void read_header();
  std::size_t parse(std::string_view block, std::uint64_t end, const std::function<void(const Record&)>& visit);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::size_t dim_ = 0;
  std::uint64_t read_to_ = 0;  ///< records before it are read, or were written here
  std::size_t damaged_ = 0;
};

/// The one process that rewrites the files of a folder; waits for it. Removes its file at the end.
class FolderLock {
 public:
  /// @throws Error kIo, kResourceLimit.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();
  /// Whether somebody holds it, or died holding it.
  static bool is_left(const std::filesystem::path& folder);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace imagerank::embeddings
