#include "duplicates/fingerprints.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <new>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/hash.h"
#include "duplicates/queries.h"
#include "images/decode.h"
#include "images/perceptual_hash.h"

namespace imagerank::duplicates {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// An image file and what was made of it.
struct Item {
  std::int32_t r = 0;
  std::string image_uid;
  std::filesystem::path path;  ///< empty: there is none

  bool tried = false;
  std::string sha256;                 ///< of the bytes that were read
  std::optional<std::uint64_t> hash;  ///< empty: featureless
  std::optional<ItemFailure> failure;
};

void hash_file(Item& item) {
  item.tried = true;
  try {
    if (item.path.empty()) {
      item.failure = {item.image_uid, "not_fetched", "no file; run `imagerank fetch` first"};
      return;
    }
    const std::string bytes = load_file(item.path, images::DecodeLimits{}.max_file_bytes);
    item.hash = images::perceptual_hash(images::decode_image(std::as_bytes(std::span(bytes))));
    item.sha256 = sha256_hex(bytes);
  } catch (const Error& error) {
    item.failure = {item.image_uid, images::failure_reason(error.code()), error.what()};
  } catch (const std::bad_alloc&) {
    item.failure = {item.image_uid, "too_large", fmt::format("{}: out of memory", item.path.string())};
  }
}

/// Hashes on several threads; after a stop request some are left untried.
void hash_files(std::span<Item> items, const RunContext& context) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < items.size() && !context.stop.stop_requested(); i = next++) hash_file(items[i]);
  };
  std::vector<std::jthread> workers;
  for (int i = 1; i < context.thread_count(); ++i) workers.emplace_back(work);
  work();
}

class Hashing {
 public:
  Hashing(const workspace::Workspace& workspace, workspace::Database& database, double interval_s,
          const RunContext& context, ImageHashes& hashes)
      : workspace_(workspace), database_(database), interval_s_(interval_s), context_(context), hashes_(hashes) {}

  HashCounts run() {
    workspace_.attach_or_empty(database_, "fingerprints");
    database_.execute(queries::fingerprint(images::kPerceptualHashMethod));
    read_known();
    database_.execute(queries::unhashed());
    const std::int64_t total = database_.query_integer("SELECT count(*) FROM unhashed");
    const Clock::time_point start = Clock::now();
    constexpr std::int64_t kRows = 4096;
    for (std::int64_t first = 0; first < total; first += kRows) hash_rows(first, std::min(first + kRows, total), total);
    if (total != 0) {
      save();
      counts_.images_per_s = static_cast<double>(total) / std::max(seconds_since(start), 1e-9);
    }
    return std::move(counts_);
  }

 private:
  void read_known() {
    database_.for_each_chunk("SELECT r, perceptual_hash FROM fingerprint", [&](const workspace::Table& rows) {
      for (std::size_t i = 0; i < rows.row_count; ++i) {
        std::optional<std::uint64_t> hash;
        if (!rows.columns[1].null[i]) hash = std::bit_cast<std::uint64_t>(rows.columns[1].integer[i]);
        count(static_cast<std::size_t>(rows.columns[0].integer[i]), hash);
      }
      counts_.cached += static_cast<std::int64_t>(rows.row_count);
    });
  }

  void count(std::size_t r, std::optional<std::uint64_t> hash) {
    if (hash) {
      hashes_.set(r, *hash);
      ++counts_.hashed;
    } else {
      ++counts_.featureless;
    }
  }

  /// Rows [first, end) of `unhashed`, a few for each thread at a time.
  void hash_rows(std::int64_t first, std::int64_t end, std::int64_t total) {
    const workspace::Table rows = database_.query(queries::unhashed_rows(first, end));
    std::vector<Item> items(rows.row_count);
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].r = static_cast<std::int32_t>(rows.columns[0].integer[i]);
      items[i].image_uid = rows.columns[1].text[i];
      const std::string& path = rows.columns[2].text[i];
      if (!path.empty()) items[i].path = workspace_.root() / path;
    }
    const std::size_t step = 16 * static_cast<std::size_t>(context_.thread_count());
    for (std::size_t at = 0; at < items.size(); at += step) {
      const std::span<Item> some(items.data() + at, std::min(step, items.size() - at));
      hash_files(some, context_);
      keep(some);
      const auto done = static_cast<std::uint64_t>(first) + at + some.size();
      context_.report({"hash images", done, static_cast<std::uint64_t>(total), ""});
      if (context_.stop.stop_requested()) save();
      context_.check_stop();
      if (seconds_since(saved_) >= interval_s_) save();
    }
  }

  void keep(std::span<Item> items) {
    workspace::Database::Appender appender(database_, "fingerprint");
    for (Item& item : items) {
      if (!item.tried) continue;
      ++counts_.decoded;
      if (item.failure) {
        const std::string reason = item.failure->reason;
        ++counts_.failed[reason];
        counts_.examples.try_emplace(reason, std::move(*item.failure));
        continue;
      }
      appender.append(item.r);
      appender.append(item.sha256);
      if (item.hash) {
        appender.append(std::bit_cast<std::int64_t>(*item.hash));
      } else {
        appender.append_null();
      }
      appender.end_row();
      count(static_cast<std::size_t>(item.r), item.hash);
    }
    appender.close();
  }

  void save() {
    const Clock::time_point start = Clock::now();
    database_.write_parquet(queries::fingerprints_table(images::kPerceptualHashMethod),
                            workspace_.table_path("fingerprints"));
    constexpr double kShare = 20.0;
    interval_s_ = std::max(interval_s_, kShare * seconds_since(start));
    saved_ = Clock::now();
  }

  const workspace::Workspace& workspace_;
  workspace::Database& database_;
  double interval_s_;
  const RunContext& context_;
  ImageHashes& hashes_;
  HashCounts counts_;
  Clock::time_point saved_ = Clock::now();
};

}  // namespace

std::int64_t HashCounts::failures() const {
  std::int64_t sum = 0;
  for (const auto& [reason, count] : failed) sum += count;
  return sum;
}

HashCounts hash_images(const workspace::Workspace& workspace, workspace::Database& database,
                       double checkpoint_interval_s, const RunContext& context, ImageHashes& hashes) {
  return Hashing(workspace, database, checkpoint_interval_s, context, hashes).run();
}

}  // namespace imagerank::duplicates
