#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command_export.h"
#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/half.h"
#include "core/npy.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExportCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    make_small_world(data_, 12);
    ASSERT_EQ(run_line({"label", "--data", data_.string(), "--csv", (folder_ / "label.csv").string()}).code, 0);
  }
  LineRun run(const std::string& to, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"export", "--data", data_.string(), "--to", to, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_line(arguments);
  }
  [[nodiscard]] std::string out(const std::string& name) const { return (folder_.path() / name).string(); }

  /// Vectors of every image and point's prompt, two numbers each.
  void write_encoder(const std::string& name) {
    const auto workspace = workspace::Workspace::open(data_);
    workspace::Database database(1);
    const auto folder = workspace.embeddings_dir(name);
    for (const auto& [side, query] :
         {std::pair(std::string("image"), std::string("SELECT image_uid AS key FROM images")),
          std::pair(std::string("text"), std::string("SELECT DISTINCT prompt AS key FROM points ORDER BY key"))}) {
      workspace::Database reader(1);
      workspace.attach(reader, side == "image" ? "images" : "points");
      reader.write_parquet(
          fmt::format("SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS row, key, '' AS content FROM ({})", query),
          folder / (side + ".parquet"));
      const auto count = static_cast<std::size_t>(database.query_integer(fmt::format(
          "SELECT count(*) FROM read_parquet({})", workspace::sql_literal((folder / (side + ".parquet")).string()))));
      const std::vector<std::uint16_t> half(2 * count, half_from_float(1.0F));
      write_npy_half(folder / (side + ".npy"), half, std::array{count, std::size_t{2}});
    }
  }

  test::TemporaryFolder folder_;
  std::filesystem::path data_ = folder_ / "w";
};

TEST_F(ExportCommandTest, TheCsvIsTheOneThatLabelWrites) {
  const LineRun csv = run("csv", {"--out", out("points.csv")});
  ASSERT_EQ(csv.code, 0) << csv.err;
  EXPECT_THAT(test::lines_of(out("points.csv")),
              ::testing::UnorderedElementsAreArray(test::lines_of(out("label.csv"))));
  const auto points = workspace::Workspace::open(data_).load_points();
  EXPECT_EQ(csv.json()["rows"], points.size());
  EXPECT_EQ(csv.json()["table"], "points");
  EXPECT_TRUE(csv.json()["skipped"].empty());
}

TEST_F(ExportCommandTest, EachKindOfFile) {
  EXPECT_EQ(run("parquet", {"--table", "rankings", "--out", out("r.parquet")}).json()["rows"], 12);
  const auto dpo = run("dpo", {"--out", out("d.jsonl")});
  ASSERT_EQ(dpo.code, 0) << dpo.err;
  const auto pairs = workspace::Workspace::open(data_).load_pairs();
  const auto ties = std::count_if(pairs.begin(), pairs.end(), [](const auto& pair) { return pair.p_a == 0.5; });
  EXPECT_GT(ties, 0);
  EXPECT_EQ(dpo.json()["skipped"]["tie"], ties);
  EXPECT_EQ(dpo.json()["rows"], static_cast<std::ptrdiff_t>(pairs.size()) - ties);
  const auto shards = run("webdataset", {"--table", "rankings", "--shard-size", "5", "--out", out("shards/")});
  ASSERT_EQ(shards.code, 0) << shards.err;
  EXPECT_EQ(shards.json()["files"], 3);
  EXPECT_TRUE(std::filesystem::exists(out("shards/00002.tar")));
  EXPECT_EQ(run("webdataset", {"--out", out("shards")}).code, 2);
  EXPECT_EQ(run("webdataset", {"--out", out("shards"), "--overwrite"}).code, 0);
}

TEST_F(ExportCommandTest, TheEncoderIsTheOnlyOneTheNamedOneOrTheRewards) {
  const LineRun none = run("clip-retrieval", {"--out", out("clip")});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("imagerank encode"));
  write_encoder("first");
  EXPECT_EQ(run("clip-retrieval", {"--out", out("clip")}).code, 0);
  write_encoder("second");
  const LineRun which = run("clip-retrieval", {"--out", out("other")});
  EXPECT_EQ(which.code, 2);
  EXPECT_THAT(which.err, HasSubstr("first, second"));
  EXPECT_EQ(run("clip-retrieval", {"--out", out("other"), "--encoder", "second"}).code, 0);
  test::write_text(data_ / "rewards/mine/reward.json", R"({"encoder": "second"})");
  EXPECT_EQ(run("clip-retrieval", {"--out", out("third"), "--reward", "mine"}).code, 0);
  test::write_text(data_ / "rewards/broken/reward.json", "[]");
  EXPECT_EQ(run("clip-retrieval", {"--out", out("fourth"), "--reward", "broken"}).code, 1);
  EXPECT_EQ(run("csv", {"--out", out("x.csv"), "--reward", "mine"}).code, 2);
}

TEST_F(ExportCommandTest, BadOptionsSayWhatIsExpected) {
  const LineRun unknown = run("xlsx", {"--out", out("x")});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err,
              AllOf(HasSubstr("csv, parquet, weights, dpo, webdataset, clip-retrieval or onnx"), HasSubstr("'xlsx'")));
  EXPECT_EQ(run("csv").code, 2);
  EXPECT_EQ(run("csv", {"--table", "nonsense", "--out", out("x")}).code, 2);
  EXPECT_EQ(run("webdataset", {"--shard-size", "0", "--out", out("x")}).code, 2);
  EXPECT_EQ(run_line({"export", "--data", out("nowhere"), "--to", "csv", "--out", out("x")}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(out("x")));
}

}  // namespace
}  // namespace imagerank::cli
