#include "hub/settings.h"

#include <algorithm>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::hub {
namespace {

using hub_cache::first_of;
using hub_cache::trimmed;

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

/// The file's first line; "" if there is no such file.
std::string token_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "";
  constexpr std::size_t kMostBytes = 65536;
  return trimmed(load_file(path, kMostBytes));
}

void check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high)
    fail(ErrorCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, low, high, value);
}

}  // namespace

void HubSettings::validate() const {
  constexpr std::int64_t kHourMs = 3600000;
  const bool http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
  const bool printable = std::ranges::all_of(endpoint, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!http || !printable || endpoint.find_first_of("?#@") != std::string::npos || endpoint.ends_with("//"))
    fail(ErrorCode::kInvalidArgument, "HF_ENDPOINT: expected an http or https address such as https://huggingface.co");
  // A line break would let a token carry further headers.
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; }))
    fail(ErrorCode::kInvalidArgument, "HF_TOKEN: expected printable characters without spaces, found others");
  if (cache.empty()) fail(ErrorCode::kInvalidArgument, "HF_HOME: expected it or HOME to be set, found neither");
  check_range("concurrency", concurrency, 1, 64);
  check_range("retries", retries, 0, 100);
  check_range("backoff_ms", backoff_ms, 1, kHourMs);
  check_range("max_backoff_ms", max_backoff_ms, 1, kHourMs);
  check_range("max_retry_after_ms", max_retry_after_ms, 0, 24 * kHourMs);
  check_range("connect_timeout_s", connect_timeout_s, 1, 3600);
  check_range("stall_timeout_s", stall_timeout_s, 1, 3600);
}

HubSettings settings_from(const Environment& environment) {
  HubSettings settings;
  const std::string endpoint = first_of(environment, {"HF_ENDPOINT"});
  if (!endpoint.empty()) settings.endpoint = endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  settings.cache = hub_cache::cache_folder(environment);
  settings.token = first_of(environment, {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"});
  if (settings.token.empty()) {
    const auto named = hub_cache::with_home(environment, first_of(environment, {"HF_TOKEN_PATH"}));
    const auto home = hub_cache::hugging_face_home(environment);
    const auto file = named.empty() && !home.empty() ? home / "token" : named;
    if (!file.empty()) settings.token = token_file(file);
  }
  settings.offline = is_true(first_of(environment, {"HF_HUB_OFFLINE"}));
  settings.ca_bundle = first_of(environment, {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"});
  settings.validate();
  return settings;
}

HubSettings settings_from_environment() { return settings_from(hub_cache::process_environment()); }

}  // namespace imagerank::hub
