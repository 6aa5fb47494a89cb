#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "imagerank/error.h"

namespace imagerank {

/// Throws Error with an fmt-formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace imagerank
