#pragma once

#include <functional>
#include <map>
#include <string>

#include "imagerank/error.h"

namespace imagerank::serving {

/// A request as the routes see it: whole, and let in.
struct HttpRequest {
  std::string method;        ///< "POST"
  std::string path;          ///< "/v1/score": of the target, without its query
  std::string content_type;  ///< of the body; "" if there was none
  std::string body;
  std::string query;          ///< what stood behind the path's "?"
  std::string host;           ///< headers, "" where there was none: Host
  std::string origin;         ///< Origin
  std::string fetch_site;     ///< Sec-Fetch-Site
  std::string session_token;  ///< Session-Token
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;  ///< others: Retry-After, Allow
};

/// Called once, from any thread.
using Respond = std::function<void(HttpResponse&&)>;

/// The status that an error of the library is told by.
[[nodiscard]] int http_status(ErrorCode code) noexcept;
/// {"error": {"code": 422, "message": "..."}}.
[[nodiscard]] HttpResponse error_response(int status, const std::string& message);

}  // namespace imagerank::serving
