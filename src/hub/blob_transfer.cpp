#include "hub/blob_transfer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "core/fail.h"
#include "hub/listing.h"

namespace imagerank::hub {
namespace {

std::optional<std::uint64_t> number_at(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

/// The first byte of "bytes 100-199/200".
std::optional<std::uint64_t> range_start(const std::string& header) {
  constexpr std::string_view kUnit = "bytes ";
  if (!header.starts_with(kUnit)) return std::nullopt;
  return number_at(std::string_view(header).substr(kUnit.size()));
}

/// How large the whole file is, as far as an answer says.
std::optional<std::uint64_t> whole_size(const HttpAnswer& answer) {
  if (const auto linked = number_at(answer.header("x-linked-size"))) return linked;
  if (answer.status != 206) return number_at(answer.header("content-length"));
  const std::string range = answer.header("content-range");
  const std::size_t slash = range.find('/');
  return slash == std::string::npos ? std::nullopt : number_at(std::string_view(range).substr(slash + 1));
}

/// The file of a blob under way, its bytes so far hashed.
class PartialBlob {
 public:
  PartialBlob(const TransferContext& context, const RemoteFile& file)
      : context_(context), file_(file), path_(context.cache.incomplete(file.etag)) {
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_io("create");
    struct stat status = {};
    if (::fstat(descriptor_, &status) != 0) fail_io("read");
    hash_ = blob_digest(file_.etag, file_.size);
    if (static_cast<std::uint64_t>(status.st_size) > file_.size) {
      start_over();
    } else {
      read_what_is_there();
      inherited_ = held_ > 0;
    }
  }
  PartialBlob(const PartialBlob&) = delete;
  PartialBlob& operator=(const PartialBlob&) = delete;
  ~PartialBlob() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] std::uint64_t held() const noexcept { return held_; }
  /// Whether some of the bytes were here before this run.
  [[nodiscard]] bool inherited() const noexcept { return inherited_; }
  [[nodiscard]] std::string digest() { return hash_.hex_digest(); }

  void start_over() {
    if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) < 0) fail_io("write");
    context_.moved(-static_cast<std::int64_t>(held_));
    hash_ = blob_digest(file_.etag, file_.size);
    held_ = 0;
    inherited_ = false;
  }

