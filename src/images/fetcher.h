#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "images/url.h"

namespace imagerank::images {

/// How images are fetched. One validation: validate().
struct FetchOptions {
  int concurrency = 32;                     ///< transfers at once, 1..1024
  int per_host = 16;                        ///< of these, to one host and port, 1..1024
  int retries = 3;                          ///< further tries after the first, 0..20; only where another try may help
  int max_redirects = 5;                    ///< 0..50
  std::int64_t connect_timeout_ms = 30000;  ///< name, address and TLS together, 1..3600000
  std::int64_t stall_timeout_s = 30;        ///< this long below 512 bytes/s: "timeout", 1..3600
  std::int64_t total_timeout_s = 900;       ///< one try of one image, 1..86400
  std::int64_t backoff_ms = 500;            ///< before the first retry; doubles, with jitter, 1..3600000
  std::int64_t max_backoff_ms = 60000;      ///< a server that asks for a longer wait fails at once
  std::size_t max_image_bytes = std::size_t{64} << 20;      ///< larger: "too_large"
  std::size_t max_buffered_bytes = std::size_t{256} << 20;  ///< beyond it all transfers but the oldest pause
  bool allow_local = false;  ///< file: URLs and private, loopback and link-local addresses
  std::string proxy;         ///< "http://host:port"; "" means none, whatever the environment says: the address check
                             ///< sees only the proxy
  std::uint64_t seed = 0;    ///< of the jitter

  /// @throws Error kInvalidArgument, naming the option, its range and the value.
  void validate() const;
};

/// What one try of one URL came to.
struct Transfer {
  std::size_t ticket = 0;  ///< as given to start()
  int http_status = 0;     ///< 0 where there was no whole answer, and for files
  std::string reason;  ///< "" for a whole answer of any status; else "timeout", "dns", "connect", "tls", "truncated",
                       ///< "connection", "redirects", "too_large", "refused_address", "missing", "bad_response"
  std::string detail;  ///< one line for a person
  std::string body;    ///< whole; empty unless the status is 2xx or it is a file
  std::optional<std::chrono::milliseconds> retry_after;  ///< as the server asked
};

/// What moves bytes: libcurl, or a fake that injects faults. Not thread-safe.
class Fetcher {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Fetcher() = default;
  /// Begins one try; each start gives exactly one Transfer from a later wait(). Does not block on the network.
  virtual void start(std::size_t ticket, const Url& url) = 0;
  /// Moves bytes until something ended or `at_most` has passed.
  virtual std::vector<Transfer> wait(std::chrono::milliseconds at_most) = 0;
  /// The clock that retries are scheduled by; a fake may have its own.
  [[nodiscard]] virtual Clock::time_point now() const { return Clock::now(); }
};

/// Whether an address (4 or 16 bytes, network order) must not be connected to.
using AddressCheck = bool (*)(std::span<const std::uint8_t> address) noexcept;

/// libcurl: connections reused, redirects followed within max_redirects, every address checked after its name was
/// resolved, on redirects too. Destroying it ends all transfers.
/// @param refused  what is checked unless options.allow_local.
/// @throws Error kInvalidArgument (options), kUnavailable (libcurl does not start).
[[nodiscard]] std::unique_ptr<Fetcher> make_curl_fetcher(const FetchOptions& options,
                                                         AddressCheck refused = is_private_address);

}  // namespace imagerank::images
