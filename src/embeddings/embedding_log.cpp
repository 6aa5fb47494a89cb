#include "embeddings/embedding_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/fail.h"
#include "core/hash.h"

namespace imagerank::embeddings {
namespace {

// A log: kMagic, dim as u64; then records: sizes of key and content as u32 each, 16 hex digits of the SHA-256 of all
// else in the record, key, content, vector. Little endian.
constexpr std::string_view kMagic = "imagerank-log-1\n";
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kSizesBytes = 8;
constexpr std::size_t kSumBytes = 16;
constexpr std::size_t kHeadBytes = kSizesBytes + kSumBytes;
constexpr std::size_t kMaxText = std::size_t{1} << 24;  // a key or content
constexpr std::size_t kMaxDim = std::size_t{1} << 20;
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

constexpr const char* kLockName = ".lock";

[[noreturn]] void fail_file(const std::filesystem::path& path, const char* action) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kResourceLimit : ErrorCode::kIo, "{}: cannot {}: {}", path.string(), action,
       std::strerror(error));
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// Reads up to `size` bytes; fewer at the end of the file.
std::size_t read_at(int descriptor, const std::filesystem::path& path, void* to, std::size_t size, std::uint64_t at) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count =
        ::pread(descriptor, static_cast<char*>(to) + done, size - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_file(path, "read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

/// Whether the descriptor's file still has that name: whoever deletes one holds its lock.
bool still_named(int descriptor, const std::filesystem::path& path) {
  struct stat mine = {};
  struct stat named = {};
  return ::fstat(descriptor, &mine) == 0 && ::stat(path.c_str(), &named) == 0 && mine.st_ino == named.st_ino &&
         mine.st_dev == named.st_dev;
}

std::uint32_t load_u32(const char* bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

std::string checksum(std::string_view sizes, std::string_view body) {
  Digest digest;
  digest.update(sizes);
  digest.update(body);
  return digest.hex_digest().substr(0, kSumBytes);
}

}  // namespace

EmbeddingLog EmbeddingLog::create(const std::filesystem::path& folder, const std::string& side, std::size_t dim) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create the folder: {}", folder.string(), error.message());
  for (int number = 0;; ++number) {
    const std::filesystem::path path = folder / fmt::format(".{}.log-{}-{}", side, ::getpid(), number);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0) fail_file(path, "create");
    EmbeddingLog log(path, descriptor);
    // Between creation and lock somebody may have taken it for a dead process's, and have removed it.
    if (!log.take_over() || !still_named(descriptor, path)) continue;
    const std::uint64_t stored = dim;
    std::string header(kMagic);
    header.append(reinterpret_cast<const char*>(&stored), sizeof(stored));
    if (!write_all(descriptor, header)) {
      const int problem = errno;
      log.remove();
      errno = problem;
      fail_file(path, "write");
    }
    log.dim_ = dim;
    log.read_to_ = kHeaderBytes;
    return log;
  }
}

std::optional<EmbeddingLog> EmbeddingLog::open(const std::filesystem::path& path) {
  int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // some file systems lock only what may be written
  if (descriptor < 0 && errno != ENOENT) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return std::nullopt;
  if (descriptor < 0) fail_file(path, "open");
  EmbeddingLog log(path, descriptor);
  log.read_header();
  return log;
}

std::vector<std::filesystem::path> EmbeddingLog::list(const std::filesystem::path& folder, const std::string& side) {
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> found;
  std::error_code error;
  const std::string start = fmt::format(".{}.log-", side);
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::error_code gone;
    if (entry.path().filename().string().starts_with(start))
      found.emplace_back(entry.last_write_time(gone), entry.path());
  }
  std::ranges::sort(found);
  std::vector<std::filesystem::path> paths;
  for (auto& [time, path] : found) paths.push_back(std::move(path));
  return paths;
}

