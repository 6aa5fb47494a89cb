#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string>
#include <system_error>

#include "core/io_error.h"
#include "core/tar.h"

namespace imagerank {
namespace {

constexpr std::string_view kTemporaryMark = ".tmp-";

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path final_path) : final_path_(std::move(final_path)) {
  static std::atomic<unsigned> counter = 0;
  const std::filesystem::path folder = folder_of(final_path_);
  temporary_path_ =
      folder / fmt::format(".{}{}{}-{}", final_path_.filename().string(), kTemporaryMark, ::getpid(), counter++);
  const auto create = [&] { return ::open(temporary_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644); };
  descriptor_ = create();
  if (descriptor_ < 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail(ErrorCode::kIo, "{}: cannot create the folder: {}", folder.string(), error.message());
    descriptor_ = create();
  }
  if (descriptor_ < 0) fail_io(final_path_, "create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_ && !temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_io(final_path_, "write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(std::size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_io(final_path_, "write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
}

void AtomicFile::start_flush(std::size_t offset, std::size_t size) const noexcept {
  constexpr std::size_t kPage = 4096;  // one that is not full yet would be written twice
  const std::size_t begin = offset / kPage * kPage, end = (offset + size) / kPage * kPage;
  if (end <= begin) return;
  ::sync_file_range(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(end - begin), SYNC_FILE_RANGE_WRITE);
}

void AtomicFile::commit(bool durable) {
  // A library may have replaced the file at temporary_path(): flush what is there now.
  if (durable) {
    const int current = ::open(temporary_path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (current < 0) fail_io(final_path_, "flush");
    const int result = ::fsync(current);
    ::close(current);
    if (result != 0) fail_io(final_path_, "flush");
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_io(final_path_, "close");
  if (::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) fail_io(final_path_, "rename into place");
  committed_ = true;
  if (durable) sync_folder(folder_of(final_path_));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, bool durable) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit(durable);
}

namespace {

/// A file open for reading.
class Reading {
 public:
  /// @throws Error kNotFound, kIo.
  explicit Reading(const std::filesystem::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ >= 0) return;
    if (errno != ENOENT && errno != ENOTDIR) fail_io(path, "open");
    fail(ErrorCode::kNotFound, "{}: cannot open: {}", path.string(), std::strerror(errno));
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() { ::close(descriptor_); }

  /// As stat gives it: 0 of pipes and of /proc.
  [[nodiscard]] std::uint64_t size() const {
    struct stat status = {};
    if (::fstat(descriptor_, &status) != 0) fail_io(path_, "stat");
    if (S_ISDIR(status.st_mode)) fail(ErrorCode::kIo, "{}: expected a file, found a folder", path_.string());
    return static_cast<std::uint64_t>(status.st_size);
  }
  /// @return how many bytes came, 0 at the end.
  std::size_t read(char* to, std::size_t size) {
    for (;;) {
      const ssize_t count = ::read(descriptor_, to, size);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) fail_io(path_, "read");
    }
  }
  void seek(std::uint64_t offset) {
    if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) fail_io(path_, "seek");
  }

 private:
  const std::filesystem::path& path_;
  int descriptor_ = -1;
};

bool lies_within(const TarPart& part, std::uint64_t size) {
  return part.offset <= size && part.size <= size - part.offset;
}

std::string load_part(const std::filesystem::path& path, const TarPart& part, std::size_t max_bytes) {
  Reading file(part.archive);
  if (part.size > max_bytes) {
    fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found {}", path.string(), max_bytes, part.size);
  }
  const std::uint64_t size = file.size();
  if (!lies_within(part, size)) {
    fail(ErrorCode::kNotFound, "{}: expected that many bytes, found an archive of {}", path.string(), size);
  }
  std::string bytes(part.size, '\0');
  file.seek(part.offset);
  for (std::size_t filled = 0; filled < bytes.size();) {
    const std::size_t count = file.read(bytes.data() + filled, bytes.size() - filled);
    if (count == 0) fail(ErrorCode::kIo, "{}: the archive was cut while it was read", path.string());
    filled += count;
  }
  return bytes;
}

}  // namespace

std::string load_file(const std::filesystem::path& path, std::size_t max_bytes) {
  if (const auto part = parse_tar_part(path)) return load_part(path, *part, max_bytes);
  Reading file(path);
  const std::uint64_t size = file.size();
  if (size > max_bytes)
    fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found {}", path.string(), max_bytes, size);
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() + 4096);  // pipes and /proc report no size
    const std::size_t count = file.read(bytes.data() + filled, bytes.size() - filled);
    if (count == 0) break;
    filled += count;
    if (filled > max_bytes)
      fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found more", path.string(), max_bytes);
  }
  bytes.resize(filled);
  return bytes;
}

bool has_file(const std::filesystem::path& path) {
  const auto part = parse_tar_part(path);
  const std::filesystem::path& file = part ? part->archive : path;
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return false;
  const std::uint64_t size = std::filesystem::file_size(file, error);
  return !error && (part ? part->size > 0 && lies_within(*part, size) : size > 0);
}

void remove_stale_temporaries(const std::filesystem::path& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const std::size_t mark = name.rfind(kTemporaryMark);
    if (name.empty() || name.front() != '.' || mark == std::string::npos) continue;
    const char* first = name.data() + mark + kTemporaryMark.size();
    pid_t process = 0;
    const auto [end, status] = std::from_chars(first, name.data() + name.size(), process);
    if (status != std::errc() || end == name.data() + name.size() || *end != '-' || process <= 0) continue;
    if (::kill(process, 0) == 0 || errno != ESRCH) continue;
    std::filesystem::remove_all(entry.path(), error);
  }
}

}  // namespace imagerank
