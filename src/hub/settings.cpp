#include "hub/settings.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::hub {
namespace {

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// The first of the variables that is set and not empty.
std::string first_of(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const std::string value = trimmed(environment(name).value_or(""));
    if (!value.empty()) return value;
  }
  return "";
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::filesystem::path with_home(const std::string& path, const std::string& home) {
  return path == "~" || path.starts_with("~/") ? std::filesystem::path(home + path.substr(1))
                                               : std::filesystem::path(path);
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
  const std::string home = first_of(environment, {"HOME"});
  const std::string xdg = first_of(environment, {"XDG_CACHE_HOME"});
  std::filesystem::path hf_home = with_home(first_of(environment, {"HF_HOME"}), home);
  if (hf_home.empty() && !xdg.empty()) hf_home = with_home(xdg, home) / "huggingface";
  if (hf_home.empty() && !home.empty()) hf_home = std::filesystem::path(home) / ".cache" / "huggingface";

  HubSettings settings;
  const std::string endpoint = first_of(environment, {"HF_ENDPOINT"});
  if (!endpoint.empty()) settings.endpoint = endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  settings.cache = with_home(first_of(environment, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}), home);
  if (settings.cache.empty() && !hf_home.empty()) settings.cache = hf_home / "hub";
  settings.token = first_of(environment, {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"});
  if (settings.token.empty()) {
    const auto named = with_home(first_of(environment, {"HF_TOKEN_PATH"}), home);
    const auto file = named.empty() && !hf_home.empty() ? hf_home / "token" : named;
    if (!file.empty()) settings.token = token_file(file);
  }
  settings.offline = is_true(first_of(environment, {"HF_HUB_OFFLINE"}));
  settings.ca_bundle = first_of(environment, {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"});
  settings.validate();
  return settings;
}

HubSettings settings_from_environment() {
  return settings_from([](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

}  // namespace imagerank::hub
