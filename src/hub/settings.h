#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "hub_cache/environment.h"

namespace imagerank::hub {

/// Where the hub is, who asks, where its files are kept, and how patient a transfer is. Proxies come from the
/// environment (http_proxy, https_proxy, no_proxy), as libcurl reads it.
struct HubSettings {
  std::string endpoint = "https://huggingface.co";  ///< http or https, no slash at the end
  std::string token;                                ///< "": anonymous. Sent to `endpoint` only; never shown
  std::filesystem::path cache;                      ///< the folder that holds datasets--ORG--NAME and models--ORG--NAME
  std::filesystem::path ca_bundle;                  ///< PEM file of trusted authorities; empty: the system's
  bool offline = false;                             ///< only what the cache holds; no connection is made
  int concurrency = 4;                              ///< files at once, 1..64
  int retries = 5;                                  ///< further tries in a row that bring no byte, 0..100
  std::int64_t backoff_ms = 500;                    ///< before the first retry; doubles, with jitter, 1..3600000
  std::int64_t max_backoff_ms = 30000;              ///< the longest wait of our own choosing
  std::int64_t max_retry_after_ms = 600000;         ///< a server that asks for a longer wait ends the run
  std::int64_t connect_timeout_s = 30;
  std::int64_t stall_timeout_s = 30;  ///< this long below 512 bytes/s counts as a dropped connection

  /// @throws Error kInvalidArgument naming the setting, its range and the value (never the token's).
  void validate() const;
};

using hub_cache::Environment;

/// The settings that huggingface_hub would use: HF_ENDPOINT; HF_TOKEN (or HUGGING_FACE_HUB_TOKEN), else the file
/// HF_TOKEN_PATH or HF_HOME/token; the cache by hub_cache::cache_folder(); HF_HUB_OFFLINE; REQUESTS_CA_BUNDLE,
/// CURL_CA_BUNDLE or SSL_CERT_FILE. Source:
/// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
/// @throws Error kInvalidArgument as validate().
[[nodiscard]] HubSettings settings_from(const Environment& environment);
/// Of this process's environment.
[[nodiscard]] HubSettings settings_from_environment();

}  // namespace imagerank::hub
