#include "imagerank/error.h"

namespace imagerank {

int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 2;
    case ErrorCode::kCancelled:
      return 130;  // 128 + SIGINT, as shells report it
    case ErrorCode::kNotFound:
    case ErrorCode::kCorruptData:
    case ErrorCode::kResourceLimit:
    case ErrorCode::kIo:
    case ErrorCode::kUnavailable:
    case ErrorCode::kRefused:
      break;
  }
  return 1;
}

}  // namespace imagerank
