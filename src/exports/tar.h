#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/atomic_file.h"

namespace imagerank::exports {

/// Writes a POSIX ustar archive of plain files: mode 0644, owner and time 0, so that the same content gives the same
/// bytes. Source: IEEE Std 1003.1, pax, "ustar Interchange Format".
class TarWriter {
 public:
  explicit TarWriter(const std::filesystem::path& path) : file_(path) {}
  /// @param name  at most 100 bytes. @throws Error kInvalidArgument (name, or 8 GiB and more), kIo, kResourceLimit.
  void add(std::string_view name, std::string_view bytes);
  /// Ends the archive and gives it its name.
  void commit();

 private:
  AtomicFile file_;
};

}  // namespace imagerank::exports
