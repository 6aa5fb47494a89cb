#include "hub/http.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "core/fail.h"
#include "http/curl.h"

namespace imagerank::hub {
namespace {

constexpr std::size_t kMostBodyBytes = std::size_t{256} << 20;  // a listing's page is far below
constexpr std::size_t kMostErrorBytes = std::size_t{1} << 16;
constexpr int kMostRedirects = 10;

struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// scheme://host:port, ports made explicit, lower case.
std::string origin_of(const std::string& url) {
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string::npos) return "";
  std::string scheme = url.substr(0, scheme_end);
  std::string host = url.substr(scheme_end + 3, url.find_first_of("/?#", scheme_end + 3) - scheme_end - 3);
  const auto lower = [](std::string& text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  };
  lower(scheme);
  lower(host);
  const std::size_t user = host.rfind('@');
  if (user != std::string::npos) host.erase(0, user + 1);
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && host.find(']', colon) == std::string::npos;
  if (!has_port) host += scheme == "https" ? ":443" : ":80";
  return fmt::format("{}://{}", scheme, host);
}

/// A redirect's target with what some servers leave unencoded in it.
std::string encoded_target(const char* url) {
  std::string encoded;
  for (const char* c = url; c != nullptr && *c != '\0'; ++c) {
    const auto byte = static_cast<unsigned char>(*c);
    if (byte <= 0x20 || byte >= 0x7f) {
      encoded += fmt::format("%{:02X}", byte);
    } else {
      encoded += *c;
    }
  }
  return encoded;
}

bool is_redirect(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

std::string shown_url(const std::string& url) {
  std::string text = url.substr(0, url.find_first_of("?#"));
  const std::size_t host = text.find("://");
  if (host == std::string::npos) return text;
  const std::size_t user = text.substr(0, text.find('/', host + 3)).rfind('@');
  if (user != std::string::npos) text.erase(host + 3, user + 1 - host - 3);
  return text;
}

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct HttpClient::State {
  HubSettings settings;
  std::stop_token stop;
  std::string origin;
  http::EasyHandle easy;
  std::array<char, CURL_ERROR_SIZE> error{};
  const HttpRequest* request = nullptr;
  HttpAnswer* answer = nullptr;
  bool refused = false;
  bool too_large = false;

  [[nodiscard]] int status() const noexcept {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }

  static std::size_t on_body(char* data, std::size_t /*one*/, std::size_t size, void* user) noexcept {
    auto& state = *static_cast<State*>(user);
    return state.take({data, size}) ? size : size + 1;
  }

  static std::size_t on_header(char* data, std::size_t /*one*/, std::size_t size, void* user) noexcept {
    auto& state = *static_cast<State*>(user);
    try {
      state.take_header({data, size});
    } catch (...) {  // out of memory: nothing may pass through libcurl's C code
      return 0;
    }
    return size;
  }

  static int on_progress(void* user, curl_off_t /*expected*/, curl_off_t /*received*/, curl_off_t /*to_send*/,
                         curl_off_t /*sent*/) noexcept {
    return static_cast<State*>(user)->stop.stop_requested() ? 1 : 0;
  }

  bool take(std::string_view piece) noexcept {
    try {
      const int code = status();
      const bool good = code >= 200 && code < 300;
      if (good && request->sink) {
        answer->status = code;
        refused = !request->sink(*answer, std::as_bytes(std::span(piece)));
        return !refused;
      }
      const std::size_t most = good ? kMostBodyBytes : kMostErrorBytes;
      if (answer->body.size() + piece.size() <= most) {
        answer->body.append(piece);
      } else if (good) {
        too_large = true;
        return false;
      }
      return true;
    } catch (...) {
      refused = true;
      return false;
    }
  }

  void take_header(std::string_view line) const {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0) value.remove_prefix(1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0) value.remove_suffix(1);
    // What the hub itself says of a file (etag, commit) counts, not what the store says that it redirects to.
    if (name.starts_with("x-")) {
      answer->headers.try_emplace(name, value);
    } else {
      answer->headers[name] = value;
    }
  }

  void configure() {
    CURL* const handle = easy.get();
    http::set_option(handle, CURLOPT_ERRORBUFFER, error.data());
    http::set_option(handle, CURLOPT_WRITEFUNCTION, &State::on_body);
    http::set_option(handle, CURLOPT_WRITEDATA, static_cast<void*>(this));
    http::set_option(handle, CURLOPT_HEADERFUNCTION, &State::on_header);
    http::set_option(handle, CURLOPT_HEADERDATA, static_cast<void*>(this));
    http::set_option(handle, CURLOPT_XFERINFOFUNCTION, &State::on_progress);
    http::set_option(handle, CURLOPT_XFERINFODATA, static_cast<void*>(this));
    http::set_option(handle, CURLOPT_NOPROGRESS, 0L);
    http::set_option(handle, CURLOPT_NOSIGNAL, 1L);
    http::set_option(handle, CURLOPT_BUFFERSIZE, 262144L);
    http::set_option(handle, CURLOPT_USERAGENT, "imagerank");
    http::set_option(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    http::set_option(handle, CURLOPT_FOLLOWLOCATION, 0L);
    http::set_option(handle, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));  // proxies get no token
    http::set_option(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    http::set_option(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout_s * 1000));
    http::set_option(handle, CURLOPT_LOW_SPEED_LIMIT, 512L);
    http::set_option(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall_timeout_s));
    if (!settings.ca_bundle.empty()) http::set_option(handle, CURLOPT_CAINFO, settings.ca_bundle.c_str());
  }

