#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imagerank::hub_cache {

enum class RepositoryKind { kModel, kDataset };

/// A repository of the hub at a branch, tag or commit.
struct Repository {
  RepositoryKind kind = RepositoryKind::kDataset;
  std::string id;  ///< "ORG/NAME", or "NAME"
  std::string revision = "main";

  /// @throws Error kInvalidArgument if the id or the revision could not be one.
  void validate() const;
  /// "dataset ORG/NAME"
  [[nodiscard]] std::string title() const;
  /// "datasets--ORG--NAME", the folder in the cache.
  [[nodiscard]] std::string folder_name() const;
  /// "datasets/ORG/NAME", or "ORG/NAME" for a model: where its page and its files are below the endpoint.
  [[nodiscard]] std::string page() const;
  /// "datasets/ORG/NAME" or "models/ORG/NAME": below <endpoint>/api/.
  [[nodiscard]] std::string api_path() const;
};

/// One file of a repository at a commit.
struct RemoteFile {
  std::string path;        ///< relative, with slashes; safe to put below a folder
  std::uint64_t size = 0;  ///< bytes
  std::string etag;  ///< 64 or 40 hex digits: SHA-256 for LFS, git's SHA-1 otherwise; the blob's name in the cache
};

/// Whether a text could be a repository's id.
[[nodiscard]] bool is_repository_id(std::string_view text) noexcept;
/// The repository whose folder_name() this is, at "main"; nullopt if there is none.
[[nodiscard]] std::optional<Repository> parse_folder_name(std::string_view name);
/// Whether a name from a server may become a path below a folder: relative, no "." or ".." or empty part, no NUL,
/// control character or backslash, no part longer than 255 bytes.
[[nodiscard]] bool is_safe_file_name(std::string_view name) noexcept;
[[nodiscard]] bool is_commit(std::string_view text) noexcept;

}  // namespace imagerank::hub_cache
