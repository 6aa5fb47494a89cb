#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "fetch/curl_loop.h"
#include "fetch/robots.h"
#include "fetch/transport.h"
#include "http/address.h"

namespace imagerank::fetch {
namespace {

class CurlTransport;

constexpr std::size_t kBufferBytes = 65536;  // of each transfer in libcurl

/// Transfers at once that the process's limit of open files allows: each may have a socket, and two more while its name
/// is looked up; as many connections again are kept idle.
int most_transfers() noexcept {
  constexpr rlim_t kOtherFiles = 128;
  constexpr rlim_t kFilesEach = 4;
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < kOtherFiles) return 1;
  return static_cast<int>(std::clamp<rlim_t>((files.rlim_cur - kOtherFiles) / kFilesEach, 1, kMostOpen));
}

struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// One reusable transfer: a libcurl handle and what its callbacks need.
struct Slot {
  CurlTransport* owner = nullptr;
  http::EasyHandle easy;
  std::unique_ptr<curl_slist, ListDeleter> headers;  ///< of a conditional request
  std::array<char, CURL_ERROR_SIZE> error{};
  Body body;
  std::string etag;
  std::string last_modified;
  std::size_t ticket = 0;
  std::uint64_t order = 0;      ///< of starting: the oldest is never paused
  std::size_t discarded = 0;    ///< bytes of an error page
  std::string refused_address;  ///< the address that was refused, as text
  Transport::Clock::time_point started;
  Transport::Clock::time_point first_byte;
  Transport::Clock::time_point last_byte;
  milliseconds first_byte_timeout{0};
  milliseconds stall_timeout{0};
  bool active = false;
  bool answered = false;  ///< the first byte of an answer is here
  bool paused = false;
  bool too_large = false;
  bool no_ai = false;
  bool out_of_memory = false;
};

class CurlTransport final : public Transport {
 public:
  CurlTransport(NetworkSettings settings, ByteBudget& budget, http::AddressCheck refused)
      : settings_(std::move(settings)), budget_(budget), refused_(refused), loop_(2L * most_open_) {}
  ~CurlTransport() override {
    for (const auto& slot : slots_) {
      if (slot->active) loop_.remove(slot->easy.get());
    }
  }

  void start(const Request& request) override {
    const auto url = parse_url(request.url);
    if (!url) fail(ErrorCode::kInvalidArgument, "expected an http, https or file URL, found '{}'", request.url);
    if (url->scheme == "file") {
      files_.emplace_back(request.ticket, url->path);
      return;
    }
    Slot& slot = free_slot();
    reset(slot, request);
    http::set_option(slot.easy.get(), CURLOPT_URL, url->text.c_str());
    // On plain HTTP nobody multiplexes: waiting for the first connection to say so would cost a round trip.
    http::set_option(slot.easy.get(), CURLOPT_PIPEWAIT, url->scheme == "https" ? 1L : 0L);
    http::set_option(slot.easy.get(), CURLOPT_FRESH_CONNECT, request.new_connection ? 1L : 0L);
    http::set_option(slot.easy.get(), CURLOPT_HTTPHEADER, slot.headers.get());
    loop_.add(slot.easy.get());
    slot.active = true;
  }

  [[nodiscard]] int most_open() const noexcept override { return most_open_; }

  std::vector<Transfer> wait(milliseconds at_most) override {
    std::vector<Transfer> done;
    while (!files_.empty() && done.size() < 8) {  // a few at a time: each may be as large as an image can be
      done.push_back(read_file(files_.back().first, files_.back().second));
      files_.pop_back();
    }
    resume_paused();
    loop_.run(done.empty() ? at_most : milliseconds(0));
    loop_.for_each_ended([&](CURL* easy, CURLcode result) {
      char* user = nullptr;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
      auto& slot = *static_cast<Slot*>(
          static_cast<void*>(user));  // NOLINT(bugprone-casting-through-void): curl hands a void* back as char*
      done.push_back(describe(slot, result));
      end(slot);
    });
    end_overdue(done);
    return done;
  }

  [[nodiscard]] std::vector<Silence> silences() const override {
    std::vector<Silence> found;
    const auto time = now();
    for (const auto& slot : slots_) {
      if (!slot->active) continue;
      const auto silence = slot->paused ? milliseconds(0) : std::chrono::floor<milliseconds>(time - slot->last_byte);
      found.push_back({slot->ticket, silence, answered_after(*slot)});
    }
    return found;
  }

