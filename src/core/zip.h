#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace imagerank {

/// A file inside a zip archive.
struct ZipMember {
  std::span<const std::byte> bytes;  ///< as they lie in the archive
  bool stored = true;                ///< false: compressed or encrypted, so that `bytes` are not the file's
};

/// The members of a zip archive by name, where they lie; nothing is decompressed or copied. Zip64 too.
/// @param archive  the whole archive, which must outlive the views. @param place  what messages call it.
/// @throws Error kCorruptData: no directory at the end, a member that lies outside the file or over another, a name
/// twice. Source of the format: PKWARE's APPNOTE.TXT 6.3.
[[nodiscard]] std::map<std::string, ZipMember, std::less<>> zip_members(std::span<const std::byte> archive,
                                                                        const std::string& place);

}  // namespace imagerank
