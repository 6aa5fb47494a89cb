#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "core/item_failure.h"
#include "hub/blob_hash.h"
#include "hub/http.h"
#include "hub/repository.h"
#include "hub/retry.h"
#include "hub_cache/cache.h"

namespace imagerank::hub {

using hub_cache::BlobLock;
using hub_cache::RepositoryCache;

/// What one file's transfer needs beside itself. `moved` hears of bytes as they arrive (negative: they were thrown
/// away, to start over) and may be called from any thread.
struct TransferContext {
  const HubSettings& settings;
  const Repository& repository;
  const RepositoryCache& cache;
  RetryGate& gate;
  std::stop_token stop;
  std::function<void(std::int64_t bytes)> moved;
};

/// Brings one blob into the cache: carries on where an .incomplete file ends, checks size and checksum before the blob
/// gets its name, then links the snapshot's entry. The same blob may be asked for by two threads or programs at once.
/// @return why not, for what concerns this file alone: "http_404", "wrong_size", "wrong_checksum", "truncated", ...
/// @throws Error for what concerns all files: kRefused (gated), kUnavailable (no network), kResourceLimit (full disk),
/// kIo, kCancelled.
std::optional<ItemFailure> transfer_file(HttpClient& client, const TransferContext& context, const std::string& commit,
                                         const RemoteFile& file);

}  // namespace imagerank::hub
