#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "core/bounded_queue.h"
#include "core/progress.h"
#include "fetch/fetch.h"
#include "fetch/ledger.h"
#include "fetch/plan.h"
#include "fetch/shards.h"

namespace imagerank::fetch {

/// Takes what came from the network or lies on disk, checks and stores it on threads of its own, writes the ledger and
/// counts. What goes wrong with the workspace (a full disk) is thrown by the next call. add() is for one thread.
class Recorder {
 public:
  Recorder(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context,
           FetchLedger& ledger, FetchCounts& counts);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder();

  /// What the progress counts up to. Before the first add().
  void expect(std::int64_t items) { expected_ = items; }
  /// Items that wait for a thread.
  [[nodiscard]] std::size_t backlog() { return queue_.size(); }
  /// Waits while the threads are far behind: whoever looks at backlog() has no need to.
  void add(Fetched&& fetched);
  void add(LocalFile&& file);
  /// A row that needs no look at a file. @param known  the row says so already.
  void fail(const FetchExample& row, const std::string& reason, bool known);
  void skip();
  void not_retried(const FetchExample& row, const std::string& reason);
  /// Waits for the threads, ends the shards. No add() after it.
  void finish();

 private:
  using Item = std::variant<Fetched, LocalFile>;
  struct Stored {
    std::string reason;
    std::string detail;
    LedgerEntry entry;
    images::ImageFormat format = images::ImageFormat::kUnknown;
    std::string_view kept;  ///< what is to be stored: the body, or `shrunk`
  };

  void work();
  void store(Fetched& fetched);
  void check(const LocalFile& file);
  /// @param shrunk  holds the resized image, if there is one.
  Stored examine(const Fetched& fetched, std::string& shrunk) const;
  void record_failure(const FetchExample& row, const std::string& reason, std::int64_t copies);
  void rethrow();
  void report();

  const workspace::Workspace& workspace_;
  const FetchSettings& settings_;
  const RunContext& context_;
  FetchLedger& ledger_;
  FetchCounts& counts_;  // mutex_
  BoundedQueue<Item> queue_;
  std::mutex mutex_;
  std::exception_ptr problem_;         // mutex_
  std::optional<ShardWriter> shards_;  // mutex_
  std::int64_t expected_ = 0;
  std::int64_t done_ = 0;  // mutex_
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point reported_;  // mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace imagerank::fetch
