#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "imagerank/error.h"

namespace imagerank::fuzz {

/// Stops the process, which is how a fuzzer learns of a finding, unless `condition` holds.
inline void require(bool condition) {
  if (!condition) std::abort();
}

/// A bad file must be told as such: any other error (or exception) is a finding.
inline void require_data_error(const Error& error) {
  require(error.code() == ErrorCode::kCorruptData || error.code() == ErrorCode::kResourceLimit);
  require(std::string(error.what()).find('\n') == std::string::npos);
}

/// The input as a file, for readers that take a path; in memory only.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(descriptor_ >= 0);
    while (size > 0) {
      const ::ssize_t written = ::write(descriptor_, data, size);
      require(written > 0);
      data += written;
      size -= static_cast<std::size_t>(written);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace imagerank::fuzz
