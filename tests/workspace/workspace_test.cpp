#include "workspace/workspace.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/keys.h"

namespace imagerank::workspace {
namespace {

template <typename Action>
std::pair<ErrorCode, std::string> error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kCancelled, "no error"};
}

Ranking example_ranking() {
  Ranking row;
  row.ranking_id = "7";
  row.dataset = "d";
  row.created_at = "2023-01-02 03:04:05";
  row.user_id = "u";
  row.prompt = "it's a \"red\"\ncube, é 猫";
  row.image_uids = {"a", "b", "c"};
  row.best_image_uid = "b";
  row.ranks = {2, 1, 3};
  row.weight = 0.5;
  return row;
}

TEST(Workspace, RankingsRoundTrip) {
  const test::TemporaryFolder folder;
  const auto workspace = Workspace::create(folder / "w");
  Ranking tie = example_ranking();
  tie.ranking_id = "8";
  tie.best_image_uid.reset();
  tie.ranks.clear();
  tie.prompt = "";
  workspace.write_rankings({example_ranking(), tie});
  const auto rows = workspace.load_rankings();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].prompt, example_ranking().prompt);
  EXPECT_EQ(rows[0].image_uids, example_ranking().image_uids);
  EXPECT_EQ(rows[0].best_image_uid, "b");
  EXPECT_EQ(rows[0].ranks, std::vector<std::int32_t>({2, 1, 3}));
  EXPECT_EQ(rows[0].weight, 0.5);
  EXPECT_EQ(rows[1].best_image_uid, std::nullopt);
  EXPECT_TRUE(rows[1].ranks.empty());
  EXPECT_EQ(rows[1].prompt, "");
}

TEST(Workspace, ImagesAndTruthRoundTrip) {
  const test::TemporaryFolder folder;
  const auto workspace = Workspace::create(folder.path());
  EXPECT_TRUE(workspace.find_images().empty());
  EXPECT_TRUE(workspace.find_truth().empty());
  workspace.write_images({{"u", "http://x", "images/ab/u.png", "m", "p", 3, 4, "00", "ok"}});
  workspace.write_truth({{"u", "p", 1.25}});
  const auto images = workspace.load_images();
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].path, "images/ab/u.png");
  EXPECT_EQ(images[0].height, 4);
  EXPECT_EQ(workspace.resolve(images[0]), folder.path() / "images/ab/u.png");
  EXPECT_EQ(workspace.find_truth().at(0).utility, 1.25);
}

TEST(Workspace, SaysWhichCommandMakesAMissingTable) {
  const test::TemporaryFolder folder;
  const auto [code, message] = error_of([&] { (void)Workspace::open(folder.path()).load_points(); });
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_NE(message.find("imagerank label"), std::string::npos) << message;
  EXPECT_EQ(error_of([&] { (void)Workspace::open(folder / "none"); }).first, ErrorCode::kNotFound);
}

TEST(Workspace, RejectsTruncatedAndForeignTables) {
  const test::TemporaryFolder folder;
  const auto workspace = Workspace::create(folder.path());
  workspace.write_rankings({example_ranking()});
  const std::string good = load_file(workspace.table_path("rankings"));
  test::write_text(workspace.table_path("rankings"), good.substr(0, good.size() / 2));
  EXPECT_EQ(error_of([&] { (void)workspace.load_rankings(); }).first, ErrorCode::kCorruptData);
  Database database;
  database.write_parquet("SELECT 1 AS x", workspace.table_path("rankings"));
  const auto [code, message] = error_of([&] { (void)workspace.load_rankings(); });
  EXPECT_EQ(code, ErrorCode::kCorruptData);
  EXPECT_NE(message.find("'ranking_id'"), std::string::npos) << message;
}

