#include "preferences/import.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::preferences {
namespace {

using workspace::Database;
using workspace::Workspace;

constexpr const char* kRankingColumns =
    "t(ranking_id, created_at, user_id, image_1_uid, image_2_uid, image_3_uid, image_4_uid, best_image_uid, prompt)";

class ImportTest : public ::testing::Test {
 protected:
  ImportCounts import_v0(const std::vector<std::filesystem::path>& files) {
    return import_files(workspace_, format_of("pickapic-v0"), files, {}, {});
  }
  std::filesystem::path write(const std::string& name, const std::string& select) {
    Database database;
    database.write_parquet(select, folder_ / name);
    return folder_ / name;
  }
  std::filesystem::path write_rankings(const std::string& values) {
    return write("rankings-in.parquet", "SELECT * FROM (VALUES " + values + ") " + kRankingColumns);
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_ / "w");
};

TEST_F(ImportTest, RankingsAndImagesInAnyOrderAndTwice) {
  const auto rankings = write_rankings(
      "(1, TIMESTAMP '2023-01-02 03:04:05', 9, 'a', 'b', 'c', 'd', 'b', 'cat'), (2, NULL, 9, 'a', 'b', 'c', 'd', "
      "'none', NULL)");
  const auto images =
      write("images-in.parquet", "SELECT 'a' AS image_uid, 'http://x/a.png' AS url, 'sd' AS generator, 3 AS rating");
  for (int round = 0; round < 2; ++round) {
    const ImportCounts counts = import_v0({images, rankings});
    EXPECT_EQ(counts.rankings, 2);
    EXPECT_EQ(counts.images, 4);
    EXPECT_EQ(counts.ties, 1);
    EXPECT_EQ(counts.added_rankings, round == 0 ? 2 : 0);
    EXPECT_TRUE(counts.skipped.empty());
    EXPECT_EQ(counts.ignored_columns, std::vector<std::string>({"rating"}));
  }
  const auto rows = workspace_.load_rankings();
  ASSERT_EQ(rows.size(), 2U);
  const auto& first = rows[0].ranking_id == "1" ? rows[0] : rows[1];
  const auto& second = rows[0].ranking_id == "1" ? rows[1] : rows[0];
  EXPECT_EQ(first.created_at, "2023-01-02 03:04:05");
  EXPECT_EQ(first.best_image_uid, "b");
  EXPECT_EQ(first.image_uids, std::vector<std::string>({"a", "b", "c", "d"}));
  EXPECT_EQ(second.best_image_uid, std::nullopt);
  EXPECT_EQ(second.prompt, "");
  const auto stored = workspace_.load_images();
  EXPECT_EQ(stored[0].image_uid, "a");
  EXPECT_EQ(stored[0].url, "http://x/a.png");
  EXPECT_EQ(stored[0].model, "sd");
  EXPECT_EQ(stored[1].url, "");
}

TEST_F(ImportTest, AnImagesTableFillsInWhatRankingsOnlyNamed) {
  import_v0({write_rankings("(1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'cat')")});
  import_v0({write("i.parquet", "SELECT 'b' AS image_uid, 'http://x/b.png' AS url")});
  const auto images = workspace_.load_images();
  ASSERT_EQ(images.size(), 4U);
  EXPECT_EQ(images[1].url, "http://x/b.png");
}

TEST_F(ImportTest, SecondImportKeepsWhatFetchRecorded) {
  const auto source = write("i.parquet", "SELECT 'b' AS image_uid, 'http://x/b.png' AS url");
  import_v0({source, write_rankings("(1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'cat')")});
  auto images = workspace_.load_images();
  images[1].status = "ok";
  images[1].path = "images/00/b.png";
  workspace_.write_images(images);
  import_v0({source});
  EXPECT_EQ(workspace_.load_images()[1].status, "ok");
}

TEST_F(ImportTest, UnusableRowsAreCountedByReason) {
  const auto source = write_rankings(
      "(1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'good'), (2, NULL, 9, 'a', NULL, NULL, NULL, 'a', 'one image'), "
      "(3, NULL, 9, 'a', 'b', 'c', 'd', 'z', 'best elsewhere'), (4, NULL, 9, 'a', 'b', 'c', 'd', NULL, 'no choice'), "
      "(NULL, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'no id'), (1, NULL, 9, 'a', 'b', 'c', 'd', 'c', 'id again'), "
      "(1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'good')");
  const ImportCounts counts = import_v0({source});
  EXPECT_EQ(counts.rankings, 1);
  const std::map<std::string, std::int64_t> expected = {{"best_image_not_in_ranking", 1},
                                                        {"fewer_than_two_images", 1},
                                                        {"no_choice_recorded", 1},
                                                        {"no_ranking_id", 1},
                                                        {"ranking_id_used_twice", 1}};
  EXPECT_EQ(counts.skipped, expected);
}

// Large enough that several threads read it: the first row of a key stays the first.
TEST_F(ImportTest, TheFirstOfEqualIdsIsKeptInALargeCsv) {
  constexpr int kRows = 12'000;
  std::string text =
      "ranking_id,created_at,user_id,image_1_uid,image_2_uid,image_3_uid,image_4_uid,best_image_uid,prompt\n";
  const std::string prompt(400, 'p');
  for (int round = 0; round < 2; ++round) {
    for (int row = 0; row < kRows; ++row)
      text += fmt::format("{0},,9,a{0},b{0},c{0},d{0},{1}{0},{2}\n", row, round == 0 ? 'a' : 'b', prompt);
  }
  text += "none,,9,only,,,,only,one image\n";
  test::write_text(folder_ / "large.csv", text);
  const ImportCounts counts = import_v0({folder_ / "large.csv"});
  EXPECT_EQ(counts.rankings, kRows);
  EXPECT_EQ(counts.images, 4 * kRows);
  const std::map<std::string, std::int64_t> expected = {{"fewer_than_two_images", 1}, {"ranking_id_used_twice", kRows}};
  EXPECT_EQ(counts.skipped, expected);
  Database database;
  workspace_.attach(database, "rankings");
  EXPECT_EQ(database.query_integer("SELECT count(*) FROM rankings WHERE best_image_uid = 'a' || ranking_id"), kRows);
}

// A first import's rankings go straight into their file, another's are staged: both keep the same rows.
TEST_F(ImportTest, AFirstImportKeepsWhatALaterOneWould) {
  const auto rows = [](int begin, int end) {
    return fmt::format(R"(
      SELECT i AS ranking_id, NULL::VARCHAR AS created_at, i % 50 AS user_id, 'a' || i AS image_1_uid,
             CASE WHEN i % 5 > 0 THEN 'b' || i // 2 END AS image_2_uid, CASE WHEN i % 5 > 1 THEN 'c' || i % 7 END AS image_3_uid,
             CASE WHEN i % 70 = 1 THEN 'no name' WHEN i % 3 > 0 THEN 'd' || i END AS image_4_uid,
             CASE i % 11 WHEN 0 THEN 'none' WHEN 1 THEN NULL WHEN 2 THEN 'elsewhere' ELSE 'a' || i END AS best_image_uid,
             'prompt ' || i % 90 AS prompt
      FROM range({}, {}) r(i))",
                       begin, end);
  };
  constexpr int kRows = 9000;
  const ImportCounts first = import_v0({write("all.parquet", rows(0, kRows))});
  EXPECT_GT(first.rankings, kRows / 2);
  EXPECT_EQ(first.skipped.size(), 4U);  // too few images, no file name, no choice, best elsewhere
  EXPECT_EQ(std::ranges::count_if(std::filesystem::directory_iterator(folder_ / "w"), [](const auto&) { return true; }),
            2);
  const Workspace other = Workspace::create(folder_ / "other");
  const auto one = write("one.parquet", rows(3, 4)), rest = write("rest.parquet", rows(0, 3)),
             more = write("more.parquet", rows(4, kRows));
  (void)import_files(other, format_of("pickapic-v0"), {one}, {}, {});
  const ImportCounts later = import_files(other, format_of("pickapic-v0"), {rest, more}, {}, {});
  EXPECT_EQ(later.rankings, first.rankings);
  EXPECT_EQ(later.images, first.images);
  EXPECT_EQ(later.ties, first.ties);
  EXPECT_EQ(later.skipped, first.skipped);
  Database database;
  for (const char* name : {"rankings", "images"}) {
    const std::string ours = workspace::sql_literal(workspace_.table_path(name).string());
    const std::string theirs = workspace::sql_literal(other.table_path(name).string());
    for (const auto& [a, b] : {std::pair(ours, theirs), std::pair(theirs, ours)}) {
      EXPECT_EQ(database.query_integer(
                    fmt::format("SELECT count(*) FROM (FROM read_parquet({}) EXCEPT ALL FROM read_parquet({}))", a, b)),
                0)
          << name;
    }
  }
}

