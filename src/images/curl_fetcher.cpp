#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <new>
#include <span>
#include <string_view>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "http/curl.h"
#include "images/fetcher.h"

namespace imagerank::images {
namespace {

struct MultiDeleter {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};

class CurlFetcher;

/// One reusable transfer: a libcurl handle and what its callbacks need.
struct Slot {
  CurlFetcher* owner = nullptr;
  http::EasyHandle easy;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string body;
  std::size_t ticket = 0;
  std::uint64_t order = 0;      ///< of starting: the oldest is never paused
  std::size_t discarded = 0;    ///< bytes of an error page
  std::string refused_address;  ///< the address that was refused, as text
  bool active = false;
  bool paused = false;
  bool too_large = false;
  bool out_of_memory = false;
};

/// As curl's socket callback has it, so that the check is made on what is connected to, not on a name that may
/// resolve to something else a moment later.
std::span<const std::uint8_t> address_bytes(const curl_sockaddr& address, std::array<std::uint8_t, 16>& storage) {
  if (address.family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.addr, sizeof(v4));
    std::memcpy(storage.data(), &v4.sin_addr, 4);
    return std::span(storage).first(4);
  }
  if (address.family == AF_INET6) {
    // curl_sockaddr declares a short sockaddr and lays the long one out behind it.
    sockaddr_in6 v6{};
    const std::size_t size = std::min<std::size_t>(address.addrlen, sizeof(v6));
    const auto* raw = reinterpret_cast<const std::byte*>(&address) + offsetof(curl_sockaddr, addr);
    std::memcpy(&v6, raw, size);
    std::memcpy(storage.data(), &v6.sin6_addr, 16);
    return std::span(storage);
  }
  return {};
}

std::string address_text(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return fmt::format("{}.{}.{}.{}", address[0], address[1], address[2], address[3]);
  std::string text;
  for (std::size_t i = 0; i + 1 < address.size(); i += 2) {
    text += fmt::format("{}{:x}", i == 0 ? "" : ":", unsigned{address[i]} << 8 | address[i + 1]);
  }
  return text.empty() ? "unknown address family" : text;
}

class CurlFetcher final : public Fetcher {
 public:
  CurlFetcher(const FetchOptions& options, AddressCheck refused) : options_(options), refused_(refused) {
    http::start_libcurl();
    multi_.reset(curl_multi_init());
    if (!multi_) fail(ErrorCode::kUnavailable, "libcurl: expected a transfer set, found none (out of memory)");
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(options.concurrency) * 2);
  }
  CurlFetcher(const CurlFetcher&) = delete;
  CurlFetcher& operator=(const CurlFetcher&) = delete;
  ~CurlFetcher() override {
    for (const auto& slot : slots_) {
      if (slot->active) curl_multi_remove_handle(multi_.get(), slot->easy.get());
    }
  }

  void start(std::size_t ticket, const Url& url) override {
    if (url.scheme == "file") {
      files_.emplace_back(ticket, url.path);
      return;
    }
    Slot& slot = free_slot();
    slot.ticket = ticket;
    slot.order = next_order_++;
    slot.discarded = 0;
    slot.refused_address.clear();
    slot.paused = slot.too_large = slot.out_of_memory = false;
    slot.error[0] = '\0';
    http::set_option(slot.easy.get(), CURLOPT_URL, url.text.c_str());
    const CURLMcode added = curl_multi_add_handle(multi_.get(), slot.easy.get());
    if (added != CURLM_OK) {
      fail(ErrorCode::kUnavailable, "libcurl: expected to add a transfer, found: {}", curl_multi_strerror(added));
    }
    slot.active = true;
  }

