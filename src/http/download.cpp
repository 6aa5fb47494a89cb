#include "http/download.h"

#include <sys/socket.h>

#include <array>
#include <new>

#include "http/curl.h"

namespace imagerank::http {

struct Downloader::State {
  DownloadLimits limits;
  AddressCheck refused;
  EasyHandle easy;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string body;             // of the transfer under way
  std::string refused_address;  // likewise
  bool too_large = false;
  bool out_of_memory = false;

  static std::size_t on_body(const char* data, std::size_t size, std::size_t count, void* user) noexcept {
    auto& state = *static_cast<State*>(user);
    const std::size_t bytes = size * count;
    state.too_large = state.body.size() + bytes > state.limits.max_bytes;
    if (state.too_large) return 0;
    try {
      state.body.append(data, bytes);
    } catch (const std::bad_alloc&) {
      state.out_of_memory = true;
      return 0;
    }
    return bytes;
  }
  static curl_socket_t on_socket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) noexcept {
    auto& state = *static_cast<State*>(user);
    std::array<std::uint8_t, 16> storage{};
    const auto bytes = address_bytes(*address, storage);
    if (!state.limits.allow_local && state.refused(bytes)) {
      try {
        state.refused_address = address_text(bytes);
      } catch (const std::bad_alloc&) {
        state.out_of_memory = true;
      }
      return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  void configure() {
    CURL* const handle = easy.get();
    set_option(handle, CURLOPT_ERRORBUFFER, error.data());
    set_option(handle, CURLOPT_WRITEFUNCTION, &State::on_body);
    set_option(handle, CURLOPT_WRITEDATA, static_cast<void*>(this));
    set_option(handle, CURLOPT_OPENSOCKETFUNCTION, &State::on_socket);
    set_option(handle, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    set_option(handle, CURLOPT_NOSIGNAL, 1L);
    set_option(handle, CURLOPT_USERAGENT, "imagerank");
    set_option(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    set_option(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set_option(handle, CURLOPT_FOLLOWLOCATION, 1L);
    set_option(handle, CURLOPT_MAXREDIRS, static_cast<long>(limits.max_redirects));
    set_option(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect_timeout.count()));
    set_option(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(limits.timeout.count()));
    set_option(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.max_bytes));
    set_option(handle, CURLOPT_PROXY, "");
    set_option(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  }

  Download result_of(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (!refused_address.empty()) {
      return {{}, "refused_address", refused_address + " is a private, loopback or link-local address"};
    }
    if (out_of_memory) return {{}, "too_large", "out of memory"};
    if (too_large || code == CURLE_FILESIZE_EXCEEDED) {
      return {{}, "too_large", fmt::format("expected at most {} bytes, found more", limits.max_bytes)};
    }
    if (code != CURLE_OK) {
      return {{}, std::string(transfer_problem(code)), error[0] != '\0' ? error.data() : curl_easy_strerror(code)};
    }
    if (status != 200) {
      return {{}, fmt::format("http_{}", status), fmt::format("expected status 200, found {}", status)};
    }
    return {std::move(body), {}, {}};
  }
};

Downloader::Downloader(const DownloadLimits& limits, AddressCheck refused) {
  start_libcurl();
  state_ = std::make_unique<State>();
  state_->limits = limits;
  state_->refused = refused;
  state_->easy.reset(curl_easy_init());
  if (!state_->easy) fail(ErrorCode::kUnavailable, "libcurl: expected a handle, found none");
  state_->configure();
}

Downloader::~Downloader() = default;

Download Downloader::get(const std::string& url) {
  State& state = *state_;
  state.body.clear();
  state.refused_address.clear();
  state.error[0] = '\0';
  state.too_large = state.out_of_memory = false;
  set_option(state.easy.get(), CURLOPT_URL, url.c_str());
  return state.result_of(curl_easy_perform(state.easy.get()));
}

}  // namespace imagerank::http
