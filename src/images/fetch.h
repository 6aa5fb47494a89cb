#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/progress.h"
#include "images/decode.h"
#include "images/fetcher.h"

namespace imagerank::images {

/// What became of one URL.
struct FetchedImage {
  std::size_t index = 0;  ///< into the URLs given
  std::string
      reason;  ///< "" fetched; else countable: Transfer's reasons, "http_404", "not_an_image", "empty", "bad_url"
  std::string detail;                          ///< one line for a person
  int tries = 0;                               ///< 0 where the URL was never tried
  std::string bytes;                           ///< the whole file
  ImageFormat format = ImageFormat::kUnknown;  ///< by the bytes, whatever the server called it
  std::int32_t width = 0;                      ///< as the header says, 0 if it does not
  std::int32_t height = 0;
  std::string sha256;  ///< of bytes, 64 hex digits

  [[nodiscard]] bool ok() const noexcept { return reason.empty(); }
};

/// Called once for each URL, in the order in which they end, on the caller's thread. What it throws ends the fetch.
using FetchSink = std::function<void(FetchedImage&&)>;

/// Fetches every URL through `fetcher`, hosts taken in turn, with retries: exponential backoff with jitter, or what
/// Retry-After asks, which holds back the whole host. A URL that fails is an outcome, never an exception.
/// Memory: one body more than options.max_buffered_bytes, and a few bytes per URL.
/// @throws Error kInvalidArgument (options), kCancelled once a stop was requested.
void fetch_images(std::span<const std::string> urls, const FetchOptions& options, Fetcher& fetcher,
                  const FetchSink& sink, const RunContext& context);

/// Whether another try may help: a reason of the network, or "http_" and a status that servers give for a while.
[[nodiscard]] bool may_pass(std::string_view reason) noexcept;

/// Checks and describes the bytes of one image file: fills reason ("empty", "not_an_image", "truncated"), format, size
/// and sha256 of `image` from its bytes.
void inspect_image(FetchedImage& image);

}  // namespace imagerank::images
