#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace imagerank {

/// A plain file in a tar archive: its bytes are archive[offset, offset + size).
struct TarMember {
  std::string name;  ///< as the archive has it: "../x" is possible, and never a place to write to
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// Reads the plain files of a tar archive in memory, in order: POSIX ustar, the names and sizes of pax records, GNU's
/// long names and large sizes, and the old format before them. Folders, links and devices are passed over.
/// Source: IEEE Std 1003.1, pax; GNU tar manual, "Basic Tar Format".
class TarReader {
 public:
  /// @param archive  outlives the reader. @param place  the archive's name, for messages.
  TarReader(std::span<const std::byte> archive, std::string place) : archive_(archive), place_(std::move(place)) {}
  /// @return nullopt at the end: a block of zeros, or the last byte where the archive ends with a member.
  /// @throws Error kCorruptData naming place and offset; what came before stands, nothing comes after.
  [[nodiscard]] std::optional<TarMember> next();

 private:
  /// What records before a header say of the file after it.
  struct Extended {
    std::string name;
    std::optional<std::uint64_t> size;
  };
  [[nodiscard]] std::string_view header_at(std::uint64_t offset) const;
  void read_pax(std::string_view records, Extended& extended) const;
  [[noreturn]] void fail_here(std::string_view expected, std::string_view found) const;

  std::span<const std::byte> archive_;
  std::string place_;
  std::uint64_t at_ = 0;
};

/// Writes a POSIX ustar archive of plain files: mode 0644, owner and time 0, so that the same content gives the same
/// bytes. Source: IEEE Std 1003.1, pax, "ustar Interchange Format". Not thread-safe.
class TarWriter {
 public:
  /// Creates the file and its folder, or keeps the first `keep` bytes of what is there, which must end with a member.
  /// @throws Error kIo, kResourceLimit.
  explicit TarWriter(std::filesystem::path path, std::uint64_t keep = 0);
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;
  ~TarWriter();
  /// @param name  at most 100 bytes. @return where the member's bytes start. After an error the archive is as before.
  /// @throws Error kInvalidArgument (name, or 8 GiB and more), kIo, kResourceLimit on a full disk.
  std::uint64_t add(std::string_view name, std::string_view bytes);
  [[nodiscard]] std::uint64_t size() const noexcept { return end_; }
  /// Forgets the members after the first `size` bytes.
  void rewind(std::uint64_t size) noexcept { end_ = size; }
  /// Ends the archive and flushes it to disk. Nothing can be added after it.
  void finish();

 private:
  void write_at(std::uint64_t offset, std::string_view bytes);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t end_ = 0;
};

/// Part of an archive, named like a file: "00000.tar#512+4711.jpg" is 4711 bytes from byte 512 of 00000.tar, a JPEG.
/// load_file() and has_file() take such paths wherever they take a file's.
struct TarPart {
  std::filesystem::path archive;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};
/// nullopt for any other path.
[[nodiscard]] std::optional<TarPart> parse_tar_part(const std::filesystem::path& path);
/// @param archive  ends with ".tar". @param extension  ".jpg", or "".
[[nodiscard]] std::string tar_part_path(const std::filesystem::path& archive, const TarMember& member,
                                        std::string_view extension);

}  // namespace imagerank
