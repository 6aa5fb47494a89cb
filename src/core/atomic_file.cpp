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

#include "core/fail.h"

namespace imagerank {
namespace {

constexpr std::string_view kTemporaryMark = ".tmp-";

[[noreturn]] void fail_write(const std::filesystem::path& path, const char* action) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kResourceLimit : ErrorCode::kIo, "{}: cannot {}: {}", path.string(), action,
       std::strerror(error));
}

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
  if (descriptor_ < 0) fail_write(final_path_, "create");
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
      fail_write(final_path_, "write");
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
      fail_write(final_path_, "write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
}

void AtomicFile::commit(bool durable) {
  // A library may have replaced the file at temporary_path(): flush what is there now.
  if (durable) {
    const int current = ::open(temporary_path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (current < 0) fail_write(final_path_, "flush");
    const int result = ::fsync(current);
    ::close(current);
    if (result != 0) fail_write(final_path_, "flush");
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_write(final_path_, "close");
  if (::rename(temporary_path_.c_str(), final_path_.c_str()) != 0) fail_write(final_path_, "rename into place");
  committed_ = true;
  if (durable) sync_folder(folder_of(final_path_));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, bool durable) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit(durable);
}

std::string load_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int error = errno;
    fail(error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot open: {}",
         path.string(), std::strerror(error));
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } const closer{descriptor};
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0)
    fail(ErrorCode::kIo, "{}: cannot stat: {}", path.string(), std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(ErrorCode::kIo, "{}: expected a file, found a folder", path.string());
  if (static_cast<std::size_t>(status.st_size) > max_bytes) {
    fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found {}", path.string(), max_bytes,
         status.st_size);
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() + 4096);  // pipes and /proc report no size
    const ssize_t count = ::read(descriptor, bytes.data() + filled, bytes.size() - filled);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail(ErrorCode::kIo, "{}: cannot read: {}", path.string(), std::strerror(errno));
    }
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
    if (filled > max_bytes)
      fail(ErrorCode::kResourceLimit, "{}: expected at most {} bytes, found more", path.string(), max_bytes);
  }
  bytes.resize(filled);
  return bytes;
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
