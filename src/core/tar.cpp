#include "core/tar.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>

#include "core/io_error.h"

namespace imagerank {
namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 33;     // eleven octal digits
constexpr std::uint64_t kMostExtended = std::uint64_t{1} << 20;  // of records about one file
constexpr std::size_t kChecksum = 148;

std::uint64_t padded(std::uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

/// The bytes of a header's text field, up to the first NUL.
std::string_view text_field(std::string_view header, std::size_t offset, std::size_t size) {
  const std::string_view field = header.substr(offset, size);
  return field.substr(0, field.find('\0'));
}

/// Octal digits between blanks and NULs, or GNU's big-endian number behind a byte 0x80. nullopt for anything else.
std::optional<std::uint64_t> number_field(std::string_view header, std::size_t offset, std::size_t size) {
  std::string_view field = header.substr(offset, size);
  if (static_cast<unsigned char>(field.front()) == 0x80) {
    std::uint64_t value = 0;
    for (const char c : field.substr(1)) {
      if ((value >> 55U) != 0) return std::nullopt;
      value = value << 8U | static_cast<unsigned char>(c);
    }
    return value;
  }
  field = field.substr(0, field.find('\0'));
  while (field.starts_with(' ')) field.remove_prefix(1);
  while (field.ends_with(' ')) field.remove_suffix(1);
  std::uint64_t value = 0;
  const auto [end, status] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  if (field.empty()) return 0;
  if (status != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return value;
}

/// The header's checksum counts itself as blanks; some old programs summed signed bytes.
bool has_right_checksum(std::string_view header) {
  std::int64_t plain = 0;
  std::int64_t as_signed = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const char c = i >= kChecksum && i < kChecksum + 8 ? ' ' : header[i];
    plain += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  const auto stored = number_field(header, kChecksum, 8);
  return stored && (static_cast<std::int64_t>(*stored) == plain || static_cast<std::int64_t>(*stored) == as_signed);
}

std::string header_name(std::string_view header) {
  const std::string_view name = text_field(header, 0, 100);
  const std::string_view prefix =
      header.substr(257, 6) == std::string_view("ustar\0", 6) ? text_field(header, 345, 155) : "";
  return prefix.empty() ? std::string(name) : fmt::format("{}/{}", prefix, name);
}

void put(std::string& header, std::size_t offset, std::string_view text) {
  std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::string header_of(std::string_view name, std::uint64_t size) {
  std::string header(kBlock, '\0');
  put(header, 0, name);
  put(header, 100, "0000644");
  put(header, 108, "0000000");
  put(header, 116, "0000000");
  put(header, 124, fmt::format("{:011o}", size));
  put(header, 136, "00000000000");
  put(header, kChecksum, "        ");
  put(header, 156, "0");
  put(header, 257, std::string_view("ustar\00000", 8));
  put(header, 329, "0000000");
  put(header, 337, "0000000");
  const unsigned sum = std::accumulate(header.begin(), header.end(), 0U,
                                       [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
  put(header, kChecksum, fmt::format("{:06o}", sum));
  header[154] = '\0';
  header[155] = ' ';
  return header;
}

}  // namespace

void TarReader::fail_here(std::string_view expected, std::string_view found) const {
  fail(ErrorCode::kCorruptData, "{}: at byte {}: expected {}, found {}", place_, at_, expected, found);
}

std::string_view TarReader::header_at(std::uint64_t offset) const {
  if (archive_.size() - offset < kBlock) {
    fail_here("a tar header of 512 bytes", fmt::format("the end after {} bytes", archive_.size() - offset));
  }
  return {reinterpret_cast<const char*>(archive_.data()) + offset, kBlock};
}

void TarReader::read_pax(std::string_view records, Extended& extended) const {
  // "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
  while (!records.empty()) {
    std::uint64_t length = 0;
    const auto [end, status] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(end - records.data());
    if (status != std::errc() || length > records.size() || length < digits + 3 || records[digits] != ' ' ||
        records[length - 1] != '\n') {
      fail_here("pax records", "other bytes");
    }
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) fail_here("pax records", "one without '='");
    const std::string_view value = record.substr(equals + 1);
    if (record.substr(0, equals) == "path") extended.name = value;
    if (record.substr(0, equals) == "size") {
      std::uint64_t size = 0;
      const auto number = std::from_chars(value.data(), value.data() + value.size(), size);
      if (number.ec != std::errc() || number.ptr != value.data() + value.size()) fail_here("a pax size", "no number");
      extended.size = size;
    }
    records.remove_prefix(length);
  }
}

std::optional<TarMember> TarReader::next() {
  if (archive_.empty()) fail_here("a tar archive", "an empty file");
  Extended extended;
  while (at_ != archive_.size()) {
    const std::string_view header = header_at(at_);
    if (header.find_first_not_of('\0') == std::string_view::npos) {
      at_ = archive_.size();
      return std::nullopt;
    }
    if (!has_right_checksum(header)) fail_here("a tar header", "bytes with another checksum");
    const char type = header[156];
    const bool plain = type == '0' || type == '\0' || type == '7';
    const bool has_bytes = type < '1' || type > '6';
    const bool about_next = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    auto size = number_field(header, 124, 12);
    if (extended.size && !about_next) size = extended.size;
    if (!size) fail_here("a size in the tar header", "no number");
    if (type == 'S') fail_here("files stored whole", "a sparse one");
    if (!has_bytes) size = 0;
    const std::uint64_t start = at_ + kBlock;
    if (*size > archive_.size() - start) {
      fail_here(fmt::format("a member of {} bytes", *size), fmt::format("the end after {}", archive_.size() - start));
    }
    const std::uint64_t rest = archive_.size() - start;
    const std::uint64_t next = start + std::min(padded(*size), rest);
    if (about_next) {
      if (*size > kMostExtended) fail_here("at most 1 MiB of tar records", fmt::format("{} bytes", *size));
      const std::string_view records(header.data() + kBlock, *size);
      if (type == 'x') read_pax(records, extended);
      if (type == 'L') extended.name = text_field(records, 0, records.size());
      at_ = next;
      continue;
    }
    std::string name = extended.name.empty() ? header_name(header) : std::move(extended.name);
    extended = {};
    at_ = next;
    if (plain && !name.ends_with('/')) return TarMember{std::move(name), start, *size};  // "x/" is an old folder
  }
  return std::nullopt;
}

TarWriter::TarWriter(std::filesystem::path path, std::uint64_t keep) : path_(std::move(path)), end_(keep) {
  std::error_code error;
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path(), error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create the folder: {}", path_.parent_path().string(), error.message());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_io(path_, "create");
  if (::ftruncate(descriptor_, static_cast<off_t>(keep)) != 0) {
    ::close(descriptor_);
    fail_io(path_, "truncate");
  }
}

TarWriter::~TarWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TarWriter::write_at(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_io(path_, "write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

std::uint64_t TarWriter::add(std::string_view name, std::string_view bytes) {
  if (name.empty() || name.size() > 100 || bytes.size() >= kMostBytes) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a name of 1 to 100 bytes and less than 8 GiB, found {} and {}",
         name, name.size(), bytes.size());
  }
  const std::uint64_t start = end_ + kBlock;
  write_at(end_, header_of(name, bytes.size()));
  write_at(start, bytes);
  write_at(start + bytes.size(), std::string(padded(bytes.size()) - bytes.size(), '\0'));
  end_ = start + padded(bytes.size());
  return start;
}

void TarWriter::finish() {
  write_at(end_, std::string(2 * kBlock, '\0'));
  if (::ftruncate(descriptor_, static_cast<off_t>(end_ + 2 * kBlock)) != 0) fail_io(path_, "truncate");
  if (::fsync(descriptor_) != 0) fail_io(path_, "flush");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(path_, "close");
}

std::optional<TarPart> parse_tar_part(const std::filesystem::path& path) {
  constexpr std::string_view kMark = ".tar#";
  constexpr std::size_t kMostExtension = 8;
  const std::string& text = path.native();
  const std::size_t mark = text.rfind(kMark);
  if (mark == std::string::npos) return std::nullopt;
  TarPart part;
  const char* const end = text.data() + text.size();
  const auto offset = std::from_chars(text.data() + mark + kMark.size(), end, part.offset);
  if (offset.ec != std::errc() || offset.ptr == end || *offset.ptr != '+') return std::nullopt;
  const auto size = std::from_chars(offset.ptr + 1, end, part.size);
  if (size.ec != std::errc()) return std::nullopt;
  const std::string_view extension(size.ptr, static_cast<std::size_t>(end - size.ptr));
  const bool named = extension.size() > 1 && extension.size() <= kMostExtension && extension.front() == '.' &&
                     std::ranges::all_of(extension.substr(1), [](unsigned char c) { return std::isalnum(c) != 0; });
  if (!extension.empty() && !named) return std::nullopt;
  part.archive = text.substr(0, mark + kMark.size() - 1);
  return part;
}

std::string tar_part_path(const std::filesystem::path& archive, const TarMember& member, std::string_view extension) {
  return fmt::format("{}#{}+{}{}", archive.string(), member.offset, member.size, extension);
}

}  // namespace imagerank
