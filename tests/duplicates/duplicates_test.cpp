#include "duplicates/duplicates.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <span>
#include <stop_token>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/random.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::duplicates {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using workspace::Workspace;
using Counts = std::map<std::string, std::int64_t>;

/// A smooth picture, another for each seed.
images::Image scene(std::uint64_t seed) {
  Random random(seed);
  images::Image small{8, 8, {}};
  for (int i = 0; i < 3 * 64; ++i) small.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return images::resize_bicubic(small, 160, 120);
}

images::Image flat(std::uint8_t level) { return {40, 30, std::vector<std::uint8_t>(std::size_t{3} * 40 * 30, level)}; }

class DuplicatesTest : public ::testing::Test {
 protected:
  /// An image row with its file; bytes that are no image are as good.
  void add(const std::string& uid, const std::string& bytes, const std::string& status = "ok") {
    workspace::Image row;
    row.image_uid = uid;
    row.path = "images/" + uid;
    row.status = status;
    row.sha256 = sha256_hex(bytes);
    test::write_text(workspace_.root() / row.path, bytes);
    rows_.push_back(std::move(row));
  }
  void add(const std::string& uid, const images::Image& image) { add(uid, images::encode_png(image)); }
  /// Rows of points.parquet: (image, split).
  void label(const std::vector<std::pair<std::string, std::string>>& points) const {
    workspace::Database database;
    database.execute("CREATE TABLE p (image_uid VARCHAR, prompt VARCHAR, label INTEGER, split VARCHAR)");
    for (const auto& [uid, split] : points)
      database.execute(fmt::format("INSERT INTO p VALUES ('{}', 'p', 0, '{}')", uid, split));
    database.write_parquet("SELECT * FROM p", workspace_.table_path("points"));
  }
  void pair(const std::string& a, const std::string& b, const std::string& split) const {
    workspace::Database database;
    database.write_parquet(fmt::format("SELECT 'r' AS ranking_id, 'u' AS user_id, 'p' AS prompt, '{}' AS image_a, '{}' "
                                       "AS image_b, 1.0::DOUBLE AS p_a, 1.0::DOUBLE AS weight, '{}' AS split",
                                       a, b, split),
                           workspace_.table_path("pairs"));
  }
  [[nodiscard]] Duplicates find(const DuplicateSettings& settings = {}, const RunContext& context = {}) const {
    workspace_.write_images(rows_);
    return find_duplicates(workspace_, settings, context);
  }
  [[nodiscard]] Duplicates find_alike(int distance = 6) const {
    DuplicateSettings settings;
    settings.perceptual = true;
    settings.distance = distance;
    return find(settings);
  }
  [[nodiscard]] std::int64_t kept_hashes() const {
    workspace::Database database;
    workspace_.attach_or_empty(database, "fingerprints");
    return database.query_integer("SELECT count(*) FROM fingerprints");
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_.path());
  std::vector<workspace::Image> rows_;
};

TEST_F(DuplicatesTest, ExactGroupsByHand) {
  for (const char* uid : {"d", "a", "c"}) add(uid, "one");
  for (const char* uid : {"b", "e"}) add(uid, "two");
  add("f", "three");
  add("g", "one", "http_404");
  add("h", "four");
  add("i", "four");
  rows_.back().sha256 = "";
  const Duplicates found = find();
  EXPECT_EQ(found.images, 8);
  EXPECT_EQ(found.other_images, 1);
  EXPECT_EQ(found.without_sha256, 1);
  EXPECT_EQ(found.exact.groups, 2);
  EXPECT_EQ(found.exact.images, 5);
  EXPECT_EQ(found.exact.extra(), 3);
  EXPECT_FALSE(found.perceptual.has_value());
  EXPECT_FALSE(found.test_images.has_value());
  ASSERT_EQ(found.exact.largest.size(), 2U);
  EXPECT_THAT(found.exact.largest[0].image_uids, ElementsAre("a", "c", "d"));
  EXPECT_THAT(found.exact.largest[1].image_uids, ElementsAre("b", "e"));
  EXPECT_FALSE(workspace_.has_table("fingerprints")) << "nothing was decoded";
}

