#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hub_cache/repository.h"

namespace imagerank::hub {

using hub_cache::is_commit;
using hub_cache::is_safe_file_name;
using hub_cache::RemoteFile;
using hub_cache::Repository;
using hub_cache::RepositoryKind;

/// What a repository holds at a commit.
struct Listing {
  std::string commit;  ///< 40 hex digits
  std::vector<RemoteFile> files;
};

/// Whether one of the patterns names the path, as Python's fnmatch has it: * and ? also match slashes, [abc] and
/// [!abc] are sets, a pattern that ends in a slash means all below it. No pattern at all names every path.
[[nodiscard]] bool is_wanted(const std::string& path, const std::vector<std::string>& patterns);

/// Percent-encodes all but unreserved characters; slashes too unless they are kept.
[[nodiscard]] std::string url_encoded(std::string_view text, bool keep_slashes);

}  // namespace imagerank::hub
