#include "fetch/recorder.h"

#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "images/encode.h"
#include "images/resize.h"

namespace imagerank::fetch {
namespace {

/// Items that may wait for a thread: all that may be under way.
constexpr std::size_t kQueued = kMostOpen;

/// The whole picture at `shorter` pixels on its shorter side.
images::Image shrink(const images::Image& image, std::int32_t shorter) {
  const double scale = static_cast<double>(shorter) / std::min(image.width, image.height);
  const auto scaled = [&](std::int32_t size) {
    return std::max<std::int32_t>(1, static_cast<std::int32_t>(std::lround(size * scale)));
  };
  const std::int32_t width = scaled(image.width);
  const std::int32_t height = scaled(image.height);
  return images::resize_bicubic_window(image, width, height, {0, 0, width, height});
}

}  // namespace

Recorder::Recorder(const workspace::Workspace& workspace, const FetchSettings& settings, const RunContext& context,
                   FetchLedger& ledger, FetchCounts& counts)
    : workspace_(workspace),
      settings_(settings),
      context_(context),
      ledger_(ledger),
      counts_(counts),
      queue_(kQueued),
      started_(std::chrono::steady_clock::now()) {
  if (settings.shards > 0) shards_.emplace(workspace, settings.shards);
  for (int i = 0; i < context.thread_count(); ++i) threads_.emplace_back([this] { work(); });
}

Recorder::~Recorder() { queue_.close(); }

void Recorder::add(Fetched&& fetched) {
  rethrow();
  if (fetched.ok() && !fetched.not_modified) {
    queue_.push(std::move(fetched));
    return;
  }
  const Wanted& wanted = fetched.wanted;
  const std::lock_guard lock(mutex_);
  if (fetched.not_modified) {
    counts_.unchanged += wanted.copies;
  } else if (wanted.has_file) {
    counts_.skipped += wanted.copies;
    counts_.refresh_failed += wanted.copies;
  } else {
    ledger_.append({wanted.image_uid, wanted.url, fetched.reason, "", "", 0, 0, "", ""});
    record_failure({wanted.image_uid, wanted.url, fetched.detail}, fetched.reason, wanted.copies);
  }
  report();
}

void Recorder::add(LocalFile&& file) {
  rethrow();
  queue_.push(std::move(file));
}

void Recorder::fail(const FetchExample& row, const std::string& reason, bool known) {
  const std::lock_guard lock(mutex_);
  if (!known) ledger_.append({row.image_uid, "", reason, "", "", 0, 0, "", ""});
  ++counts_.failed[reason];
  counts_.examples.try_emplace(reason, row);
}

void Recorder::skip() {
  const std::lock_guard lock(mutex_);
  ++counts_.skipped;
}

void Recorder::not_retried(const FetchExample& row, const std::string& reason) {
  fail({row.image_uid, row.url, "failed in an earlier run; --retry-failed tries again"}, reason, true);
  const std::lock_guard lock(mutex_);
  ++counts_.not_retried;
}

void Recorder::finish() {
  queue_.close();
  threads_.clear();
  rethrow();
  if (!shards_) return;
  shards_->finish();
  counts_.shards.files = shards_->shards();
}

void Recorder::rethrow() {
  const std::lock_guard lock(mutex_);
  if (problem_) std::rethrow_exception(problem_);
}

void Recorder::work() {
  while (auto item = queue_.pop()) {
    try {
      if (auto* fetched = std::get_if<Fetched>(&*item)) {
        store(*fetched);
      } else {
        check(std::get<LocalFile>(*item));
      }
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        if (!problem_) problem_ = std::current_exception();
      }
      queue_.close();  // whoever waits for room must not wait for ever
    }
  }
}

