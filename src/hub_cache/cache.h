#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "hub_cache/repository.h"

namespace imagerank::hub_cache {

/// One repository's folder in the cache that huggingface_hub and this program share:
/// refs/<revision> (a commit), blobs/<etag>, snapshots/<commit>/<path> -> ../../blobs/<etag>; a blob under way is
/// blobs/<etag>.incomplete. Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
class RepositoryCache {
 public:
  RepositoryCache(const std::filesystem::path& cache, const Repository& repository);

  [[nodiscard]] std::filesystem::path blob(const std::string& etag) const { return root_ / "blobs" / etag; }
  [[nodiscard]] std::filesystem::path incomplete(const std::string& etag) const;
  [[nodiscard]] std::filesystem::path lock_file(const std::string& etag) const { return locks_ / (etag + ".lock"); }
  [[nodiscard]] std::filesystem::path snapshot(const std::string& commit) const { return root_ / "snapshots" / commit; }
  /// Where a file of a commit is found once it is there.
  [[nodiscard]] std::filesystem::path local_path(const std::string& commit, const std::string& path) const;

  /// Whether the file is there in full size, as a link to its blob or as a file.
  [[nodiscard]] bool has_file(const std::string& commit, const RemoteFile& file) const;
  /// Whether its blob is there in full size.
  [[nodiscard]] bool has_blob(const RemoteFile& file) const;
  /// Bytes of it that an earlier, interrupted transfer left; 0 if there are none or more than the file has.
  [[nodiscard]] std::uint64_t bytes_held(const RemoteFile& file) const;
  /// Makes the snapshot's entry for a blob that is there. @throws Error kIo.
  void link(const std::string& commit, const RemoteFile& file) const;

  /// The commit that a branch or tag stood for when it was last pulled; a commit stands for itself.
  [[nodiscard]] std::optional<std::string> read_ref(const std::string& revision) const;
  /// The branches and tags that were pulled, by name.
  [[nodiscard]] std::vector<std::string> refs() const;
  /// @throws Error kIo.
  void write_ref(const std::string& revision, const std::string& commit) const;
  /// The files of a snapshot, by path; entries that lead nowhere have no size and no etag.
  [[nodiscard]] std::vector<RemoteFile> files(const std::string& commit) const;

 private:
  std::filesystem::path root_;
  std::filesystem::path locks_;
};

/// The lock on one blob that huggingface_hub takes too (flock), so that two programs do not write the same file.
class BlobLock {
 public:
  /// Waits for it. @throws Error kIo, kCancelled.
  BlobLock(const std::filesystem::path& path, const std::stop_token& stop);
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;
  ~BlobLock();

 private:
  int descriptor_ = -1;
};

/// The repositories of one kind that have a folder in a cache, by id, each at "main".
[[nodiscard]] std::vector<Repository> list_repositories(const std::filesystem::path& cache, RepositoryKind kind);

}  // namespace imagerank::hub_cache
