#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace imagerank {

/// A file that appears under its final name whole or not at all: written beside it as ".<name>.tmp-<pid>",
/// flushed to disk and renamed by commit(). Without commit() the destructor removes what was written.
/// Not thread-safe.
class AtomicFile {
 public:
  /// Creates missing parent folders. @throws Error kIo if the temporary file cannot be created.
  explicit AtomicFile(std::filesystem::path final_path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends. @throws Error kResourceLimit on a full disk, kIo otherwise.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites bytes already written, for headers known only at the end; or writes beyond the end. Several threads may
  /// call it at once.
  void write_at(std::size_t offset, std::span<const std::byte> bytes);
  /// Lets the disk begin with bytes that were written while more are made: a wish, commit() sees to it that all is
  /// there. Thread-safe.
  void start_flush(std::size_t offset, std::size_t size) const noexcept;
  /// Where a library that wants a path of its own (DuckDB's COPY) may write instead of write().
  [[nodiscard]] const std::filesystem::path& temporary_path() const noexcept { return temporary_path_; }
  /// Flush and rename. @param durable  fsync file and folder too; images, which can be fetched again, go without.
  void commit(bool durable = true);

 private:
  std::filesystem::path final_path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;
  bool committed_ = false;
};

/// Whole file at once through AtomicFile.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, bool durable = true);
/// A whole file, or a member of a tar archive by its path in it (TarPart in core/tar.h).
/// @throws Error kNotFound if it does not exist, kResourceLimit if larger than max_bytes, kIo otherwise.
std::string load_file(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{1} << 32);
/// Whether load_file() would find bytes: a regular file, or a member within its archive, that is not empty.
[[nodiscard]] bool has_file(const std::filesystem::path& path);
/// Deletes leftovers of AtomicFile in a folder (not below) whose writing process no longer runs.
void remove_stale_temporaries(const std::filesystem::path& folder);

}  // namespace imagerank
