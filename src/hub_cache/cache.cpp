#include "hub_cache/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/atomic_file.h"
#include "core/fail.h"

namespace imagerank::hub_cache {
namespace {

bool is_file_of(const std::filesystem::path& path, std::uint64_t size) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && std::filesystem::file_size(path, error) == size && !error;
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create the folder: {}", folder.string(), error.message());
}

}  // namespace

RepositoryCache::RepositoryCache(const std::filesystem::path& cache, const Repository& repository)
    : root_(cache / repository.folder_name()), locks_(cache / ".locks" / repository.folder_name()) {}

std::filesystem::path RepositoryCache::incomplete(const std::string& etag) const {
  return root_ / "blobs" / fmt::format("{}.incomplete", etag);
}

std::filesystem::path RepositoryCache::local_path(const std::string& commit, const std::string& path) const {
  return snapshot(commit) / path;
}

bool RepositoryCache::has_file(const std::string& commit, const RemoteFile& file) const {
  return is_file_of(local_path(commit, file.path), file.size);
}

bool RepositoryCache::has_blob(const RemoteFile& file) const { return is_file_of(blob(file.etag), file.size); }

std::uint64_t RepositoryCache::bytes_held(const RemoteFile& file) const {
  std::error_code error;
  const auto size = std::filesystem::file_size(incomplete(file.etag), error);
  return error || size > file.size ? 0 : size;
}

void RepositoryCache::link(const std::string& commit, const RemoteFile& file) const {
  static std::atomic<unsigned> counter = 0;
  const auto path = local_path(commit, file.path);
  const auto folder = path.parent_path();
  make_folder(folder);
  const auto target = blob(file.etag).lexically_relative(folder);
  const auto temporary =
      folder / fmt::format(".{}.tmp-{}-{}", path.filename().string().substr(0, 200), ::getpid(), counter++);
  std::error_code error;
  std::filesystem::create_symlink(target, temporary, error);
  if (!error) {
    std::filesystem::rename(temporary, path, error);
  } else {  // a file system without links: the file itself, as huggingface_hub leaves it there
    std::filesystem::rename(blob(file.etag), path, error);
  }
  if (error) {
    const std::string reason = error.message();
    std::filesystem::remove(temporary, error);
    fail(ErrorCode::kIo, "{}: cannot link to its blob: {}", path.string(), reason);
  }
}

std::optional<std::string> RepositoryCache::read_ref(const std::string& revision) const {
  std::error_code error;
  if (is_commit(revision) && std::filesystem::is_directory(snapshot(revision), error)) return revision;
  const auto path = root_ / "refs" / revision;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  constexpr std::size_t kMostBytes = 4096;
  std::string commit = load_file(path, kMostBytes);
  commit.erase(std::min(commit.find_last_not_of(" \r\n") + 1, commit.size()));
  if (!is_commit(commit))
    fail(ErrorCode::kCorruptData, "{}: expected a commit, 40 hex digits, found other text", path.string());
  return commit;
}

std::vector<std::string> RepositoryCache::refs() const {
  std::vector<std::string> names;
  const auto root = root_ / "refs";
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && !at->path().filename().string().starts_with('.'))
      names.push_back(at->path().lexically_relative(root).generic_string());
  }
  std::ranges::sort(names);
  return names;
}

void RepositoryCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision != commit) write_file_atomically(root_ / "refs" / revision, commit);
}

std::vector<RemoteFile> RepositoryCache::files(const std::string& commit) const {
  std::vector<RemoteFile> files;
  const auto root = snapshot(commit);
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    std::error_code broken;
    if (at->is_directory(broken)) continue;
    RemoteFile file;
    file.path = at->path().lexically_relative(root).generic_string();
    if (at->path().filename().string().find(".tmp-") != std::string::npos && at->path().filename().string()[0] == '.')
      continue;
    if (at->is_regular_file(broken)) {
      file.size = at->file_size(broken);
      const auto target = std::filesystem::read_symlink(at->path(), broken);
      file.etag = broken ? at->path().filename().string() : target.filename().string();
    }
    files.push_back(std::move(file));
  }
  std::ranges::sort(files, {}, &RemoteFile::path);
  return files;
}

std::vector<Repository> list_repositories(const std::filesystem::path& cache, RepositoryKind kind) {
  std::vector<Repository> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(cache, error), end; !error && at != end; at.increment(error)) {
    std::optional<Repository> repository = parse_folder_name(at->path().filename().string());
    std::error_code ignored;
    if (repository && repository->kind == kind && at->is_directory(ignored)) found.push_back(std::move(*repository));
  }
  std::ranges::sort(found, {}, &Repository::id);
  return found;
}

BlobLock::BlobLock(const std::filesystem::path& path, const std::stop_token& stop) {
  make_folder(path.parent_path());
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(ErrorCode::kIo, "{}: cannot create: {}", path.string(), std::strerror(errno));
  constexpr std::chrono::milliseconds kStep{50};
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int problem = errno;
    if (problem == ENOLCK || problem == EOPNOTSUPP) return;  // a file system without locks: as one program alone
    const bool stopped = stop.stop_requested();
    if (stopped || (problem != EWOULDBLOCK && problem != EINTR)) {
      ::close(descriptor_);
      if (stopped) throw Error(ErrorCode::kCancelled, "stopped; run the same command again to resume");
      fail(ErrorCode::kIo, "{}: cannot lock: {}", path.string(), std::strerror(problem));
    }
    std::this_thread::sleep_for(kStep);
  }
}

BlobLock::~BlobLock() { ::close(descriptor_); }

}  // namespace imagerank::hub_cache
