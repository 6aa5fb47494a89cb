#include "fetch/fetch.h"

#include <chrono>
#include <optional>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "fetch/ledger.h"
#include "fetch/plan.h"
#include "fetch/recorder.h"
#include "fetch/schedule.h"
#include "fetch/shard_source.h"
#include "fetch/shards.h"
#include "fetch/tables.h"

namespace imagerank::fetch {
namespace {

/// The half-written files of a run that was killed.
void remove_leftovers(const std::filesystem::path& images) {
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator(images, error)) {
    if (folder.is_directory(error)) remove_stale_temporaries(folder.path());
  }
}

/// Before anything is made in the workspace.
void require_rows(const workspace::Workspace& workspace) {
  workspace::Database database(1);
  workspace.attach(database, "images");
  if (database.query_integer("SELECT count(*) FROM images") == 0) {
    fail(ErrorCode::kNotFound, "{}: expected at least one image, found 0 rows; `imagerank import` adds them",
         workspace.table_path("images").string());
  }
}

/// Every row by its URL or path.
void fetch_rows(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context,
                ByteBudget& budget, Recorder& recorder, FetchCounts& counts) {
  Plan plan(workspace, settings, context,
            {[&](const FetchExample& row, const std::string& reason, bool known) { recorder.fail(row, reason, known); },
             [&] { recorder.skip(); },
             [&](const FetchExample& row, const std::string& reason) { recorder.not_retried(row, reason); }});
  counts.total = plan.total();
  counts.same_url = plan.same_url();
  recorder.expect(plan.files() + plan.urls());
  plan.for_each_file([&](LocalFile&& file) { recorder.add(std::move(file)); });
  if (plan.urls() == 0) return;
  const auto transport = make_curl_transport(settings.network, budget);
  plan.for_each_url([&](const WantedSource& source) {
    fetch_all(
        source, settings.network, *transport, [&](Fetched&& fetched) { recorder.add(std::move(fetched)); }, context,
        [&] { return recorder.backlog(); });
  });
}

}  // namespace

std::int64_t FetchCounts::failures() const {
  std::int64_t sum = 0;
  for (const auto& [reason, count] : failed) sum += count;
  return sum;
}

void FetchSettings::validate() const {
  network.validate();
  if (resize < 0 || resize > 16384) {
    fail(ErrorCode::kInvalidArgument, "--resize: expected 1 to 16384 pixels, or 0 for the original, found {}", resize);
  }
  constexpr std::int64_t kMostImages = 1000000000;
  if (shards < 0 || shards > kMostImages) {
    fail(ErrorCode::kInvalidArgument, "--shards: expected 1 to {} images a shard, or 0 for a file each, found {}",
         kMostImages, shards);
  }
  if (!from_shards.empty() && (shards > 0 || resize > 0 || refresh || retry_failed)) {
    fail(ErrorCode::kInvalidArgument, "--from-shards: expected without {}: images stay as and where they are",
         shards > 0   ? "--shards"
         : resize > 0 ? "--resize"
         : refresh    ? "--refresh"
                      : "--retry-failed");
  }
}

FetchCounts fetch_images(const workspace::Workspace& workspace, const FetchSettings& settings,
                         const RunContext& context) {
  settings.validate();
  const auto start = std::chrono::steady_clock::now();
  require_rows(workspace);
  std::optional<ShardSource> source;
  if (!settings.from_shards.empty()) source.emplace(workspace, settings, context);
  FetchLedger ledger(workspace.root() / "images");
  recover_shards(workspace, ledger);
  if (!ledger.empty()) {
    remove_leftovers(workspace.root() / "images");
    write_tables(workspace, ledger);
  }

  FetchCounts counts;
  ByteBudget budget;
  std::exception_ptr problem;
  {
    Recorder recorder(workspace, settings, context, ledger, counts);
    try {
      if (source) {
        source->match(counts);
        recorder.expect(source->files());
        source->for_each_file([&](LocalFile&& file) { recorder.add(std::move(file)); });
      } else {
        fetch_rows(workspace, settings, context, budget, recorder, counts);
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCancelled) throw;
      problem = std::current_exception();
    }
    recorder.finish();
  }
  write_tables(workspace, ledger);
  if (problem) std::rethrow_exception(problem);
  if (source) source->count_rest(counts);
  counts.same_content = count_same_content(workspace);
  counts.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return counts;
}

}  // namespace imagerank::fetch
