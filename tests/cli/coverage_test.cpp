#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/small_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// 1000 rankings of two images by 7 users; every fourth is a tie. `is_dead` says which image is.
void make_world(const std::filesystem::path& data, auto is_dead) {
  const auto workspace = workspace::Workspace::create(data);
  std::vector<workspace::Ranking> rankings;
  std::vector<workspace::Image> images;
  for (int i = 0; i < 1000; ++i) {
    workspace::Ranking ranking;
    ranking.ranking_id = fmt::format("{}", i);
    ranking.dataset = "test";
    ranking.created_at = fmt::format("2023-{:02}-01 00:00:00", 1 + i % 3);
    ranking.user_id = fmt::format("a user of a rather long name {}", i % 7);
    ranking.prompt = fmt::format("p{}", i);
    ranking.image_uids = {fmt::format("a{}", i), fmt::format("b{}", i)};
    if (i % 4 != 0) ranking.best_image_uid = ranking.image_uids[static_cast<std::size_t>(i % 2)];
    for (const std::string& uid : ranking.image_uids) {
      workspace::Image image;
      image.image_uid = uid;
      image.model = i % 10 == 9 ? "old model" : "new model";
      image.status = is_dead(i, uid == ranking.best_image_uid) ? (i % 2 == 0 ? "http_404" : "timeout") : "ok";
      images.push_back(std::move(image));
    }
    rankings.push_back(std::move(ranking));
  }
  workspace.write_rankings(rankings);
  workspace.write_images(images);
}

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

class CoverageCommand : public ::testing::Test {
 protected:
  LineRun run(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> line = {"coverage", "--data", data_};
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }
  /// A run's table with a short name for the workspace: a path cannot be broken.
  std::string table(const LineRun& run) const {
    std::string text = run.out;
    for (std::size_t at = 0; (at = text.find(data_, at)) != std::string::npos;) text.replace(at, data_.size(), "mine");
    return text;
  }
  std::vector<std::string> warnings() const { return run({"--json"}).json()["warnings"]; }

  test::TemporaryFolder folder_;
  std::string data_ = folder_ / "w";
};

