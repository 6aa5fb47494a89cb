#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/fail.h"

namespace imagerank {

/// Throws what errno says of a failed call: kResourceLimit for a full disk, kIo otherwise.
/// @param action  "write", "rename into place", ...
[[noreturn]] inline void fail_io(const std::filesystem::path& path, const char* action) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kResourceLimit : ErrorCode::kIo, "{}: cannot {}: {}", path.string(), action,
       std::strerror(error));
}

}  // namespace imagerank
