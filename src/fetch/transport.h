#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fetch/url.h"
#include "http/address.h"

namespace imagerank::fetch {

using std::chrono::milliseconds;

/// Transfers at once at the very most, those that wait for their server included.
constexpr int kMostOpen = 1024;

/// How bytes are moved. One validation: validate().
struct NetworkSettings {
  int concurrency = 32;                    ///< transfers at once, 1..1024
  int per_host = 16;                       ///< of these, to one host and port, 1..1024
  int retries = 3;                         ///< further tries after the first, 0..20; only where another try may help
  int max_redirects = 5;                   ///< 0..50
  milliseconds connect_timeout{10000};     ///< name, address and TLS together, 1 ms..1 h
  milliseconds first_byte_timeout{15000};  ///< from the request to the answer's first byte, 1 ms..1 h
  milliseconds stall_timeout{30000};       ///< without a byte, or below 512 bytes/s for so long, 1 ms..1 h
  milliseconds total_timeout{900000};      ///< one try of one image, 1 ms..1 d
  milliseconds backoff{500};               ///< before the first retry; doubles, with jitter, 1 ms..1 h
  milliseconds max_backoff{60000};         ///< a server that asks for a longer wait fails at once
  std::size_t max_image_bytes = std::size_t{64} << 20;     ///< larger: "too_large"
  std::size_t max_buffered_bytes = std::size_t{64} << 20;  ///< beyond it all transfers but the oldest pause
  bool allow_local = false;  ///< file: URLs and private, loopback and link-local addresses
  bool respect_noai = true;  ///< an answer with "X-Robots-Tag: noai" or "noimageai" is "noai"
  std::string proxy;         ///< "http://host:port"; "" means none, whatever the environment says: the address check
                             ///< sees only the proxy
  std::string ca_file;       ///< PEM certificates to trust; "" means the system's
  std::uint64_t seed = 0;    ///< of the jitter

  /// @throws Error kInvalidArgument, naming the option, its range and the value.
  void validate() const;
};

/// Counts the bytes of bodies that are somewhere between the network and the disk, and keeps the memory of bodies that
/// are gone for those to come: fresh memory costs more than the bytes that go into it. Thread-safe.
class ByteBudget {
 public:
  void take(std::size_t bytes) noexcept { used_ += bytes; }
  void give_back(std::size_t bytes) noexcept { used_ -= bytes; }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

  /// An empty string that may have room.
  [[nodiscard]] std::string take_memory() noexcept;
  void give_back_memory(std::string&& memory) noexcept;

 private:
  std::atomic<std::size_t> used_ = 0;
  std::mutex mutex_;
  std::vector<std::string> memory_;  // mutex_
};

/// The bytes of one file, counted in a budget for as long as they live.
class Body {
 public:
  Body() = default;
  /// @param budget  outlives the body.
  explicit Body(ByteBudget& budget) noexcept : budget_(&budget) {}
  explicit Body(std::string bytes) noexcept : bytes_(std::move(bytes)) {}
  Body(Body&& other) noexcept : bytes_(std::move(other.bytes_)), budget_(std::exchange(other.budget_, nullptr)) {}
  Body& operator=(Body&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(budget_, other.budget_);
    other.clear();
    return *this;
  }
  ~Body() { clear(); }

  static constexpr std::size_t kFirstBytes = 4096;
  /// @param expected  bytes that are to come in all, as far as known; read where the body has kFirstBytes or fewer.
  void append(std::string_view data, std::size_t expected);
  void clear() noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::string_view text() const noexcept { return bytes_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(bytes_)); }

 private:
  std::string bytes_;
  ByteBudget* budget_ = nullptr;
};

/// One try of one URL.
struct Request {
  std::size_t ticket = 0;
  std::string_view url;                ///< read by start() only
  std::string_view etag;               ///< "" none; else asks for the body only if it changed (If-None-Match)
  std::string_view last_modified;      ///< "" none; the same (If-Modified-Since)
  milliseconds first_byte_timeout{0};  ///< of this try
  milliseconds stall_timeout{0};       ///< the same
  bool new_connection = false;         ///< where the one before may be what is broken
};

/// What one try of one URL came to.
struct Transfer {
  std::size_t ticket = 0;
  int http_status = 0;  ///< 0 where there was no whole answer, and for files
  std::string reason;   ///< "" for a whole answer of any status; else "timeout", "dns", "connect", "tls", "truncated",
                       ///< "connection", "redirects", "too_large", "refused_address", "missing", "bad_response", "noai"
  std::string detail;                       ///< one line for a person
  Body body;                                ///< whole; empty unless the status is 2xx or it is a file
  bool length_known = false;                ///< the server said how long the body is, and so long it is
  std::string etag;                         ///< as the server gave it, "" if it did not
  std::string last_modified;                ///< as the server gave it
  std::optional<milliseconds> retry_after;  ///< as the server asked
  /// Time to the answer's first byte; empty where none came, which may be the host's fault, not the URL's.
  std::optional<milliseconds> answered_after;
};

struct Silence {
  std::size_t ticket = 0;
  milliseconds time{0};
  std::optional<milliseconds> answered_after;  ///< as Transfer has it, as soon as the answer has begun
};

/// What moves bytes: libcurl, or a fake that injects faults. Not thread-safe.
class Transport {
 public:
  using Clock = std::chrono::steady_clock;

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;
  /// Begins one try; each start gives exactly one Transfer from a later wait(). Does not block on the network.
  virtual void start(const Request& request) = 0;
  /// Transfers that may be under way at once, 1..kMostOpen.
  [[nodiscard]] virtual int most_open() const noexcept { return kMostOpen; }
  /// Moves bytes until something ended or `at_most` has passed.
  virtual std::vector<Transfer> wait(milliseconds at_most) = 0;
  /// The transfers under way, and for how long each has waited for a byte.
  [[nodiscard]] virtual std::vector<Silence> silences() const = 0;
  /// The clock that retries are scheduled by; a fake may have its own.
  [[nodiscard]] virtual Clock::time_point now() const { return Clock::now(); }
};

/// libcurl: HTTP/2 where the server has it, connections and names kept, redirects followed within max_redirects, every
/// address checked after its name was resolved, on redirects too. Destroying it ends all transfers.
/// @param budget   counts the bytes of every body; outlives the transport and what it gives.
/// @param refused  what is checked unless settings.allow_local.
/// @throws Error kInvalidArgument (settings), kUnavailable (libcurl does not start).
[[nodiscard]] std::unique_ptr<Transport> make_curl_transport(const NetworkSettings& settings, ByteBudget& budget,
                                                             http::AddressCheck refused = http::is_private_address);

}  // namespace imagerank::fetch