  /// One hop.
  CURLcode perform(const std::string& url) {
    curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");  // ranges and sizes of the file itself
    if (!settings.token.empty() && origin_of(url) == origin)
      list = curl_slist_append(list, fmt::format("Authorization: Bearer {}", settings.token).c_str());
    const std::unique_ptr<curl_slist, ListDeleter> headers(list);
    const std::string range = fmt::format("{}-", request->from);
    http::set_option(easy.get(), CURLOPT_URL, url.c_str());
    http::set_option(easy.get(), CURLOPT_HTTPHEADER, headers.get());
    http::set_option(easy.get(), CURLOPT_NOBODY, request->head ? 1L : 0L);
    if (!request->head) http::set_option(easy.get(), CURLOPT_HTTPGET, 1L);
    http::set_option(easy.get(), CURLOPT_RANGE, request->from > 0 ? range.c_str() : nullptr);
    error[0] = '\0';
    refused = too_large = false;
    answer->body.clear();
    std::erase_if(answer->headers, [](const auto& header) { return !header.first.starts_with("x-"); });
    const CURLcode result = curl_easy_perform(easy.get());
    http::set_option(easy.get(), CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
    return result;
  }

  void describe(const std::string& url, CURLcode result) {
    answer->status = status();
    if (result != CURLE_OK) {
      answer->problem = refused ? "refused" : too_large ? "too_large" : std::string(http::transfer_problem(result));
      answer->detail =
          fmt::format("{}: {}", shown_url(url), error[0] != '\0' ? error.data() : curl_easy_strerror(result));
    } else {
      answer->detail = fmt::format("{}: HTTP {}", shown_url(url), answer->status);
    }
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
      answer->retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 1000000000));
  }
};

HttpClient::HttpClient(const HubSettings& settings, std::stop_token stop) : state_(std::make_unique<State>()) {
  http::start_libcurl();
  state_->easy.reset(curl_easy_init());
  if (!state_->easy) fail(ErrorCode::kUnavailable, "libcurl: expected a transfer, found none (out of memory)");
  state_->settings = settings;
  state_->stop = std::move(stop);
  state_->origin = origin_of(settings.endpoint);
  state_->configure();
}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::get(const HttpRequest& request) {
  HttpAnswer answer;
  state_->request = &request;
  state_->answer = &answer;
  std::string url = request.url;
  for (int hop = 0;; ++hop) {
    const CURLcode result = state_->perform(url);
    if (state_->stop.stop_requested())
      throw Error(ErrorCode::kCancelled, "stopped; run the same command again to resume");
    state_->describe(url, result);
    if (result != CURLE_OK || !is_redirect(answer.status)) return answer;
    const char* location = nullptr;
    curl_easy_getinfo(state_->easy.get(), CURLINFO_REDIRECT_URL, &location);
    const std::string next = encoded_target(location);
    if (request.head && origin_of(next) != origin_of(url)) return answer;
    if (next.empty() || hop == kMostRedirects) {
      answer.problem = next.empty() ? "bad_response" : "redirects";
      answer.detail =
          fmt::format("{}: {}", shown_url(url), next.empty() ? "a redirect that leads nowhere" : "too many redirects");
      return answer;
    }
    if (url.starts_with("https:") && !origin_of(next).starts_with("https:")) {
      answer.problem = "bad_response";
      answer.detail = fmt::format("{}: a redirect from https to {}", shown_url(url), shown_url(next));
      return answer;
    }
    url = next;
  }
}

}  // namespace imagerank::hub