Recorder::Stored Recorder::examine(const Fetched& fetched, std::string& shrunk) const {
  Stored stored;
  stored.kept = fetched.body.text();
  images::Inspection file = fetched.file;
  if (settings_.decode || settings_.resize > 0) {
    try {
      const images::Image image = images::decode_image(fetched.body.bytes());
      if (settings_.resize > 0 && std::min(image.width, image.height) > settings_.resize) {
        const images::Image small = shrink(image, settings_.resize);
        constexpr int kQuality = 95;
        shrunk = images::encode_jpeg(small, kQuality);
        stored.kept = shrunk;
        file = {"", "", images::ImageFormat::kJpeg, small.width, small.height};
      }
    } catch (const Error& error) {
      stored.reason = images::failure_reason(error.code());
      stored.detail = error.what();
      return stored;
    }
  }
  const Wanted& wanted = fetched.wanted;
  stored.format = file.format;
  stored.entry = {wanted.image_uid, wanted.url,           "ok", "", sha256_hex(stored.kept), file.width, file.height,
                  fetched.etag,     fetched.last_modified};
  return stored;
}

void Recorder::store(Fetched& fetched) {
  const Wanted& wanted = fetched.wanted;
  std::string shrunk;
  Stored stored = examine(fetched, shrunk);
  const auto size = static_cast<std::int64_t>(fetched.body.size());
  const std::string extension(images::file_extension(stored.format));
  if (stored.reason.empty() && !shards_) {
    stored.entry.path = workspace::Workspace::image_path(wanted.image_uid, extension).string();
    // The tables' writer flushes them all at once.
    write_file_atomically(workspace_.root() / stored.entry.path, stored.kept, false);
  }
  if (!shards_) fetched.body.clear();
  const std::lock_guard lock(mutex_);
  if (!stored.reason.empty() && wanted.has_file) {
    counts_.skipped += wanted.copies;
    counts_.refresh_failed += wanted.copies;
  } else if (!stored.reason.empty()) {
    ledger_.append({wanted.image_uid, wanted.url, stored.reason, "", "", 0, 0, "", ""});
    record_failure({wanted.image_uid, wanted.url, stored.detail}, stored.reason, wanted.copies);
  } else {
    // Shard and ledger under one lock, so that a kill leaves no image before the last that the ledger lacks.
    if (shards_) stored.entry.path = shards_->add(stored.entry, extension, stored.kept);
    ledger_.append(stored.entry);
    counts_.ok += wanted.copies;
    counts_.bytes += size;
  }
  report();
}

void Recorder::check(const LocalFile& file) {
  images::Inspection found;
  std::string sha256;
  try {
    const std::string bytes = load_file(workspace_.root() / file.path, settings_.network.max_image_bytes);
    found = images::inspect_image(std::as_bytes(std::span(bytes)));
    if (found.ok() && settings_.decode) static_cast<void>(images::decode_image(std::as_bytes(std::span(bytes))));
    if (found.ok()) sha256 = sha256_hex(bytes);
    if (found.ok() && !file.sha256.empty() && file.sha256 != sha256) {
      found.reason = "checksum";
      found.detail = fmt::format("{}: expected SHA-256 {}, found {}", file.path, file.sha256, sha256);
    }
  } catch (const Error& error) {
    found.reason = images::failure_reason(error.code());
    found.detail = error.what();
  }
  const std::lock_guard lock(mutex_);
  if (found.ok()) {
    ledger_.append({file.image_uid, "", "ok", file.path, sha256, found.width, found.height, "", ""});
    ++counts_.ok;
  } else if (file.offered) {
    ++counts_.shards.broken[found.reason];
    counts_.shards.examples.try_emplace(found.reason, FetchExample{file.image_uid, file.path, found.detail});
  } else {
    ledger_.append({file.image_uid, "", found.reason, "", "", 0, 0, "", ""});
    record_failure({file.image_uid, "", found.detail}, found.reason, 1);
  }
  report();
}

void Recorder::record_failure(const FetchExample& row, const std::string& reason, std::int64_t copies) {
  counts_.failed[reason] += copies;
  counts_.examples.try_emplace(reason, row);
}

void Recorder::report() {
  ++done_;
  constexpr std::chrono::milliseconds kInterval(200);
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_ < kInterval && done_ != expected_) return;
  reported_ = now;
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - started_).count());
  std::string note = fmt::format("{:.1f} MB/s", static_cast<double>(counts_.bytes) / 1e6 / seconds);
  for (const auto& [reason, count] : counts_.failed) note += fmt::format(", {} {}", count, reason);
  context_.report(
      {"fetch images", static_cast<std::uint64_t>(done_), static_cast<std::uint64_t>(expected_), std::move(note)});
}

}  // namespace imagerank::fetch
