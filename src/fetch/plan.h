#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/atomic_file.h"
#include "fetch/fetch.h"
#include "fetch/schedule.h"
#include "workspace/database.h"

namespace imagerank::fetch {

/// A file that no run has looked at yet.
struct LocalFile {
  std::string image_uid;
  std::string path;      ///< as the row has it, or is to have it
  bool offered = false;  ///< by a shard, not named by the row, which stays as it is if the file is broken
  std::string sha256;    ///< what it must be; "" if nothing says
};

/// Calls `visit` with uid, url, path, sha256 and status of every row, and whether its file is there. Files are looked
/// for on all of the context's threads. @param recheck  a file is there only if it has the checksum that the row has.
void for_each_row(const workspace::Workspace& workspace, bool recheck, const RunContext& context,
                  const std::function<void(const workspace::Image& row, bool there)>& visit);

/// What a plan says of rows that need no transfer.
struct PlanEvents {
  std::function<void(const FetchExample& row, const std::string& reason, bool known)>
      failed;  ///< known: the row says so
  std::function<void()> skipped;
  std::function<void(const FetchExample& row, const std::string& reason)> not_retried;
};

/// Decides row by row, then gives out what is left to do, each URL once, hosts well mixed. Rows stay on disk: the lists
/// wait in temporary files of the workspace.
class Plan {
 public:
  Plan(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context,
       const PlanEvents& events);

  [[nodiscard]] std::int64_t total() const noexcept { return total_; }
  [[nodiscard]] std::int64_t urls() const noexcept { return urls_; }
  [[nodiscard]] std::int64_t files() const noexcept { return files_; }
  /// Rows that share another row's URL.
  [[nodiscard]] std::int64_t same_url() const noexcept { return same_url_; }
  void for_each_file(const std::function<void(LocalFile&&)>& visit);
  void for_each_url(const std::function<void(const WantedSource&)>& fetch);

 private:
  void judge_rows(workspace::Database& database, const PlanEvents& events);
  void judge(const workspace::Image& row, bool there, const PlanEvents& events, workspace::Database::Appender& wanted,
             workspace::Database::Appender& local);
  [[nodiscard]] bool retries(const std::string& status) const;

  const workspace::Workspace& workspace_;
  const FetchSettings& settings_;
  const RunContext& context_;
  AtomicFile wanted_list_;  ///< never committed
  AtomicFile local_list_;   ///< the same
  std::int64_t total_ = 0;
  std::int64_t urls_ = 0;
  std::int64_t files_ = 0;
  std::int64_t same_url_ = 0;
};

}  // namespace imagerank::fetch