  std::vector<Transfer> wait(std::chrono::milliseconds at_most) override {
    std::vector<Transfer> done;
    while (!files_.empty() && done.size() < 8) {  // a few at a time: each may be as large as an image can be
      done.push_back(read_file(files_.back().first, files_.back().second));
      files_.pop_back();
    }
    perform(done);
    if (done.empty()) {
      resume_paused();
      const CURLMcode polled = curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(at_most.count()), nullptr);
      if (polled != CURLM_OK) fail(ErrorCode::kIo, "waiting for the network: {}", curl_multi_strerror(polled));
      perform(done);
    }
    resume_paused();
    return done;
  }

 private:
  static std::size_t on_body(char* data, std::size_t /*always one*/, std::size_t size, void* user) noexcept {
    auto& slot = *static_cast<Slot*>(user);
    return slot.owner->receive(slot, {data, size});
  }

  static curl_socket_t on_socket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) noexcept {
    auto& slot = *static_cast<Slot*>(user);
    const FetchOptions& options = slot.owner->options_;
    if (!options.allow_local && options.proxy.empty()) {
      std::array<std::uint8_t, 16> storage{};
      const auto bytes = address_bytes(*address, storage);
      if (slot.owner->refused_(bytes)) {
        try {
          slot.refused_address = address_text(bytes);
        } catch (const std::bad_alloc&) {
          slot.out_of_memory = true;
        }
        return CURL_SOCKET_BAD;
      }
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  /// @return bytes taken; less than given ends the transfer.
  std::size_t receive(Slot& slot, std::string_view data) noexcept {
    long status = 0;
    curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status >= 300) {  // an error page says nothing more than its status
      constexpr std::size_t kMostDiscarded = std::size_t{1} << 16;
      slot.discarded += data.size();
      return slot.discarded > kMostDiscarded ? 0 : data.size();
    }
    if (data.size() > options_.max_image_bytes - slot.body.size()) {
      slot.too_large = true;
      return 0;
    }
    if (buffered_ + data.size() > options_.max_buffered_bytes && slot.order != oldest_order()) {
      slot.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    try {
      slot.body.append(data);
    } catch (const std::bad_alloc&) {
      slot.out_of_memory = true;
      return 0;
    }
    buffered_ += data.size();
    return data.size();
  }

  [[nodiscard]] std::uint64_t oldest_order() const noexcept {
    std::uint64_t oldest = next_order_;
    for (const auto& slot : slots_) {
      if (slot->active) oldest = std::min(oldest, slot->order);
    }
    return oldest;
  }

  void resume_paused() {
    for (const auto& slot : slots_) {
      if (!slot->active || !slot->paused) continue;
      if (buffered_ >= options_.max_buffered_bytes && slot->order != oldest_order()) continue;
      slot->paused = false;  // before: the callback may run inside and pause again
      curl_easy_pause(slot->easy.get(), CURLPAUSE_CONT);
    }
  }

  void perform(std::vector<Transfer>& done) {
    int running = 0;
    const CURLMcode code = curl_multi_perform(multi_.get(), &running);
    if (code != CURLM_OK) fail(ErrorCode::kIo, "fetching: {}", curl_multi_strerror(code));
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode result = message->data.result;  // before the handle is removed, which frees the message
      char* user = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      auto& slot = *static_cast<Slot*>(
          static_cast<void*>(user));  // NOLINT(bugprone-casting-through-void): curl hands a void* back as char*
      done.push_back(describe(slot, result));
      curl_multi_remove_handle(multi_.get(), slot.easy.get());
      slot.active = false;
    }
  }

  Transfer describe(Slot& slot, CURLcode result) {
    if (slot.out_of_memory) fail(ErrorCode::kResourceLimit, "fetching: expected memory for an image, found none left");
    Transfer transfer;
    transfer.ticket = slot.ticket;
    long status = 0;
    curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    buffered_ -= slot.body.size();
    const bool ended_on_error_page = status >= 300 && (result == CURLE_WRITE_ERROR || result == CURLE_PARTIAL_FILE ||
                                                       result == CURLE_FILESIZE_EXCEEDED);
    if (result == CURLE_OK || ended_on_error_page) {
      transfer.http_status = static_cast<int>(status);
      transfer.detail = fmt::format("HTTP {}", status);
      transfer.body = std::move(slot.body);
      curl_off_t seconds = 0;
      if (curl_easy_getinfo(slot.easy.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
        transfer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 1000000000));
      }
    } else if (!slot.refused_address.empty() && result == CURLE_COULDNT_CONNECT) {
      transfer.reason = "refused_address";
      transfer.detail = fmt::format("{} is a private, loopback or link-local address", slot.refused_address);
    } else if (slot.too_large || result == CURLE_FILESIZE_EXCEEDED) {
      transfer.reason = "too_large";
      transfer.detail = fmt::format("expected at most {} bytes", options_.max_image_bytes);
    } else {
      transfer.reason = http::transfer_problem(result);
      transfer.detail = slot.error[0] != '\0' ? slot.error.data() : curl_easy_strerror(result);
    }
    slot.body = std::string();
    return transfer;
  }

  Transfer read_file(std::size_t ticket, const std::string& path) const {
    Transfer transfer;
    transfer.ticket = ticket;
    std::error_code error;
    if (!options_.allow_local) {
      transfer.reason = "refused_address";
      transfer.detail = "a file: URL";
    } else if (!std::filesystem::is_regular_file(path, error)) {  // never opens a pipe or a device
      transfer.reason = "missing";
      transfer.detail = fmt::format("{}: expected a file, found none", path);
    } else {
      try {
        transfer.body = load_file(path, options_.max_image_bytes);
      } catch (const Error& problem) {
        transfer.reason = problem.code() == ErrorCode::kResourceLimit ? "too_large" : "missing";
        transfer.detail = problem.what();
      }
    }
    return transfer;
  }

  Slot& free_slot() {
    for (const auto& slot : slots_) {
      if (!slot->active) return *slot;
    }
    auto slot = std::make_unique<Slot>();
    slot->owner = this;
    slot->easy.reset(curl_easy_init());
    if (!slot->easy) fail(ErrorCode::kUnavailable, "libcurl: expected a transfer handle, found none (out of memory)");
    configure(*slot);
    slots_.push_back(std::move(slot));
    return *slots_.back();
  }

  void configure(Slot& slot) const {
    CURL* easy = slot.easy.get();
    http::set_option(easy, CURLOPT_PRIVATE, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_ERRORBUFFER, slot.error.data());
    http::set_option(easy, CURLOPT_WRITEFUNCTION, &CurlFetcher::on_body);
    http::set_option(easy, CURLOPT_WRITEDATA, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_OPENSOCKETFUNCTION, &CurlFetcher::on_socket);
    http::set_option(easy, CURLOPT_OPENSOCKETDATA, static_cast<void*>(&slot));
    http::set_option(easy, CURLOPT_NOSIGNAL, 1L);
    http::set_option(easy, CURLOPT_USERAGENT, "imagerank");
    http::set_option(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    http::set_option(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    http::set_option(easy, CURLOPT_FOLLOWLOCATION, 1L);
    http::set_option(easy, CURLOPT_MAXREDIRS, static_cast<long>(options_.max_redirects));
    http::set_option(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout_ms));
    http::set_option(easy, CURLOPT_LOW_SPEED_LIMIT, 512L);
    http::set_option(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout_s));
    http::set_option(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.total_timeout_s * 1000));
    http::set_option(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options_.max_image_bytes));
    http::set_option(easy, CURLOPT_PROXY, options_.proxy.c_str());  // "" also switches the environment's proxies off
    http::set_option(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  }

  FetchOptions options_;
  AddressCheck refused_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::pair<std::size_t, std::string>> files_;
  std::uint64_t next_order_ = 0;
  std::size_t buffered_ = 0;
};

}  // namespace

std::unique_ptr<Fetcher> make_curl_fetcher(const FetchOptions& options, AddressCheck refused) {
  options.validate();
  return std::make_unique<CurlFetcher>(options, refused);
}

}  // namespace imagerank::images
