#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/tar.h"
#include "exports/export.h"
#include "exports/rows.h"

namespace imagerank::exports {
namespace {

using nlohmann::ordered_json;
using workspace::Table;

constexpr std::size_t kMostImageBytes = std::size_t{1} << 30;

/// One sample before it gets its key.
struct Sample {
  std::vector<std::string> image_paths;  ///< "" where there is no file
  std::string prompt;
  ordered_json row;
};

Sample point_sample(const Table& rows, std::size_t i) {
  Sample sample;
  sample.prompt = rows.columns[0].text[i];
  sample.image_paths = {rows.columns[1].text[i]};
  sample.row = {{"image_uid", rows.columns[2].text[i]},
                {"prompt", sample.prompt},
                {"label", rows.columns[3].integer[i]},
                {"split", rows.columns[4].text[i]}};
  return sample;
}

Sample ranking_sample(const Table& rows, std::size_t i) {
  Sample sample;
  sample.prompt = rows.columns[0].text[i];
  sample.image_paths = rows.columns[1].text_list[i];
  const auto& best = rows.column("best_image_uid");
  const auto& ranks = rows.column("ranks");
  sample.row = {{"ranking_id", rows.column("ranking_id").text[i]},
                {"dataset", rows.column("dataset").text[i]},
                {"official_split", rows.column("official_split").text[i]},
                {"created_at", rows.column("created_at").text[i]},
                {"user_id", rows.column("user_id").text[i]},
                {"prompt", sample.prompt},
                {"image_uids", rows.column("image_uids").text_list[i]},
                {"best_image_uid", best.null[i] ? ordered_json() : ordered_json(best.text[i])},
                {"ranks", ranks.null[i] ? ordered_json() : ordered_json(ranks.integer_list[i])},
                {"weight", rows.column("weight").real[i]}};
  return sample;
}

/// prompt, path or paths, then the row.
constexpr const char* kPointRows =
    "SELECT prompt, coalesce(path, '') AS path, image_uid, label, split FROM (SELECT *, row_number() OVER () AS number "
    "FROM source) LEFT JOIN present USING (image_uid) ORDER BY number";
constexpr const char* kRankingRows =
    "SELECT prompt, paths, ranking_id, dataset, official_split, created_at, user_id, image_uids, best_image_uid, "
    "ranks, "
    "weight FROM numbered JOIN (SELECT number, list(coalesce(path, '') ORDER BY place) AS paths FROM (SELECT number, "
    "unnest(image_uids) AS image_uid, generate_subscripts(image_uids, 1) AS place FROM numbered) LEFT JOIN present "
    "USING (image_uid) GROUP BY number) USING (number) ORDER BY number";

std::string extension_of(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  if (extension.empty() || extension.size() > 8) return ".bin";
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension == ".jpeg" ? ".jpg" : extension;
}

class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& folder, const ExportSettings& settings)
      : folder_(folder), settings_(settings) {}

  void add(const Sample& sample) {
    std::vector<std::pair<std::string, std::string>> images;
    for (std::size_t i = 0; i < sample.image_paths.size(); ++i) {
      const std::string& path = sample.image_paths[i];
      if (path.empty()) {
        if (settings_.allow_missing) continue;
        return skip("missing_image");
      }
      const std::string place = sample.row.contains("image_uids") ? fmt::format(".{}", i) : std::string();
      try {
        images.emplace_back(fmt::format("{}{}", place, extension_of(path)), load_file(path, kMostImageBytes));
      } catch (const Error&) {
        return skip("unreadable_image");
      }
    }
    write(sample, images);
  }

  ExportCounts finish() {
    if (tar_) tar_->finish();
    tar_.reset();
    return counts_;
  }
  [[nodiscard]] const ExportCounts& counts() const noexcept { return counts_; }

 private:
  void skip(const char* reason) { ++counts_.skipped[reason]; }

  void write(const Sample& sample, const std::vector<std::pair<std::string, std::string>>& images) {
    if (counts_.rows % settings_.shard_size == 0) {
      if (tar_) tar_->finish();
      tar_.emplace(folder_ / fmt::format("{:05}.tar", counts_.files++));
    }
    const std::string key = fmt::format("{:09}", counts_.rows++);
    for (const auto& [suffix, bytes] : images) tar_->add(fmt::format("{}{}", key, suffix), bytes);
    tar_->add(fmt::format("{}.txt", key), sample.prompt);
    tar_->add(fmt::format("{}.json", key), sample.row.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  }

  const std::filesystem::path& folder_;
  const ExportSettings& settings_;
  std::optional<TarWriter> tar_;
  ExportCounts counts_;
};

}  // namespace

ExportCounts export_webdataset(const workspace::Workspace& workspace, const ExportSettings& settings,
                               const std::filesystem::path& out, const RunContext& context) {
  const bool rankings = settings.table == "rankings";
  if (!rankings && settings.table != "points")
    fail(ErrorCode::kInvalidArgument, "--table: webdataset expects points or rankings, found '{}'", settings.table);
  constexpr std::int64_t kMostSamples = 1000000000;
  if (settings.shard_size < 1 || settings.shard_size > kMostSamples)
    fail(ErrorCode::kInvalidArgument, "--shard-size: expected 1 to {}, found {}", kMostSamples, settings.shard_size);
  AtomicFolder folder(out, settings.overwrite);
  Rows rows(workspace, settings, context);
  rows.find_images();
  workspace::Database& database = rows.database();
  if (rankings) database.execute("CREATE TABLE numbered AS SELECT row_number() OVER () AS number, * FROM source");
  const auto total = static_cast<std::uint64_t>(database.query_integer("SELECT count(*) FROM source"));
  ShardWriter writer(folder.path(), settings);
  std::uint64_t done = 0;
  database.for_each_chunk(rankings ? kRankingRows : kPointRows, [&](const Table& chunk) {
    for (std::size_t i = 0; i < chunk.row_count; ++i) {
      context.check_stop();
      writer.add(rankings ? ranking_sample(chunk, i) : point_sample(chunk, i));
      context.report({"export", ++done, total, fmt::format("{} shards", writer.counts().files)});
    }
  });
  ExportCounts counts = writer.finish();
  require_rows(counts, settings);
  folder.commit();
  return counts;
}

}  // namespace imagerank::exports
