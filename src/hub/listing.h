#pragma once

#include <string>
#include <vector>

#include "hub/http.h"
#include "hub/repository.h"
#include "hub/retry.h"
#include "hub/settings.h"

namespace imagerank::hub {

/// The commit that the repository's revision stands for, and the files there that the patterns name (is_wanted), by
/// path. Asks <endpoint>/api/.../revision/<revision>, then .../tree/<commit> page by page; of a hub without the tree,
/// .../revision/<commit>?blobs=true; of what that leaves out, each file's own headers.
/// @throws Error kNotFound, kRefused (gated; names that would lead out of a folder), kUnavailable, kCorruptData (an
/// answer that is not what the hub's interface promises), kCancelled.
[[nodiscard]] Listing list_repository(HttpClient& client, RetryGate& gate, const HubSettings& settings,
                                      const Repository& repository, const std::vector<std::string>& patterns);

/// Where a file of a repository is: <endpoint>/datasets/ORG/NAME/resolve/<commit>/<path>.
[[nodiscard]] std::string file_url(const HubSettings& settings, const Repository& repository, const std::string& commit,
                                   const std::string& path);

/// The target of rel="next" in a Link header; "" if there is none.
[[nodiscard]] std::string next_link(const std::string& header);

}  // namespace imagerank::hub
