#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/small_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

TEST(InfoCommand, RealRankingsAgreeWithLabel) {
  IMAGERANK_SHARED_DATA(rankings, "real/pickapic_v0/rankings.parquet");
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  ASSERT_EQ(run_line({"import", "pickapic-v0", rankings, "--data", data}).code, 0);
  const auto info = run_line({"info", "--data", data, "--json"}).json();
  EXPECT_EQ(info["rankings"], 25355);
  EXPECT_EQ(info["ties"], 7189);
  EXPECT_EQ(info["users"], 986);
  EXPECT_EQ(info["prompts"], 8294);
  EXPECT_EQ(info["images_judged"], 73232);
  EXPECT_EQ(info["labels"], nlohmann::json({{"0", 37352}, {"1", 27795}, {"2", 11346}}));
  EXPECT_EQ(info["strict_pairs"], 54498);
  EXPECT_EQ(info["tied_pairs"], 43134);
  EXPECT_EQ(info["position_bias"]["sizes"][0]["wins"], nlohmann::json({4622, 4631, 4360, 4553}));
  EXPECT_NEAR(info["position_bias"]["p"].get<double>(), 0.0149, 0.0001);
  EXPECT_EQ(info["coverage"]["pairs"]["not_tried"], 54498 + 43134);
  EXPECT_EQ(info["missing"]["points"], "label");

  const auto label = run_line({"label", "--data", data, "--json"}).json();
  for (const char* field : {"conflicts", "winners", "winners_that_lost", "strict_pairs", "tied_pairs", "labels"})
    EXPECT_EQ(info[field], label[field]) << field;
  const auto after = run_line({"info", "--data", data, "--json"}).json();
  std::int64_t points = 0;
  for (const auto& [split, labels] : after["points"].items())
    for (const auto& [name, rows] : labels.items()) points += rows.get<std::int64_t>();
  EXPECT_EQ(points, label["kept"]);
  EXPECT_EQ(after["pairs"]["test"], label["pair_splits"]["test"]);
}

TEST(InfoCommand, PrintsATableOfEightyColumns) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_small_world(data, 12);
  ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
  const LineRun run = run_line({"info", "--data", data});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_LE(longest_line(run.out), 80U) << run.out;
  for (const char* part :
       {"rankings       12, ", "winner's place", "users          2", "agreement", "labelled", "dead"})
    EXPECT_NE(run.out.find(part), std::string::npos) << part << '\n' << run.out;
  EXPECT_EQ(run.out.find("missing"), std::string::npos) << run.out;
}

TEST(InfoCommand, SomeTablesAreEnoughAndTheOthersAreNamed) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_small_world(data, 3);
  std::filesystem::remove(data + "/rankings.parquet");
  const LineRun run = run_line({"info", "--data", data});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("rankings: imagerank import --data"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("images         0 judged, 12 in the table"), std::string::npos) << run.out;
  const auto info = run_line({"info", "--data", data, "--json"}).json();
  EXPECT_TRUE(info["tables"]["rankings"].is_null());
  EXPECT_TRUE(info["tie_share"].is_null());
  EXPECT_EQ(info["coverage"]["images"]["total"], 12);
}

TEST(InfoCommand, AnEmptyFolderNamesTheNextStep) {
  const test::TemporaryFolder folder;
  const LineRun run = run_line({"info", "--data", folder.path()});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
  EXPECT_NE(run.err.find("imagerank import"), std::string::npos) << run.err;
  EXPECT_EQ(run_line({"info"}).code, 2);
  test::write_text(folder / "rankings.parquet", "PAR1 no table PAR1");
  EXPECT_EQ(run_line({"info", "--data", folder.path()}).code, 1);
}

}  // namespace
}  // namespace imagerank::cli
