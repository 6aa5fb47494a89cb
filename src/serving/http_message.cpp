#include "serving/http_message.h"

#include <nlohmann/json.hpp>

namespace imagerank::serving {

int http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 422;  // well formed, and not what can be done
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kCorruptData:
      return 400;
    case ErrorCode::kResourceLimit:
      return 413;
    case ErrorCode::kRefused:
      return 403;
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return 503;
    case ErrorCode::kIo:
      break;
  }
  return 500;
}

HttpResponse error_response(int status, const std::string& message) {
  const nlohmann::ordered_json object = {{"error", {{"code", status}, {"message", message}}}};
  HttpResponse response;
  response.status = status;
  response.body = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return response;
}

}  // namespace imagerank::serving
