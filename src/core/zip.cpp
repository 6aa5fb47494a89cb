#include "core/zip.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "core/fail.h"
#include "core/shown.h"

namespace imagerank {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kDirectoryEnd = 0x06054b50;
constexpr std::uint32_t kDirectoryEnd64 = 0x06064b50, kDirectoryEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalHeaderBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::uint64_t kIn64 = 0xffffffff;  ///< in a field of 32 bits: look in the 64-bit extra field

/// Little-endian numbers of a part of a file, all inside it.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, const std::string& place) : bytes_(bytes), place_(place) {}

  /// @throws Error kCorruptData unless `count` bytes lie at `offset`.
  [[nodiscard]] std::span<const std::byte> part(std::uint64_t offset, std::uint64_t count, const char* what) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      fail(ErrorCode::kCorruptData, "{}: zip archive: expected {} of {} bytes at byte {}, found a file of {} bytes",
           place_, what, count, offset, bytes_.size());
    }
    return bytes_.subspan(offset, count);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& place_;
};

template <typename T>
T number(std::span<const std::byte> record, std::size_t offset) {
  T value;
  std::memcpy(&value, record.data() + offset, sizeof(T));
  return value;
}
std::uint16_t two(std::span<const std::byte> record, std::size_t offset) {
  return number<std::uint16_t>(record, offset);
}
std::uint32_t four(std::span<const std::byte> record, std::size_t offset) {
  return number<std::uint32_t>(record, offset);
}
std::uint64_t eight(std::span<const std::byte> record, std::size_t offset) {
  return number<std::uint64_t>(record, offset);
}

struct Directory {
  std::uint64_t offset = 0, bytes = 0, entries = 0;
};

/// The record that ends an archive: only a comment of the length it states may follow.
std::optional<std::size_t> find_end(std::span<const std::byte> archive) {
  if (archive.size() < kEndBytes) return std::nullopt;
  const std::size_t last = archive.size() - kEndBytes;
  const std::size_t first = last - std::min<std::size_t>(last, 0xffff);
  for (std::size_t at = last + 1; at-- > first;) {
    const auto record = archive.subspan(at);
    if (four(record, 0) == kDirectoryEnd && at + kEndBytes + two(record, 20) == archive.size()) return at;
  }
  return std::nullopt;
}

Directory find_directory(std::span<const std::byte> archive, const std::string& place) {
  const std::optional<std::size_t> end = find_end(archive);
  if (!end) {
    fail(ErrorCode::kCorruptData, "{}: zip archive: expected a directory at its end, found none; is the file whole?",
         place);
  }
  const auto record = archive.subspan(*end);
  Directory directory{four(record, 16), four(record, 12), two(record, 10)};
  if (*end >= kLocatorBytes && four(archive, *end - kLocatorBytes) == kDirectoryEnd64Locator) {
    const std::uint64_t at = eight(archive, *end - kLocatorBytes + 8);
    const auto record64 = Fields(archive, place).part(at, kEnd64Bytes, "a directory's end");
    if (four(record64, 0) != kDirectoryEnd64) {
      fail(ErrorCode::kCorruptData,
           "{}: zip archive: expected a zip64 directory's end at byte {}, found something else", place, at);
    }
    directory = {eight(record64, 48), eight(record64, 40), eight(record64, 32)};
  }
  return directory;
}

struct Entry {
  std::string name;
  std::uint64_t bytes = 0, plain_bytes = 0, header = 0;
  bool stored = true;
};

/// Replaces the numbers that did not fit 32 bits by those of the zip64 extra field, which has only them, in this order.
void read_extra(std::span<const std::byte> extra, Entry& entry, const std::string& place) {
  while (extra.size() >= 4) {
    const std::size_t size = two(extra, 2);
    const bool is_64 = two(extra, 0) == 1;
    extra = extra.subspan(4);
    if (size > extra.size()) break;
    if (is_64) {
      std::span<const std::byte> left = extra.first(size);
      for (std::uint64_t* value : {&entry.plain_bytes, &entry.bytes, &entry.header}) {
        if (*value != kIn64) continue;
        if (left.size() < 8) {
          fail(ErrorCode::kCorruptData, "{}: zip archive: {}: expected a 64-bit size or place, found none", place,
               shown(entry.name));
        }
        *value = eight(left, 0);
        left = left.subspan(8);
      }
      return;
    }
    extra = extra.subspan(size);
  }
}

/// Where the member's bytes begin, behind its own header.
std::uint64_t data_offset(const Fields& fields, const Entry& entry, const std::string& place) {
  const auto header = fields.part(entry.header, kLocalHeaderBytes, "a member's header");
  const auto name = fields.part(entry.header + kLocalHeaderBytes, two(header, 26), "a member's name");
  const std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  if (four(header, 0) != kLocalHeader || text != entry.name) {
    fail(ErrorCode::kCorruptData, "{}: zip archive: {}: expected its header at byte {}, found something else", place,
         shown(entry.name), entry.header);
  }
  return entry.header + kLocalHeaderBytes + name.size() + two(header, 28);
}

}  // namespace

std::map<std::string, ZipMember, std::less<>> zip_members(std::span<const std::byte> archive,
                                                          const std::string& place) {
  const Directory directory = find_directory(archive, place);
  std::span<const std::byte> left = Fields(archive, place).part(directory.offset, directory.bytes, "a directory");
  const Fields before_directory(archive.first(directory.offset), place);
  struct Range {
    std::uint64_t begin, end;
  };
  std::vector<Range> ranges;
  std::map<std::string, ZipMember, std::less<>> members;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    const auto record = Fields(left, place).part(0, kEntryBytes, "a directory's entry");
    if (four(record, 0) != kDirectoryEntry) {
      fail(ErrorCode::kCorruptData, "{}: zip archive: directory: expected entry {} of {}, found something else", place,
           i, directory.entries);
    }
    const std::size_t name_bytes = two(record, 28), extra_bytes = two(record, 30), comment_bytes = two(record, 32);
    const auto rest = Fields(left, place).part(kEntryBytes, name_bytes + extra_bytes + comment_bytes, "an entry");
    left = left.subspan(kEntryBytes + rest.size());
    Entry entry{{reinterpret_cast<const char*>(rest.data()), name_bytes},
                four(record, 20),
                four(record, 24),
                four(record, 42),
                two(record, 10) == 0 && (two(record, 8) & 1U) == 0};
    read_extra(rest.subspan(name_bytes, extra_bytes), entry, place);
    const std::uint64_t offset = data_offset(before_directory, entry, place);
    const auto bytes = before_directory.part(offset, entry.bytes, "a member");
    if (entry.stored && entry.bytes != entry.plain_bytes) {
      fail(ErrorCode::kCorruptData, "{}: zip archive: {}: expected {} stored bytes, found {}", place, shown(entry.name),
           entry.plain_bytes, entry.bytes);
    }
    ranges.push_back({entry.header, offset + entry.bytes});
    if (!members.emplace(entry.name, ZipMember{bytes, entry.stored}).second) {
      fail(ErrorCode::kCorruptData, "{}: zip archive: {}: expected once, found twice", place, shown(entry.name));
    }
  }
  std::ranges::sort(ranges, {}, &Range::begin);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin < ranges[i - 1].end) {
      fail(ErrorCode::kCorruptData, "{}: zip archive: expected members apart, found two that share byte {}", place,
           ranges[i].begin);
    }
  }
  return members;
}

}  // namespace imagerank
