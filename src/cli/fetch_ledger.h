#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace imagerank::cli {

/// What became of one image, as images.parquet will say it.
struct LedgerEntry {
  std::string image_uid;
  std::string status;  ///< "ok" or the reason of the failure
  std::string path;    ///< relative to the workspace
  std::string sha256;
  std::int32_t width = 0;
  std::int32_t height = 0;
};

/// What `fetch` has done since images.parquet was last written: images/.fetch-ledger.jsonl, a line per image, each
/// written by one call after the image's file has its final name. A process that is killed leaves at most one torn
/// line, which is dropped. Held by one process at a time. Not thread-safe.
class FetchLedger {
 public:
  /// Creates the folder and the file if missing.
  /// @throws Error kUnavailable if another process holds it, kIo, kResourceLimit.
  explicit FetchLedger(const std::filesystem::path& folder);
  FetchLedger(const FetchLedger&) = delete;
  FetchLedger& operator=(const FetchLedger&) = delete;
  ~FetchLedger();

  /// Whether a run before ended without clear(): killed, or the disk was full.
  [[nodiscard]] bool interrupted() const noexcept { return interrupted_; }
  /// What it had done, oldest first.
  [[nodiscard]] const std::vector<LedgerEntry>& earlier() const noexcept { return earlier_; }
  /// @throws Error kResourceLimit on a full disk, kIo.
  void append(const LedgerEntry& entry);
  /// Flushes everything of the folder's file system to disk: before images.parquet says of a file that it is there.
  void flush_images() const;
  /// Forgets everything: images.parquet has it now. The file goes with the object if it is empty.
  void clear();

 private:
  void open_and_lock();
  void read_earlier();

  std::filesystem::path folder_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool empty_ = true;
  bool interrupted_ = false;
  std::vector<LedgerEntry> earlier_;
};

}  // namespace imagerank::cli