TEST_F(DuplicatesTest, NothingTwice) {
  for (const char* uid : {"a", "b"}) add(uid, uid);
  const Duplicates found = find();
  EXPECT_EQ(found.exact.groups, 0);
  EXPECT_EQ(found.exact.extra(), 0);
  EXPECT_THAT(found.exact.largest, IsEmpty());
}

/// a, b, c are one picture; d, e another. Only another uid counts.
TEST_F(DuplicatesTest, WhatStandsInTrainAndTest) {
  for (const char* uid : {"a", "b", "c"}) add(uid, "one");
  for (const char* uid : {"d", "e"}) add(uid, "two");
  add("f", "three");
  // a is in train; b in test. d itself is in both, e in neither. f in test only.
  label({{"a", "train"},
         {"b", "test"},
         {"b", "test"},
         {"d", "train"},
         {"d", "test"},
         {"f", "test"},
         {"e", "validation"}});
  Duplicates found = find();
  EXPECT_EQ(found.test_images, 3);
  EXPECT_EQ(found.exact.test_in_train, 1);
  // Pairs count too: c in test, e in train.
  pair("c", "f", "test");
  found = find();
  EXPECT_EQ(found.test_images, 4);
  EXPECT_EQ(found.exact.test_in_train, 2);
  pair("e", "f", "train");
  found = find();
  EXPECT_EQ(found.test_images, 3);
  EXPECT_EQ(found.exact.test_in_train, 2) << "b by a, d by e";
  std::filesystem::remove(workspace_.table_path("points"));
  EXPECT_EQ(find().test_images, 0);
}

TEST_F(DuplicatesTest, RankingsThatHoldOneImageTwice) {
  for (const char* uid : {"a", "b"}) add(uid, "one");
  for (const char* uid : {"c", "d"}) add(uid, uid);
  std::vector<workspace::Ranking> rankings;
  const std::vector<std::vector<std::string>> lists = {{"a", "c"},      {"a", "b"}, {"c", "c"},
                                                       {"b", "a", "b"}, {"c", "d"}, {"unknown", "unknown"}};
  for (const auto& uids : lists) {
    workspace::Ranking row;
    row.ranking_id = fmt::format("{}", rankings.size());
    row.dataset = "d";
    row.image_uids = uids;
    rankings.push_back(row);
  }
  workspace_.write_rankings(rankings);
  EXPECT_EQ(find().exact.rankings, 4);
}

TEST_F(DuplicatesTest, PicturesThatLookAlike) {
  add("a", scene(1));
  add("b", images::encode_jpeg(scene(1), 60));
  add("c", images::resize_bicubic(scene(1), 64, 64));
  add("copy", scene(2));
  add("copy2", scene(2));
  add("other", scene(3));
  add("black", flat(0));
  add("white", flat(255));
  add("page", "<html>");
  add("gone", scene(4));
  std::filesystem::remove(workspace_.root() / "images/gone");
  add("nowhere", scene(5));
  rows_.back().path = "";
  label({{"a", "train"}, {"c", "test"}, {"copy", "train"}, {"copy2", "test"}, {"white", "train"}, {"black", "test"}});
  const Duplicates found = find_alike();
  EXPECT_EQ(found.exact.groups, 1);
  EXPECT_EQ(found.exact.test_in_train, 1);
  ASSERT_TRUE(found.perceptual.has_value());
  const HashCounts& hashes = found.perceptual->hashes;
  EXPECT_EQ(hashes.hashed, 6);
  EXPECT_EQ(hashes.featureless, 2);
  EXPECT_EQ(hashes.failed, (Counts{{"corrupt", 1}, {"missing", 1}, {"not_fetched", 1}}));
  EXPECT_EQ(hashes.failures(), 3);
  EXPECT_EQ(hashes.examples.at("corrupt").item, "page");
  EXPECT_EQ(hashes.decoded, 11);
  EXPECT_EQ(hashes.cached, 0);
  const GroupCounts& groups = found.perceptual->groups;
  EXPECT_EQ(groups.groups, 1) << "equal files are no perceptual group, flat ones none at all";
  EXPECT_EQ(groups.images, 3);
  EXPECT_EQ(groups.test_in_train, 2) << "c by a, copy2 by copy";
  EXPECT_THAT(groups.largest.at(0).image_uids, ElementsAre("a", "b", "c"));
}

