#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imagerank::fetch {

/// An absolute http, https or file URL, taken apart.
struct Url {
  std::string text;    ///< normalised: spaces and non-ASCII bytes percent-encoded
  std::string scheme;  ///< "http", "https" or "file"
  std::string host;    ///< lower case, "" for file
  std::string port;    ///< decimal, the scheme's own if none is given; "" for file
  std::string path;    ///< file only: percent-decoded, absolute

  /// What a per-host limit counts: "host:port", "" for file.
  [[nodiscard]] std::string host_key() const;
};

/// nullopt for anything that is not an absolute http, https or file URL, or a file URL with a foreign host.
/// White space around it is dropped, as tables written by hand have it. Thread-safe.
[[nodiscard]] std::optional<Url> parse_url(std::string_view text);

}  // namespace imagerank::fetch
