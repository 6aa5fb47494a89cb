#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>

namespace imagerank::fetch {

/// What became of one image, as the workspace's tables will say it.
struct LedgerEntry {
  std::string image_uid;
  std::string url;     ///< every row with this URL has it now; "" for a row that speaks for itself alone
  std::string status;  ///< "ok" or the reason of the failure
  std::string path;    ///< relative to the workspace
  std::string sha256;
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::string etag;           ///< as the server gave it, "" if it did not
  std::string last_modified;  ///< the same
};

/// What `fetch` has done since images.parquet was last written: images/.fetch-ledger.jsonl, a line per image, each
/// written by one call after the image's file has its final name. A process that is killed leaves at most one torn
/// line, which is dropped. Held by one process at a time. append() is thread-safe.
class FetchLedger {
 public:
  /// Creates the folder and the file if missing.
  /// @throws Error kUnavailable if another process holds it, kIo, kResourceLimit.
  explicit FetchLedger(const std::filesystem::path& folder);
  FetchLedger(const FetchLedger&) = delete;
  FetchLedger& operator=(const FetchLedger&) = delete;
  ~FetchLedger();

  /// Whether it holds anything: at the start, what a run that was killed had done.
  [[nodiscard]] bool empty() const noexcept { return empty_; }
  /// Every entry, oldest first.
  void for_each(const std::function<void(const LedgerEntry&)>& visit) const;
  /// @throws Error kResourceLimit on a full disk, kIo.
  void append(const LedgerEntry& entry);
  /// Flushes everything of the folder's file system to disk: before the tables say of a file that it is there.
  void flush_images() const;
  /// Forgets everything: the tables have it now. The file goes with the object if it is empty.
  void clear();

 private:
  void open_and_lock();
  void drop_torn_line();

  std::filesystem::path folder_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool empty_ = true;
  std::mutex mutex_;
};

}  // namespace imagerank::fetch
