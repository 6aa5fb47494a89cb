#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace imagerank::serving {

/// Who may ask: bearer tokens of a file, one a line; empty lines and lines that begin with # are passed over. Only the
/// tokens' checksums are kept. Thread-safe.
class Access {
 public:
  Access() = default;  ///< everybody
  /// @throws Error kNotFound, kIo; kCorruptData for a file without a token.
  explicit Access(std::filesystem::path token_file);

  /// Reads the file again. Throws as the constructor does; what was known stays then.
  void reload();
  /// @param authorization  the header's value, "Bearer ..."; "" if there is none. Takes the same time for any token of
  /// one length.
  [[nodiscard]] bool allows(std::string_view authorization) const;

 private:
  std::filesystem::path token_file_;
  mutable std::mutex mutex_;
  std::vector<std::string> digests_;  ///< SHA-256, hex
};

}  // namespace imagerank::serving