 private:
  static std::size_t on_body(char* data, std::size_t /*always one*/, std::size_t size, void* user) noexcept {
    auto& slot = *static_cast<Slot*>(user);
    return slot.owner->receive(slot, {data, size});
  }

  static std::size_t on_header(char* data, std::size_t /*always one*/, std::size_t size, void* user) noexcept {
    auto& slot = *static_cast<Slot*>(user);
    return slot.owner->read_header(slot, {data, size}) ? size : 0;
  }

  static curl_socket_t on_socket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) noexcept {
    auto& slot = *static_cast<Slot*>(user);
    const NetworkSettings& settings = slot.owner->settings_;
    if (!settings.allow_local && settings.proxy.empty()) {
      std::array<std::uint8_t, 16> storage{};
      const auto bytes = http::address_bytes(*address, storage);
      if (slot.owner->refused_(bytes)) {
        try {
          slot.refused_address = http::address_text(bytes);
        } catch (const std::bad_alloc&) {
          slot.out_of_memory = true;
        }
        return CURL_SOCKET_BAD;
      }
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  /// @return false ends the transfer.
  bool read_header(Slot& slot, std::string_view line) noexcept {
    slot.last_byte = now();
    if (!slot.answered) slot.first_byte = slot.last_byte;
    slot.answered = true;
    try {
      if (line.starts_with("HTTP/")) {  // of each answer on the way: redirects, 100 Continue
        slot.etag.clear();
        slot.last_modified.clear();
        slot.no_ai = false;
        return true;
      }
      const Header header = parse_header(line);
      if (header.name == "etag") slot.etag = header.value;
      if (header.name == "last-modified") slot.last_modified = header.value;
      if (header.name == "x-robots-tag" && settings_.respect_noai && forbids_ai(header.value)) slot.no_ai = true;
      if (header.name.empty() && slot.no_ai) {  // the empty line that ends an answer's headers
        long status = 0;
        curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
        return status < 200 || status >= 300;
      }
      return true;
    } catch (const std::bad_alloc&) {
      slot.out_of_memory = true;
      return false;
    }
  }

  /// @return bytes taken; less than given ends the transfer.
  std::size_t receive(Slot& slot, std::string_view data) noexcept {
    slot.last_byte = now();
    long status = 0;
    curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status >= 300) {  // an error page says nothing more than its status
      constexpr std::size_t kMostDiscarded = std::size_t{1} << 16;
      slot.discarded += data.size();
      return slot.discarded > kMostDiscarded ? 0 : data.size();
    }
    if (data.size() > settings_.max_image_bytes - slot.body.size()) {
      slot.too_large = true;
      return 0;
    }
    if (budget_.used() + data.size() > settings_.max_buffered_bytes && slot.order != oldest_order()) {
      slot.paused = true;
      ++paused_;
      return CURL_WRITEFUNC_PAUSE;
    }
    try {
      slot.body.append(data, slot.body.size() <= Body::kFirstBytes ? expected_size(slot) : 0);
    } catch (const std::bad_alloc&) {
      slot.out_of_memory = true;
      return 0;
    }
    return data.size();
  }

  static std::optional<milliseconds> answered_after(const Slot& slot) {
    if (!slot.answered) return std::nullopt;
    return std::chrono::ceil<milliseconds>(slot.first_byte - slot.started);
  }

  /// As the server says, 0 if it does not.
  static std::size_t expected_size(const Slot& slot) {
    curl_off_t length = 0;
    curl_easy_getinfo(slot.easy.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length > 0 ? static_cast<std::size_t>(length) : 0;
  }

  [[nodiscard]] std::uint64_t oldest_order() const noexcept {
    std::uint64_t oldest = next_order_;
    for (const auto& slot : slots_) {
      if (slot->active) oldest = std::min(oldest, slot->order);
    }
    return oldest;
  }

  void resume_paused() {
    if (paused_ == 0) return;
    // Only where what libcurl holds back fits: it would be paused again, and what is held back copied each time.
    constexpr std::size_t kHeldBack = kBufferBytes;
    const std::uint64_t oldest = oldest_order();
    for (const auto& slot : slots_) {
      if (!slot->active || !slot->paused) continue;
      if (budget_.used() + kHeldBack > settings_.max_buffered_bytes && slot->order != oldest) continue;
      slot->paused = false;  // before: the callback may run inside and pause again
      --paused_;
      slot->last_byte = now();
      curl_easy_pause(slot->easy.get(), CURLPAUSE_CONT);
    }
  }

  /// Transfers that a server keeps waiting. libcurl knows no limit on the first byte, and of others only whole seconds.
  void end_overdue(std::vector<Transfer>& done) {
    constexpr milliseconds kInterval(20);
    const auto time = now();
    if (time - last_look_ < kInterval) return;
    last_look_ = time;
    for (const auto& slot : slots_) {
      if (!slot->active || slot->paused) continue;
      milliseconds limit = slot->stall_timeout;
      auto since = slot->last_byte;
      if (!slot->answered) {
        curl_off_t connected_us = 0;
        curl_easy_getinfo(slot->easy.get(), CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        if (connected_us == 0) continue;  // the connection has a limit of its own
        since = slot->started + std::chrono::microseconds(connected_us);
        limit = slot->first_byte_timeout;
      }
      if (time - since <= limit) continue;
      Transfer transfer = describe(*slot, CURLE_OPERATION_TIMEDOUT);
      transfer.detail =
          fmt::format("expected {} within {} ms, found none", slot->answered ? "a byte" : "an answer", limit.count());
      done.push_back(std::move(transfer));
      end(*slot);
    }
  }

  void end(Slot& slot) {
    loop_.remove(slot.easy.get());
    slot.active = false;
    if (slot.paused) --paused_;
    slot.paused = false;
    free_.push_back(&slot);
  }

  Transfer describe(Slot& slot, CURLcode result) {
    if (slot.out_of_memory) fail(ErrorCode::kResourceLimit, "fetching: expected memory for an image, found none left");
    Transfer transfer;
    transfer.ticket = slot.ticket;
    transfer.answered_after = answered_after(slot);
    long status = 0;
    curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    const bool ended_on_error_page = status >= 300 && (result == CURLE_WRITE_ERROR || result == CURLE_PARTIAL_FILE ||
                                                       result == CURLE_FILESIZE_EXCEEDED);
    if (slot.no_ai && result == CURLE_WRITE_ERROR) {
      transfer.reason = "noai";
      transfer.detail = "the server's X-Robots-Tag forbids use for AI";
    } else if (result == CURLE_OK || ended_on_error_page) {
      transfer.http_status = static_cast<int>(status);
      transfer.detail = fmt::format("HTTP {}", status);
      transfer.length_known = result == CURLE_OK && expected_size(slot) == slot.body.size();
      transfer.body = std::move(slot.body);
      transfer.etag = std::move(slot.etag);
      transfer.last_modified = std::move(slot.last_modified);
      curl_off_t seconds = 0;
      if (curl_easy_getinfo(slot.easy.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
        transfer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 1000000000));
      }
    } else if (!slot.refused_address.empty() && result == CURLE_COULDNT_CONNECT) {
      transfer.reason = "refused_address";
      transfer.detail = fmt::format("{} is a private, loopback or link-local address", slot.refused_address);
    } else if (slot.too_large || result == CURLE_FILESIZE_EXCEEDED) {
      transfer.reason = "too_large";
      transfer.detail = fmt::format("expected at most {} bytes", settings_.max_image_bytes);
    } else {
      transfer.reason = http::transfer_problem(result);
      transfer.detail = slot.error[0] != '\0' ? slot.error.data() : curl_easy_strerror(result);
    }
    slot.body = Body(budget_);
    return transfer;
  }

  Transfer read_file(std::size_t ticket, const std::string& path) {
    Transfer transfer;
    transfer.ticket = ticket;
    transfer.answered_after = milliseconds(0);
    std::error_code error;
    if (!settings_.allow_local) {
      transfer.reason = "refused_address";
      transfer.detail = "a file: URL";
    } else if (!std::filesystem::is_regular_file(path, error)) {  // never opens a pipe or a device
      transfer.reason = "missing";
      transfer.detail = fmt::format("{}: expected a file, found none", path);
    } else {
      try {
        transfer.body = Body(budget_);
        const std::string bytes = load_file(path, settings_.max_image_bytes);
        transfer.body.append(bytes, bytes.size());
      } catch (const Error& problem) {
        transfer.reason = problem.code() == ErrorCode::kResourceLimit ? "too_large" : "missing";
        transfer.detail = problem.what();
      }
    }
    return transfer;
  }

  Slot& free_slot() {
    if (!free_.empty()) {
      Slot& slot = *free_.back();
      free_.pop_back();
      return slot;
    }
    auto slot = std::make_unique<Slot>();
    slot->owner = this;
    slot->body = Body(budget_);
    slot->easy.reset(curl_easy_init());
    if (!slot->easy) fail(ErrorCode::kUnavailable, "libcurl: expected a transfer handle, found none (out of memory)");
    configure(*slot);
    slots_.push_back(std::move(slot));
    return *slots_.back();
  }

  void reset(Slot& slot, const Request& request) {
    slot.ticket = request.ticket;
    slot.order = next_order_++;
    slot.discarded = 0;
    slot.refused_address.clear();
    slot.etag.clear();
    slot.last_modified.clear();
    slot.answered = slot.paused = slot.too_large = slot.no_ai = slot.out_of_memory = false;
    slot.error[0] = '\0';
    slot.started = slot.last_byte = now();
    slot.first_byte_timeout = request.first_byte_timeout;
    slot.stall_timeout = request.stall_timeout;
    curl_slist* headers = nullptr;
    if (!request.etag.empty())
      headers = curl_slist_append(headers, fmt::format("If-None-Match: {}", request.etag).c_str());
    if (!request.last_modified.empty())
      headers = curl_slist_append(headers, fmt::format("If-Modified-Since: {}", request.last_modified).c_str());
    slot.headers.reset(headers);
  }

  void configure(Slot& slot) const {
    CURL* easy = slot.easy.get();
    const auto seconds_of = [](milliseconds time) {
      return static_cast<long>(std::chrono::ceil<std::chrono::seconds>(time).count());
    };
    http::set_option(easy, CURLOPT_PRIVATE, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_ERRORBUFFER, slot.error.data());
    http::set_option(easy, CURLOPT_WRITEFUNCTION, &CurlTransport::on_body);
    http::set_option(easy, CURLOPT_WRITEDATA, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_HEADERFUNCTION, &CurlTransport::on_header);
    http::set_option(easy, CURLOPT_HEADERDATA, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_OPENSOCKETFUNCTION, &CurlTransport::on_socket);
    http::set_option(easy, CURLOPT_OPENSOCKETDATA, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_BUFFERSIZE, static_cast<long>(kBufferBytes));
    http::set_option(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    http::set_option(easy, CURLOPT_DNS_CACHE_TIMEOUT, 600L);
    http::set_option(easy, CURLOPT_NOSIGNAL, 1L);
    http::set_option(easy, CURLOPT_USERAGENT, "imagerank");
    http::set_option(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    http::set_option(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    http::set_option(easy, CURLOPT_FOLLOWLOCATION, 1L);
    http::set_option(easy, CURLOPT_MAXREDIRS, static_cast<long>(settings_.max_redirects));
    http::set_option(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings_.connect_timeout.count()));
    http::set_option(easy, CURLOPT_LOW_SPEED_LIMIT, 512L);
    http::set_option(easy, CURLOPT_LOW_SPEED_TIME, seconds_of(settings_.stall_timeout));
    http::set_option(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.total_timeout.count()));
    http::set_option(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(settings_.max_image_bytes));
    http::set_option(easy, CURLOPT_PROXY, settings_.proxy.c_str());  // "" also switches the environment's proxies off
    http::set_option(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    if (!settings_.ca_file.empty()) http::set_option(easy, CURLOPT_CAINFO, settings_.ca_file.c_str());
  }

  NetworkSettings settings_;
  ByteBudget& budget_;
  http::AddressCheck refused_;
  const int most_open_ = most_transfers();
  CurlLoop loop_;  ///< keeps more connections than may be open: else each end would close one that the next could use
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;  ///< of slots_, those that are not active
  std::vector<std::pair<std::size_t, std::string>> files_;
  std::uint64_t next_order_ = 0;
  std::size_t paused_ = 0;
  Clock::time_point last_look_;
};

}  // namespace

std::unique_ptr<Transport> make_curl_transport(const NetworkSettings& settings, ByteBudget& budget,
                                               http::AddressCheck refused) {
  settings.validate();
  return std::make_unique<CurlTransport>(settings, budget, refused);
}

}  // namespace imagerank::fetch