  void append(std::span<const std::byte> bytes) {
    hash_.update(bytes);
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_io("write");
      held_ += static_cast<std::uint64_t>(count);
      context_.moved(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  /// Onto the disk and under its final name.
  void finish() {
    if (::fsync(descriptor_) != 0) fail_io("flush");
    const int result = ::close(std::exchange(descriptor_, -1));
    if (result != 0 || ::rename(path_.c_str(), context_.cache.blob(file_.etag).c_str()) != 0) fail_io("rename");
  }

  void discard() {
    context_.moved(-static_cast<std::int64_t>(held_));
    ::unlink(path_.c_str());
  }

 private:
  [[noreturn]] void fail_io(const char* action) const {
    const int problem = errno;
    const bool full = problem == ENOSPC || problem == EDQUOT || problem == EFBIG;
    fail(full ? ErrorCode::kResourceLimit : ErrorCode::kIo, "{}: cannot {}: {}", path_.string(), action,
         std::strerror(problem));
  }

  void read_what_is_there() {
    std::vector<std::byte> buffer(std::size_t{1} << 20);
    for (;;) {
      if (context_.stop.stop_requested())
        throw Error(ErrorCode::kCancelled, "stopped; run the same command again to resume");
      const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_io("read");
      if (count == 0) return;
      hash_.update(std::span(buffer).first(static_cast<std::size_t>(count)));
      held_ += static_cast<std::uint64_t>(count);
    }
  }

  const TransferContext& context_;
  const RemoteFile& file_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  Digest hash_;
  std::uint64_t held_ = 0;
  bool inherited_ = false;
};

/// The tries of one blob.
class Transfer {
 public:
  Transfer(HttpClient& client, const TransferContext& context, const std::string& commit, const RemoteFile& file)
      : client_(client),
        context_(context),
        file_(file),
        url_(file_url(context.settings, context.repository, commit, file.path)),
        blob_(context, file) {}

  std::optional<ItemFailure> run() {
    for (;;) {
      auto failure = fill();
      if (failure) return failure;
      const std::string found = blob_.digest();
      if (found == file_.etag) break;
      if (!blob_.inherited()) {
        blob_.discard();
        return item("wrong_checksum",
                    fmt::format("expected {} {}, found {}", file_.etag.size() == 64 ? "SHA-256" : "git SHA-1",
                                file_.etag, found));
      }
      blob_.start_over();  // what an earlier run left may be what is wrong
    }
    blob_.finish();
    return std::nullopt;
  }

 private:
  [[nodiscard]] ItemFailure item(std::string reason, std::string detail) const {
    return {file_.path, std::move(reason), std::move(detail)};
  }

  std::optional<ItemFailure> fill() {
    int idle = 0;  // tries in a row that brought the transfer no further
    std::uint64_t furthest = blob_.held();
    while (blob_.held() < file_.size) {
      context_.gate.wait();
      const HttpAnswer answer = ask();
      if (trouble_) std::rethrow_exception(trouble_);
      if (size_found_) return wrong_size(*size_found_);
      if (answer.ok() && blob_.held() == file_.size) return std::nullopt;
      if (answer.ok()) return wrong_size(blob_.held());
      if (answer.status == 416 || range_ignored_) {
        blob_.start_over();
      } else if (auto failure = final_failure(answer)) {
        return failure;
      }
      idle = blob_.held() > furthest ? 1 : idle + 1;
      furthest = std::max(furthest, blob_.held());
      if (idle > context_.settings.retries) return give_up(answer);
      context_.gate.back_off(idle, answer);
    }
    return std::nullopt;
  }

  HttpAnswer ask() {
    size_found_.reset();
    trouble_ = nullptr;
    range_ignored_ = false;
    bool first = true;
    HttpRequest request;
    request.url = url_;
    request.from = blob_.held();
    request.sink = [&](const HttpAnswer& answer, std::span<const std::byte> piece) {
      try {
        if (std::exchange(first, false) && !begin(answer, request.from)) return false;
        if (piece.size() > file_.size - blob_.held()) {
          size_found_ = blob_.held() + piece.size();
          return false;
        }
        blob_.append(piece);
        return true;
      } catch (...) {
        trouble_ = std::current_exception();
        return false;
      }
    };
    return client_.get(request);
  }

  /// What the headers say before the first byte is written.
  bool begin(const HttpAnswer& answer, std::uint64_t from) {
    const auto size = whole_size(answer);
    if (size && *size != file_.size) {
      size_found_ = size;
      return false;
    }
    if (answer.status == 206 && range_start(answer.header("content-range")) != from) {
      range_ignored_ = true;
      return false;
    }
    if (answer.status != 206 && from > 0) blob_.start_over();
    return true;
  }

  ItemFailure wrong_size(std::uint64_t found) {
    blob_.discard();
    return item("wrong_size", fmt::format("expected {} bytes, found {}", file_.size, found));
  }

  /// For answers that another try would not change.
  std::optional<ItemFailure> final_failure(const HttpAnswer& answer) const {
    if (may_help_to_retry(answer)) return std::nullopt;
    if (answer.problem.empty() && (answer.status == 401 || answer.status == 403))
      fail_answer(context_.settings, context_.repository,
                  fmt::format("{} of {}", file_.path, context_.repository.title()), answer);
    if (answer.problem == "tls") fail(ErrorCode::kUnavailable, "{}", answer.detail);
    return give_up(answer);
  }

  ItemFailure give_up(const HttpAnswer& answer) const {
    const bool network = answer.problem == "dns" || answer.problem == "connect";
    if (network || (answer.problem.empty() && answer.status == 429))
      fail(ErrorCode::kUnavailable, "{}; run the same command again to resume", answer.detail);
    return item(answer.problem.empty() ? fmt::format("http_{}", answer.status) : answer.problem, answer.detail);
  }

  HttpClient& client_;
  const TransferContext& context_;
  const RemoteFile& file_;
  std::string url_;
  PartialBlob blob_;
  std::optional<std::uint64_t> size_found_;
  std::exception_ptr trouble_;
  bool range_ignored_ = false;
};

}  // namespace

std::optional<ItemFailure> transfer_file(HttpClient& client, const TransferContext& context, const std::string& commit,
                                         const RemoteFile& file) {
  {
    const BlobLock lock(context.cache.lock_file(file.etag), context.stop);
    if (!context.cache.has_blob(file)) {
      if (auto failure = Transfer(client, context, commit, file).run()) return failure;
    }
  }
  context.cache.link(commit, file);
  return std::nullopt;
}

}  // namespace imagerank::hub