TEST_F(DuplicatesTest, CopiesAndNearOnesAreOneGroup) {
  add("a", images::encode_jpeg(scene(1), 60));
  add("b", scene(1));
  add("c", scene(1));
  add("d", scene(1));
  std::filesystem::remove(workspace_.root() / "images/c");  // its bytes are known, its picture is b's
  DuplicateSettings settings;
  settings.perceptual = true;
  settings.csv = folder_ / "groups.csv";
  const Duplicates found = find(settings);
  EXPECT_EQ(found.exact.images, 3);
  EXPECT_EQ(found.perceptual->groups.images, 4);
  const auto lines = test::lines_of(settings.csv);
  ASSERT_EQ(lines.size(), 8U);
  EXPECT_THAT(
      std::vector(lines.begin(), lines.begin() + 5),
      ElementsAre("image_uid,group,kind,distance", "b,1,exact,0", "c,1,exact,0", "d,1,exact,0", "a,2,perceptual,0"));
  for (std::size_t i = 5; i < 8; ++i) EXPECT_EQ(lines[i].substr(1, 14), ",2,perceptual,") << lines[i];
  EXPECT_EQ(lines[5].substr(1), lines[6].substr(1));
}

TEST_F(DuplicatesTest, DistanceZeroIsOnlyEqualHashes) {
  add("a", scene(1));
  images::Image touched = scene(1);
  touched.pixels[0] ^= 1U;
  add("b", touched);
  add("c", scene(2));
  EXPECT_EQ(find_alike(0).perceptual->groups.images, 2);
}

TEST_F(DuplicatesTest, ASecondRunDecodesOnlyWhatChanged) {
  for (int i = 0; i < 20; ++i) add(fmt::format("i{}", i), scene(static_cast<std::uint64_t>(i)));
  add("flat", flat(9));
  EXPECT_EQ(find_alike().perceptual->hashes.decoded, 21);
  const auto before = load_file(workspace_.table_path("fingerprints"));
  HashCounts again = find_alike().perceptual->hashes;
  EXPECT_EQ(again.decoded, 0);
  EXPECT_EQ(again.cached, 21);
  EXPECT_EQ(again.hashed, 20);
  EXPECT_EQ(again.featureless, 1);
  EXPECT_EQ(load_file(workspace_.table_path("fingerprints")), before);

  rows_.erase(rows_.begin());
  add("new", scene(77));
  add("i3", scene(88));  // other bytes under the same uid
  rows_.erase(rows_.begin() + 2);
  again = find_alike().perceptual->hashes;
  EXPECT_EQ(again.decoded, 2);
  EXPECT_EQ(again.cached, 19);
  EXPECT_EQ(kept_hashes(), 21);
}

TEST_F(DuplicatesTest, HashesOfAnotherMethodAreMadeAgain) {
  for (int i = 0; i < 3; ++i) add(fmt::format("i{}", i), scene(static_cast<std::uint64_t>(i)));
  static_cast<void>(find_alike());
  workspace::Database database;
  workspace_.attach(database, "fingerprints");
  database.execute("CREATE TABLE old AS SELECT * REPLACE ('dct-64-0' AS method) FROM fingerprints");
  database.write_parquet("SELECT * FROM old", workspace_.table_path("fingerprints"));
  EXPECT_EQ(find_alike().perceptual->hashes.decoded, 3);
  EXPECT_EQ(find_alike().perceptual->hashes.decoded, 0);
}

