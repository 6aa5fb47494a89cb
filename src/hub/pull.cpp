#include "hub/pull.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/fail.h"
#include "hub/blob_transfer.h"
#include "hub/http.h"
#include "hub/listing.h"
#include "hub/retry.h"
#include "hub_cache/cache.h"

namespace imagerank::hub {
namespace {

using Clock = std::chrono::steady_clock;

/// Bytes of all threads, told to the caller ten times a second.
class Meter {
 public:
  Meter(const RunContext& context, std::uint64_t total_bytes, std::size_t files)
      : context_(context), total_(total_bytes), files_(files) {}

  void move(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (bytes > 0) transferred_ += static_cast<std::uint64_t>(bytes);
    report(false);
  }
  void end_file() {
    const std::lock_guard lock(mutex_);
    ++files_done_;
    report(true);
  }
  [[nodiscard]] std::uint64_t transferred() const noexcept { return transferred_; }

 private:
  void report(bool now) {
    const auto time = Clock::now();
    if (!now && time - reported_ < std::chrono::milliseconds(100)) return;
    reported_ = time;
    context_.report({"pull", static_cast<std::uint64_t>(std::max<std::int64_t>(done_, 0)), total_,
                     fmt::format("{} of {} files", files_done_, files_)});
  }

  const RunContext& context_;
  const std::uint64_t total_;
  const std::size_t files_;
  std::mutex mutex_;
  std::int64_t done_ = 0;
  std::uint64_t transferred_ = 0;
  std::size_t files_done_ = 0;
  Clock::time_point reported_;
};

std::string quoted(const std::vector<std::string>& patterns) {
  return fmt::format("'{}'", fmt::join(patterns, "', '"));
}

class Pull {
 public:
  Pull(const HubSettings& settings, const PullRequest& request, const RunContext& context)
      : settings_(settings),
        request_(request),
        context_(context),
        cache_(settings.cache, request.repository),
        forward_stop_(context.stop, [this] { stop_.request_stop(); }),
        gate_(settings, stop_.get_token()) {}

  PullResult run() {
    if (settings_.offline) return take_from_cache();
    Listing listing;
    {
      HttpClient client(settings_, stop_.get_token());
      listing = list_repository(client, gate_, settings_, request_.repository, request_.patterns);
    }
    if (listing.files.empty()) fail_no_match();
    result_.commit = listing.commit;
    choose(listing.files);
    sort_out(listing);
    if (request_.dry_run) {
      for (const RemoteFile& file : missing_) keep(file, false);
    } else {
      transfer_all();
      if (result_.failed.empty() && !listing.files.empty())
        cache_.write_ref(request_.repository.revision, listing.commit);
    }
    std::ranges::sort(result_.files, {}, &PulledFile::path);
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail_no_match() const {
    fail(ErrorCode::kNotFound, "{} at '{}': expected {}, found none", request_.repository.title(),
         request_.repository.revision,
         request_.patterns.empty() ? "files" : fmt::format("files that match {}", quoted(request_.patterns)));
  }

  void keep(const RemoteFile& file, bool cached) {
    result_.files.push_back({file.path, cache_.local_path(result_.commit, file.path), file.size, cached});
    result_.bytes += file.size;
    result_.cached += cached ? 1U : 0U;
  }

  PullResult take_from_cache() {
    const Repository& repository = request_.repository;
    const auto commit = cache_.read_ref(repository.revision);
    if (!commit) {
      fail(ErrorCode::kNotFound, "{} at '{}': HF_HUB_OFFLINE is set; expected it in {}, found nothing",
           repository.title(), repository.revision, settings_.cache.string());
    }
    result_.commit = *commit;
    std::vector<RemoteFile> files = cache_.files(*commit);
    std::erase_if(files, [&](const RemoteFile& file) { return !is_wanted(file.path, request_.patterns); });
    if (files.empty()) fail_no_match();
    choose(files);
    for (const RemoteFile& file : files) {
      if (file.etag.empty()) {
        result_.failed.push_back({file.path, "missing", "a link of the cache that leads nowhere"});
      } else {
        keep(file, true);
      }
    }
    return std::move(result_);
  }

  /// Leaves the files that the request chooses.
  void choose(std::vector<RemoteFile>& files) const {
    if (!request_.choose) return;
    std::vector<std::string> paths;
    for (const RemoteFile& file : files) paths.push_back(file.path);
    const std::vector<std::string> chosen = request_.choose(paths);
    std::erase_if(files, [&](const RemoteFile& file) { return std::ranges::find(chosen, file.path) == chosen.end(); });
  }

  /// What is there, what only lacks its link, what is to come.
  void sort_out(const Listing& listing) {
    for (const RemoteFile& file : listing.files) {
      context_.check_stop();
      if (cache_.has_file(listing.commit, file)) {
        keep(file, true);
      } else if (cache_.has_blob(file)) {
        if (!request_.dry_run) cache_.link(listing.commit, file);
        keep(file, true);
      } else {
        missing_.push_back(file);
      }
    }
  }

  void transfer_all() {
    if (missing_.empty()) return;
    std::uint64_t total = 0;
    for (const RemoteFile& file : missing_) total += file.size - cache_.bytes_held(file);
    check_disk(total);
    meter_ = std::make_unique<Meter>(context_, total, missing_.size());
    std::vector<std::jthread> threads;
    const auto count = std::min<std::size_t>(static_cast<std::size_t>(settings_.concurrency), missing_.size());
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    threads.clear();  // joins
    result_.transferred = meter_->transferred();
    context_.check_stop();
    if (trouble_) std::rethrow_exception(trouble_);
  }

  void check_disk(std::uint64_t total) const {
    std::error_code error;
    std::filesystem::create_directories(settings_.cache, error);
    const auto space = std::filesystem::space(settings_.cache, error);
    if (!error && space.available < total) {
      fail(ErrorCode::kResourceLimit, "{}: expected {} bytes of free disk, found {}", settings_.cache.string(), total,
           space.available);
    }
  }

  /// One thread: files one after the other, until there are none or one thread met what concerns all.
  void work() noexcept {
    try {
      HttpClient client(settings_, stop_.get_token());
      const TransferContext transfer{
          settings_, request_.repository, cache_,
          gate_,     stop_.get_token(),   [this](std::int64_t bytes) { meter_->move(bytes); }};
      for (std::size_t i = next_++; i < missing_.size() && !stop_.stop_requested(); i = next_++) {
        auto failure = transfer_file(client, transfer, result_.commit, missing_[i]);
        {
          const std::lock_guard lock(mutex_);
          if (failure) {
            result_.failed.push_back(std::move(*failure));
          } else {
            keep(missing_[i], false);
          }
        }
        meter_->end_file();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!trouble_) trouble_ = std::current_exception();
      stop_.request_stop();
    }
  }

  const HubSettings& settings_;
  const PullRequest& request_;
  const RunContext& context_;
  RepositoryCache cache_;
  std::stop_source stop_;  ///< the caller's stop, or a thread's trouble
  std::stop_callback<std::function<void()>> forward_stop_;
  RetryGate gate_;
  std::vector<RemoteFile> missing_;
  PullResult result_;
  std::unique_ptr<Meter> meter_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr trouble_;
};

}  // namespace

PullResult pull(const HubSettings& settings, const PullRequest& request, const RunContext& context) {
  settings.validate();
  request.repository.validate();
  return Pull(settings, request, context).run();
}

}  // namespace imagerank::hub
