#include "http/curl.h"

namespace imagerank::http {

void start_libcurl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) {
    fail(ErrorCode::kUnavailable, "libcurl: expected to start, found: {}", curl_easy_strerror(started));
  }
}

std::string_view transfer_problem(CURLcode code) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "dns";
    case CURLE_COULDNT_CONNECT:
      return "connect";
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_PARTIAL_FILE:
      return "truncated";
    case CURLE_TOO_MANY_REDIRECTS:
      return "redirects";
    case CURLE_FILESIZE_EXCEEDED:
      return "too_large";
    case CURLE_UNSUPPORTED_PROTOCOL:  // the URL given was http(s), so a redirect led elsewhere: to file:, ftp:, ...
      return "refused_address";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return "tls";
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_URL_MALFORMAT:  // in a Location header
      return "bad_response";
    default:
      return "connection";
  }
}

}  // namespace imagerank::http
