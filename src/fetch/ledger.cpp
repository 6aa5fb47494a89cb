#include "fetch/ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/io_error.h"

namespace imagerank::fetch {
namespace {

/// nullopt for a line that is no whole entry.
std::optional<LedgerEntry> parse_entry(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  try {
    return LedgerEntry{object.at("uid").get<std::string>(),          object.at("url").get<std::string>(),
                       object.at("status").get<std::string>(),       object.at("path").get<std::string>(),
                       object.at("sha256").get<std::string>(),       object.at("width").get<std::int32_t>(),
                       object.at("height").get<std::int32_t>(),      object.at("etag").get<std::string>(),
                       object.at("last_modified").get<std::string>()};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

FetchLedger::FetchLedger(const std::filesystem::path& folder) : folder_(folder), path_(folder / ".fetch-ledger.jsonl") {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot create the folder: {}", folder_.string(), error.message());
  try {
    open_and_lock();
    drop_torn_line();
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

FetchLedger::~FetchLedger() {
  if (empty_) ::unlink(path_.c_str());  // under the lock: whoever waits for it looks whether the name is still there
  ::close(descriptor_);
}

void FetchLedger::open_and_lock() {
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_io(path_, "open");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail_io(path_, "lock");
      fail(ErrorCode::kUnavailable, "{}: expected no other fetch in this workspace, found one at work", path_.string());
    }
    struct stat mine = {};
    struct stat named = {};
    if (::fstat(descriptor_, &mine) != 0) fail_io(path_, "stat");
    if (::stat(path_.c_str(), &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev) return;
    ::close(descriptor_);  // the run before removed it between our open and our lock
    descriptor_ = -1;
  }
}

void FetchLedger::drop_torn_line() {
  struct stat state = {};
  if (::fstat(descriptor_, &state) != 0) fail_io(path_, "stat");
  // A torn last line would swallow the next one.
  off_t end = state.st_size;
  std::array<char, 4096> block{};
  while (end > 0) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(block.size()));
    const ssize_t count = ::pread(descriptor_, block.data(), static_cast<std::size_t>(end - start), start);
    if (count != end - start) fail_io(path_, "read");
    const std::size_t line_end = std::string_view(block.data(), static_cast<std::size_t>(count)).rfind('\n');
    end = line_end == std::string_view::npos ? start : start + static_cast<off_t>(line_end) + 1;
    if (line_end != std::string_view::npos) break;
  }
  if (end != state.st_size && ::ftruncate(descriptor_, end) != 0) fail_io(path_, "truncate");
  empty_ = end == 0;
}

void FetchLedger::for_each(const std::function<void(const LedgerEntry&)>& visit) const {
  std::ifstream file(path_);
  if (!file) fail_io(path_, "read");
  for (std::string line; std::getline(file, line);) {
    if (const auto entry = parse_entry(line)) visit(*entry);
  }
}

void FetchLedger::append(const LedgerEntry& entry) {
  const nlohmann::ordered_json object = {
      {"uid", entry.image_uid}, {"url", entry.url},       {"status", entry.status},
      {"path", entry.path},     {"sha256", entry.sha256}, {"width", entry.width},
      {"height", entry.height}, {"etag", entry.etag},     {"last_modified", entry.last_modified}};
  const std::string line = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
  const std::lock_guard lock(mutex_);
  empty_ = false;
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t count = ::write(descriptor_, line.data() + done, line.size() - done);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_io(path_, "write");
    }
    done += static_cast<std::size_t>(count);
  }
}

void FetchLedger::flush_images() const {
  if (::syncfs(descriptor_) != 0) fail_io(folder_, "flush");
}

void FetchLedger::clear() {
  if (::ftruncate(descriptor_, 0) != 0) fail_io(path_, "truncate");
  empty_ = true;
}

}  // namespace imagerank::fetch