EmbeddingLog::EmbeddingLog(EmbeddingLog&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      dim_(other.dim_),
      read_to_(other.read_to_),
      damaged_(other.damaged_) {}

EmbeddingLog& EmbeddingLog::operator=(EmbeddingLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(dim_, other.dim_);
  std::swap(read_to_, other.read_to_);
  std::swap(damaged_, other.damaged_);
  return *this;
}

EmbeddingLog::~EmbeddingLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::uint64_t EmbeddingLog::file_size() const {
  struct stat state = {};
  if (::fstat(descriptor_, &state) != 0) fail_file(path_, "stat");
  return static_cast<std::uint64_t>(state.st_size);
}

void EmbeddingLog::read_header() {
  std::string header(kHeaderBytes, '\0');
  header.resize(read_at(descriptor_, path_, header.data(), kHeaderBytes, 0));
  const bool start_of_one = header.size() < kHeaderBytes && kMagic.starts_with(header.substr(0, kMagic.size()));
  if (start_of_one) return;  // its writer has not come further yet, or never will
  std::uint64_t dim = 0;
  std::memcpy(&dim, header.data() + kMagic.size(), sizeof(dim));
  if (!header.starts_with(kMagic) || dim == 0 || dim > kMaxDim) {
    fail(ErrorCode::kCorruptData, "{}: expected a log of embeddings, found something else; delete it", path_.string());
  }
  dim_ = dim;
  read_to_ = kHeaderBytes;
}

std::uint64_t EmbeddingLog::append(std::string_view key, std::string_view content,
                                   std::span<const std::uint16_t> vector) {
  const std::uint64_t at = read_to_;
  const std::array<std::uint32_t, 2> sizes = {static_cast<std::uint32_t>(key.size()),
                                              static_cast<std::uint32_t>(content.size())};
  std::string body(key);
  body.append(content);
  body.append(reinterpret_cast<const char*>(vector.data()), vector.size_bytes());
  std::string record(reinterpret_cast<const char*>(sizes.data()), kSizesBytes);
  record += checksum(record, body);
  record += body;
  if (!write_all(descriptor_, record)) {
    const int problem = errno;
    // The next record must not stand behind half a one.
    if (::ftruncate(descriptor_, static_cast<off_t>(at)) != 0) fail_file(path_, "truncate");
    errno = problem;
    fail_file(path_, "write");
  }
  read_to_ = at + record.size();
  return read_to_ - vector.size_bytes();
}

/// @return how much of the block was used.
std::size_t EmbeddingLog::parse(std::string_view block, std::uint64_t end,
                                const std::function<void(const Record&)>& visit) {
  std::size_t used = 0;
  const std::size_t vector_bytes = dim_ * sizeof(std::uint16_t);
  while (block.size() - used >= kHeadBytes) {
    const std::string_view rest = block.substr(used);
    const std::size_t key_size = load_u32(rest.data());
    const std::size_t content_size = load_u32(rest.data() + sizeof(std::uint32_t));
    const std::size_t body_size = key_size + content_size + vector_bytes;
    if (key_size > kMaxText || content_size > kMaxText || rest.size() < kHeadBytes + body_size) break;
    const std::string_view body = rest.substr(kHeadBytes, body_size);
    const bool good = checksum(rest.substr(0, kSizesBytes), body) == rest.substr(kSizesBytes, kSumBytes);
    const std::uint64_t at = read_to_ + used + kHeadBytes;
    if (!good && at + body_size == end) break;  // the last one may still be on its way
    used += kHeadBytes + body_size;
    if (good) {
      visit({body.substr(0, key_size), body.substr(key_size, content_size), at + key_size + content_size});
    } else {
      ++damaged_;
    }
  }
  return used;
}

void EmbeddingLog::read_new(const std::function<void(const Record&)>& visit) {
  if (dim_ == 0) read_header();
  if (dim_ == 0) return;
  const std::uint64_t end = file_size();
  std::string block;
  for (std::size_t wanted = kBlockBytes; read_to_ < end;) {
    block.resize(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, end - read_to_)));
    block.resize(read_at(descriptor_, path_, block.data(), block.size(), read_to_));
    const std::size_t used = parse(block, end, visit);
    read_to_ += used;
    if (used != 0) continue;
    if (block.size() < wanted || wanted > 2 * kMaxText + 2 * kMaxDim) break;  // a torn record, or nonsense
    wanted *= 2;
  }
}

void EmbeddingLog::read_vector(std::uint64_t vector_at, std::span<std::uint16_t> vector) const {
  if (read_at(descriptor_, path_, vector.data(), vector.size_bytes(), vector_at) != vector.size_bytes()) {
    fail(ErrorCode::kCorruptData, "{}: expected a vector at byte {}, found the end", path_.string(), vector_at);
  }
}

bool EmbeddingLog::take_over() { return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0; }

bool EmbeddingLog::has_writer() const {
  if (::flock(descriptor_, LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(descriptor_, LOCK_UN);
  return false;
}

std::size_t EmbeddingLog::damaged() const { return damaged_ + (read_to_ < file_size() ? 1 : 0); }

void EmbeddingLog::remove() { ::unlink(path_.c_str()); }

bool FolderLock::is_left(const std::filesystem::path& folder) { return std::filesystem::exists(folder / kLockName); }

FolderLock::FolderLock(const std::filesystem::path& folder) : path_(folder / kLockName) {
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_file(path_, "create");
    int result = 0;
    do {
      result = ::flock(descriptor_, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    const int problem = errno;
    if (result == 0 && still_named(descriptor_, path_)) return;
    ::close(descriptor_);  // the one before removed it between our open and our lock
    errno = problem;
    if (result != 0) fail_file(path_, "lock");
  }
}

FolderLock::~FolderLock() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace imagerank::embeddings