TEST(Workspace, ImagePathsSpreadAndRefuseUnsafeNames) {
  const auto path = Workspace::image_path("7c0c5a6b-b7b0", ".png");
  EXPECT_EQ(path.filename(), "7c0c5a6b-b7b0.png");
  EXPECT_EQ(path.parent_path().parent_path(), "images");
  EXPECT_EQ(path.parent_path().filename().string().size(), 2U);
  for (const std::string& uid : std::vector<std::string>{"", "../x", "a/b", ".hidden", "a b", "tab\t", "back\\slash"}) {
    EXPECT_EQ(error_of([&] { (void)Workspace::image_path(uid, ".png"); }).first, ErrorCode::kInvalidArgument) << uid;
  }
  EXPECT_EQ(error_of([&] { (void)Workspace::image_path(std::string(300, 'x'), ".png"); }).first,
            ErrorCode::kInvalidArgument);
}

TEST(Database, ReadsEveryTypeThatTheTablesUse) {
  Database database;
  const Table table = database.query(
      "SELECT * FROM (VALUES (1::TINYINT, 2::BIGINT, 1.5::FLOAT, 2.5::DOUBLE, 'x', true, ['a', 'b'], [1, 2]), "
      "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) t(a, b, c, d, e, f, g, h)");
  EXPECT_EQ(table.row_count, 2U);
  EXPECT_EQ(table.column("a").integer, std::vector<std::int64_t>({1, 0}));
  EXPECT_EQ(table.column("b").integer[0], 2);
  EXPECT_EQ(table.column("c").real[0], 1.5);
  EXPECT_EQ(table.column("d").real[0], 2.5);
  EXPECT_EQ(table.column("e").text[0], "x");
  EXPECT_EQ(table.column("f").integer[0], 1);
  EXPECT_EQ(table.column("g").text_list[0], std::vector<std::string>({"a", "b"}));
  EXPECT_EQ(table.column("h").integer_list[0], std::vector<std::int64_t>({1, 2}));
  EXPECT_TRUE(table.column("e").null[1]);
  EXPECT_EQ(error_of([&] { (void)table.column("z"); }).first, ErrorCode::kInvalidArgument);
}

TEST(Database, StableHashIsTheSameEverywhereAndForever) {
  // Splits hang on it: these values may never change.
  EXPECT_EQ(stable_hash("", 0), 16294208416658607535ULL);
  EXPECT_EQ(stable_hash("a red apple", 1), 10387871213119061270ULL);
  Database database;
  const Table table = database.query(
      "SELECT (stable_hash(x, 7::UBIGINT) >> 1)::BIGINT AS hash FROM (VALUES ('one'), (NULL), ('0123456789abcdef')) "
      "t(x)");
  const std::vector<std::string_view> texts = {"one", "", "0123456789abcdef"};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(static_cast<std::uint64_t>(table.columns[0].integer[i]), stable_hash(texts[i], 7) >> 1);
  }
}

TEST(Database, UidsThatAreNoFileNamesAreFound) {
  Database database;
  const Table table = database.query(
      "SELECT is_safe_uid(x) AS one, are_safe_uids([x, 'fine', NULL]) AS list FROM "
      "(VALUES ('ok-1.png'), ('../x'), ('a/b'), ('.x'), (''), ('a b'), ('a' || chr(0)), (repeat('x', 201))) t(x)");
  EXPECT_EQ(table.columns[0].integer, (std::vector<std::int64_t>{1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(database.query_integer("SELECT are_safe_uids(['a', 'b'])::INTEGER"), 1);
  EXPECT_EQ(database.query_integer("SELECT are_safe_uids(['a', '../b'])::INTEGER"), 0);
  EXPECT_EQ(database.query_integer("SELECT are_safe_uids(NULL)::INTEGER"), 1);
}

TEST(Database, ErrorsAreOneLine) {
  Database database;
  const auto [code, message] = error_of([&] { database.execute("SELECT * FROM nowhere"); });
  EXPECT_EQ(code, ErrorCode::kCorruptData);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(sql_literal("it's"), "'it''s'");
}

}  // namespace
}  // namespace imagerank::workspace
