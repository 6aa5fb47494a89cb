#include "duplicates/duplicates.h"

#include <bit>
#include <utility>

#include "core/fail.h"
#include "duplicates/groups.h"
#include "duplicates/near_pairs.h"
#include "duplicates/queries.h"
#include "workspace/database.h"

namespace imagerank::duplicates {
namespace {

class Finding {
 public:
  Finding(const workspace::Workspace& workspace, const DuplicateSettings& settings, const RunContext& context)
      : workspace_(workspace), settings_(settings), context_(context), database_(context.threads, workspace.root()) {}

  Duplicates run() {
    database_.execute("SET memory_limit = '2GB'");
    read_tables();
    database_.execute(queries::exact_set());
    context_.check_stop();
    if (settings_.perceptual) look_alike();
    database_.execute(queries::member(settings_.perceptual));
    describe("exact", "exact_set", result_.exact);
    if (result_.perceptual) describe("perceptual", "near_set", result_.perceptual->groups);
    context_.check_stop();
    if (!settings_.csv.empty()) database_.write_csv(queries::csv(), settings_.csv);
    return std::move(result_);
  }

 private:
  void read_tables() {
    workspace_.attach(database_, "images");
    for (const char* table : {"rankings", "points", "pairs"}) workspace_.attach_or_empty(database_, table);
    database_.execute(queries::image());
    result_.images = database_.query_integer("SELECT count(*) FROM image");
    result_.other_images = database_.query_integer("SELECT count(*) FROM images") - result_.images;
    result_.without_sha256 = database_.query_integer("SELECT count(*) FROM image WHERE sha256 = ''");
    if (result_.images == 0) {
      fail(ErrorCode::kNotFound, "{}: expected images with status ok, found 0 of {}; run `imagerank fetch --data {}`",
           workspace_.table_path("images").string(), result_.other_images, workspace_.root().string());
    }
    if (!workspace_.has_table("points") && !workspace_.has_table("pairs")) return;
    database_.execute(queries::test_image());
    result_.test_images = database_.query_integer("SELECT count(*) FROM test_image");
  }

  /// near_set, and what is known of hashing.
  void look_alike() {
    PerceptualCounts& counts = result_.perceptual.emplace();
    counts.distance = settings_.distance;
    const auto images = static_cast<std::size_t>(result_.images);
    ImageHashes hashes(images);
    counts.hashes = hash_images(workspace_, database_, settings_.checkpoint_interval_s, context_, hashes);
    ImageSets sets(images);
    database_.for_each_chunk("SELECT r, first FROM exact_set", [&](const workspace::Table& rows) {
      for (std::size_t i = 0; i < rows.row_count; ++i) {
        sets.join(static_cast<std::uint32_t>(rows.columns[0].integer[i]),
                  static_cast<std::uint32_t>(rows.columns[1].integer[i]));
      }
    });
    share_hashes(sets, hashes);
    const std::size_t distinct = join_near(hashes, settings_.distance, context_, sets);
    counts.pairs_by_chance = near_pairs_by_chance(distinct, settings_.distance);
    append_sets(sets, hashes);
    database_.execute(queries::near_set());
  }

  void append_sets(ImageSets& sets, const ImageHashes& hashes) {
    const std::vector<std::uint32_t> sizes = set_sizes(sets);
    database_.execute("CREATE TABLE joined (r INTEGER, first INTEGER, distance INTEGER)");
    workspace::Database::Appender appender(database_, "joined");
    for (std::uint32_t r = 0; r < sets.size(); ++r) {
      const std::uint32_t first = sets.root(r);
      if (sizes[first] < 2) continue;
      appender.append(static_cast<std::int32_t>(r));
      appender.append(static_cast<std::int32_t>(first));
      appender.append(static_cast<std::int32_t>(std::popcount(hashes.bits[r] ^ hashes.bits[first])));
      appender.end_row();
    }
    appender.close();
  }

  void describe(const char* kind, const char* set, GroupCounts& counts) {
    constexpr std::size_t kGroups = 3, kUids = 3;
    const workspace::Table totals = database_.query(queries::counts(kind));
    counts.groups = totals.columns[0].integer[0];
    counts.images = totals.columns[1].integer[0];
    counts.rankings = database_.query_integer(queries::rankings_with_two(set));
    if (result_.test_images) counts.test_in_train = database_.query_integer(queries::test_in_train(set));
    const workspace::Table groups = database_.query(queries::largest(kind, kGroups, kUids));
    for (std::size_t i = 0; i < groups.row_count; ++i) {
      counts.largest.push_back(
          {groups.columns[0].integer[i], groups.columns[1].integer[i], groups.columns[2].text_list[i]});
    }
  }

  const workspace::Workspace& workspace_;
  const DuplicateSettings& settings_;
  const RunContext& context_;
  workspace::Database database_;
  Duplicates result_;
};

}  // namespace

void DuplicateSettings::validate() const {
  if (distance < 0 || distance > kMaxDistance)
    fail(ErrorCode::kInvalidArgument, "--distance: expected 0 to {}, found {}", kMaxDistance, distance);
}

Duplicates find_duplicates(const workspace::Workspace& workspace, const DuplicateSettings& settings,
                           const RunContext& context) {
  settings.validate();
  return Finding(workspace, settings, context).run();
}

}  // namespace imagerank::duplicates