TEST_F(DuplicatesTest, AStopKeepsWhatWasDone) {
  for (int i = 0; i < 60; ++i) add(fmt::format("i{:02}", i), scene(static_cast<std::uint64_t>(i)));
  std::stop_source source;
  RunContext context;
  context.threads = 1;
  context.stop = source.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done >= 32) source.request_stop();
  };
  DuplicateSettings settings;
  settings.perceptual = true;
  settings.checkpoint_interval_s = 1e9;
  try {
    static_cast<void>(find(settings, context));
    FAIL() << "expected it to stop";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  const HashCounts rest = find_alike().perceptual->hashes;
  EXPECT_EQ(rest.cached, 32);
  EXPECT_EQ(rest.decoded, 28);
  EXPECT_EQ(rest.hashed, 60);
}

TEST_F(DuplicatesTest, AKillKeepsTheLastCheckpoint) {
  for (int i = 0; i < 60; ++i) add(fmt::format("i{:02}", i), scene(static_cast<std::uint64_t>(i)));
  DuplicateSettings settings;
  settings.perceptual = true;
  settings.checkpoint_interval_s = 0.0;
  RunContext context;
  context.threads = 1;
  context.progress = [](const Progress& progress) {
    if (progress.done > 16) std::raise(SIGKILL);
  };
  EXPECT_EXIT(static_cast<void>(find(settings, context)), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(kept_hashes(), 16);
  const HashCounts rest = find_alike().perceptual->hashes;
  EXPECT_EQ(rest.cached, 16);
  EXPECT_EQ(rest.decoded, 44);
  EXPECT_EQ(kept_hashes(), 60);
}

TEST_F(DuplicatesTest, ThreadsMakeNoDifference) {
  for (int i = 0; i < 50; ++i) add(fmt::format("i{:02}", i), scene(static_cast<std::uint64_t>(i % 30)));
  for (int i = 0; i < 30; i += 3)
    add(fmt::format("j{:02}", i), images::encode_jpeg(scene(static_cast<std::uint64_t>(i)), 50));
  DuplicateSettings settings;
  settings.perceptual = true;
  std::vector<std::vector<std::string>> files;
  for (const int threads : {1, 4}) {
    std::filesystem::remove(workspace_.table_path("fingerprints"));
    settings.csv = folder_ / fmt::format("{}.csv", threads);
    RunContext context;
    context.threads = threads;
    const Duplicates found = find(settings, context);
    EXPECT_EQ(found.exact.groups, 20);
    EXPECT_EQ(found.perceptual->groups.groups, 10);
    files.push_back(test::lines_of(settings.csv));
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_GT(files[0].size(), 60U);
}

TEST_F(DuplicatesTest, NoImagesNoneFetchedBrokenTables) {
  const auto message = [&](const DuplicateSettings& settings) -> std::string {
    try {
      static_cast<void>(find_duplicates(workspace_, settings, {}));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  DuplicateSettings settings;
  settings.perceptual = true;
  EXPECT_THAT(message(settings), HasSubstr("imagerank import"));
  add("a", "x", "http_404");
  workspace_.write_images(rows_);
  EXPECT_THAT(message(settings), HasSubstr("expected images with status ok, found 0 of 1; run `imagerank fetch"));
  add("b", scene(1));
  workspace_.write_images(rows_);
  test::write_text(workspace_.table_path("fingerprints"), "no table");
  EXPECT_THAT(message(settings), HasSubstr("fingerprints.parquet: expected a Parquet table"));
  EXPECT_EQ(message({}), "no error") << "without --perceptual the table is not read";
  test::write_text(workspace_.table_path("points"), "no table");
  EXPECT_THAT(message({}), HasSubstr("points.parquet"));
  for (const int distance : {-1, 17}) {
    settings.distance = distance;
    EXPECT_THAT(message(settings), HasSubstr("--distance: expected 0 to 16, found"));
  }
}

}  // namespace
}  // namespace imagerank::duplicates