TEST_F(CoverageCommand, LabelsThatDieAreWarnedOf) {
  // Of 250 ties 150 die, of 750 others 150.
  make_world(data_, [](int i, bool) { return i % 4 == 0 ? i % 5 < 3 : i % 5 == 1; });
  const LineRun json = run({"--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const auto report = json.json();
  EXPECT_THAT(report["warnings"].get<std::vector<std::string>>(),
              Contains(StartsWith("surviving rankings hold 14.3 % ties, all hold 25.0 % (V 0.38)")));
  EXPECT_THAT(report["warnings"].get<std::vector<std::string>>(),
              Contains(StartsWith("surviving (image, prompt) hold 14.3 % label 1, all hold 25.0 %")));
  EXPECT_THAT(report["warnings"].get<std::vector<std::string>>(), Not(Contains(StartsWith("winners die"))));
  const auto& ties = report["rankings"]["parts"]["tie"];
  EXPECT_EQ(ties["total"], 250);
  EXPECT_EQ(ties["ok"], 100);
  EXPECT_DOUBLE_EQ(ties["share_of_all"], 0.25);
  EXPECT_DOUBLE_EQ(ties["share_of_ok"], 100.0 / 700.0);
  EXPECT_DOUBLE_EQ(ties["change"], 100.0 / 700.0 - 0.25);
  EXPECT_EQ(report["rankings"]["uneven"], true);
  EXPECT_EQ(report["places"]["uneven"], false);
  EXPECT_EQ(report["coverage"]["rankings"]["ok_share"], 0.7);
  EXPECT_EQ(report["by_month"]["groups"].size(), 3U);
  EXPECT_EQ(report["by_month"]["groups"][0]["group"], "2023-01");
  EXPECT_EQ(report["by_user"]["groups"].size(), 7U);
  EXPECT_EQ(report["by_user"]["other"]["groups"], 0);
  EXPECT_THAT(run().out, HasSubstr("verdict   what survives is not like the whole"));
}

TEST_F(CoverageCommand, AFairLossIsNotWarnedOf) {
  make_world(data_, [](int i, bool) { return i % 11 == 2; });
  const auto found = warnings();
  ASSERT_EQ(found.size(), 1U);
  // Of the 91 dead rankings 2, 13, 24, .. 992 the 45 of odd number timed out.
  EXPECT_EQ(found[0],
            fmt::format("90 images failed for reasons that may pass, and 45 rankings are dead for these alone: run "
                        "`imagerank fetch --data {} --retry-failed --reason timeout`",
                        data_));
  const std::string printed = table(run());
  EXPECT_THAT(printed, HasSubstr("verdict   nothing differs"));
  EXPECT_LE(longest_line(printed), 80U) << printed;
}

TEST_F(CoverageCommand, WinnersAndModelsThatDieAreWarnedOf) {
  make_world(data_, [](int i, bool winner) { return i % 10 == 9 || (winner && i % 2 == 1 && i % 10 < 6); });
  const auto found = warnings();
  EXPECT_THAT(found, Contains(StartsWith("winners die more often than losers")));
  EXPECT_THAT(found, Contains("model old model: 0 of 200 images survive"));
  EXPECT_THAT(found, Contains(StartsWith("models do not survive alike: 0.0 % of the images of old model, ")));
}

TEST_F(CoverageCommand, ATableOfEightyColumnsAndACsv) {
  make_world(data_, [](int i, bool) { return i % 4 == 0 ? i % 5 < 3 : i % 5 == 1; });
  const std::string csv = folder_ / "out.csv";
  const LineRun printed = run({"--csv", csv, "--min-group", "500", "--top", "2"});
  ASSERT_EQ(printed.code, 0) << printed.err;
  EXPECT_LE(longest_line(table(printed)), 80U) << printed.out;
  EXPECT_THAT(printed.out, StartsWith("! surviving rankings hold"));
  for (const char* part : {"by its images", "why images are dead", "by month", "3 small groups", "7 small groups",
                           "new model", "1 small group "})
    EXPECT_THAT(printed.out, HasSubstr(part));
  EXPECT_EQ(test::lines_of(csv).size(), 1U + 3U + 7U + 2U);
  EXPECT_THAT(run({"--top", "2"}).out, HasSubstr("5 others"));
}

TEST_F(CoverageCommand, NoneTriedAllDeadAndEmpty) {
  const auto workspace = workspace::Workspace::create(data_);
  workspace.write_rankings({});
  workspace.write_images({});
  EXPECT_THAT(warnings(), Contains("images.parquet holds no image"));
  EXPECT_EQ(run().code, 0);
  make_world(data_, [](int, bool) { return true; });
  EXPECT_THAT(warnings(), Contains("none of the 2,000 images survives"));
  EXPECT_THAT(warnings(), Not(Contains(HasSubstr("0 of"))));
  EXPECT_TRUE(run({"--json"}).json()["labels"]["parts"]["2"]["share_of_ok"].is_null());
  auto images = workspace.load_images();
  for (workspace::Image& image : images) image.status = "";
  workspace.write_images(images);
  EXPECT_THAT(warnings(),
              testing::ElementsAre(fmt::format("no image was tried yet: run `imagerank fetch --data {}`", data_)));
  EXPECT_THAT(run().out, Not(HasSubstr("verdict")));
  images.resize(1500);
  images[0].status = "ok";
  workspace.write_images(images);
  EXPECT_THAT(warnings(), Contains(StartsWith("1,499 of 1,500 images were not tried yet")));
  EXPECT_THAT(warnings(), Contains(StartsWith("500 images of rankings have no row in images.parquet")));
}

TEST_F(CoverageCommand, AMissingTableNamesTheCommandThatMakesIt) {
  std::filesystem::create_directory(data_);
  const LineRun nothing = run();
  EXPECT_EQ(nothing.code, 1);
  EXPECT_EQ(std::ranges::count(nothing.err, '\n'), 1) << nothing.err;
  EXPECT_THAT(nothing.err, HasSubstr("no images.parquet; run `imagerank import --data"));
  make_world(data_, [](int i, bool) { return i % 2 == 0; });
  std::filesystem::remove(data_ + "/rankings.parquet");
  EXPECT_THAT(warnings(),
              Contains(StartsWith("no rankings.parquet, so only images are counted: run `imagerank import")));
  EXPECT_EQ(run({"--json"}).json()["coverage"]["images"]["ok"], 1000);
  test::write_text(data_ + "/rankings.parquet", "no table");
  EXPECT_EQ(run().code, 1);
}

TEST_F(CoverageCommand, AgreesWithInfoOnRealPreferencesHalfOfWhoseLinksAreDead) {
  IMAGERANK_SHARED_DATA(real, "real/avt");
  ASSERT_EQ(
      run_line({"import", "pickapic-v0", real / "rankings.parquet", real / "images.parquet", "--data", data_}).code, 0);
  const auto workspace = workspace::Workspace::open(data_);
  auto images = workspace.load_images();
  for (std::size_t i = 0; i < images.size(); ++i) images[i].status = i % 2 == 0 ? "ok" : "http_404";
  workspace.write_images(images);
  const auto report = run({"--json"}).json();
  const auto info = run_line({"info", "--data", data_, "--json"}).json();
  EXPECT_EQ(report["coverage"], info["coverage"]);
  EXPECT_EQ(report["coverage"]["images"]["ok"], 67);
  for (const char* label : {"0", "1", "2"}) EXPECT_EQ(report["labels"]["parts"][label]["total"], info["labels"][label]);
  EXPECT_EQ(report["pairs"]["parts"]["strict"]["total"], info["strict_pairs"]);
  EXPECT_EQ(report["rankings"]["parts"]["tie"]["total"], info["ties"]);
  // Every image stands in some 18 rankings: 134 images are too few to blame chance's work on labels.
  EXPECT_GT(report["rankings"]["test"]["design_effect"], 10.0);
  for (const char* of : {"labels", "rankings", "pairs", "places"}) EXPECT_EQ(report[of]["uneven"], false) << of;
  EXPECT_THAT(report["warnings"], IsEmpty());
  const std::string printed = table(run());
  EXPECT_THAT(printed, HasSubstr("next      imagerank label --data mine"));
  EXPECT_LE(longest_line(printed), 80U) << printed;
}

}  // namespace
}  // namespace imagerank::cli