TEST_F(ImportTest, BadFilesAreNamedAndChangeNothing) {
  const auto good = write_rankings("(1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'cat')");
  import_v0({good});
  const std::string before = load_file(workspace_.table_path("rankings"));
  const auto expect = [&](const std::filesystem::path& file, ErrorCode code, const std::string& part) {
    try {
      import_v0({good, file});
      ADD_FAILURE() << file;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(file.filename()), std::string::npos) << error.what();
    }
  };
  expect(folder_ / "none.parquet", ErrorCode::kNotFound, "nothing");
  expect(write("foreign.parquet", "SELECT 1 AS x, 2 AS y"), ErrorCode::kCorruptData, "found columns x, y");
  expect(write("columns.parquet", "SELECT 1 AS ranking_id, 'a' AS image_1_uid, 'a' AS best_image_uid"),
         ErrorCode::kCorruptData, "'image_2_uid'");
  const std::string bytes = load_file(good);
  test::write_text(folder_ / "cut.parquet", bytes.substr(0, bytes.size() - 9));
  expect(folder_ / "cut.parquet", ErrorCode::kCorruptData, "Parquet");
  test::write_text(folder_ / "text.parquet", "ranking_id,prompt\n");
  expect(folder_ / "text.parquet", ErrorCode::kCorruptData, "Parquet");
  EXPECT_EQ(load_file(workspace_.table_path("rankings")), before);
}

}  // namespace
}  // namespace imagerank::preferences
