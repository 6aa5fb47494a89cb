#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/small_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

TEST(LabelCommand, RealRankingsGiveTheSeedsCounts) {
  IMAGERANK_SHARED_DATA(rankings, "real/pickapic_v0/rankings.parquet");
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  ASSERT_EQ(run_line({"import", "pickapic-v0", rankings, "--data", data}).code, 0);
  const auto again = run_line({"import", "pickapic-v0", rankings, "--data", data, "--json"}).json();
  EXPECT_EQ(again["rankings"], 25355);
  EXPECT_EQ(again["added"]["rankings"], 0);
  EXPECT_TRUE(again["skipped"].empty());

  const auto three = run_line({"label", "--data", data, "--seed", "1", "--json"}).json();
  EXPECT_EQ(three["rows"], 101420);
  EXPECT_EQ(three["distinct"], 82873);
  EXPECT_EQ(three["kept"], 76493);
  EXPECT_EQ(three["labels"], nlohmann::json({{"0", 37352}, {"1", 27795}, {"2", 11346}}));
  EXPECT_EQ(three["strict_pairs"], 54498);
  EXPECT_EQ(three["tied_pairs"], 43134);
  const auto seeds = run_line({"label", "--data", data, "--validation", "0", "--seed", "1", "--json"}).json();
  EXPECT_NEAR(seeds["leak"]["prompt_overlap"].get<double>(), 0.998,
              0.003);  // 0.9981 on average over seeds, 0.0007 spread
  EXPECT_NEAR(three["winners_that_lost"].get<double>() / three["winners"].get<double>(), 0.463, 0.001);

  const auto dropped =
      run_line({"label", "--data", data, "--labels", "drop-ties", "--split", "prompt", "--json"}).json();
  EXPECT_EQ(dropped["labels"], nlohmann::json({{"0", 37352}, {"1", 11346}}));
  EXPECT_EQ(dropped["leak"]["prompt_overlap"], 0.0);
  const auto merged =
      run_line({"label", "--data", data, "--labels", "merge-ties", "--split", "prompt", "--json"}).json();
  EXPECT_EQ(merged["labels"], nlohmann::json({{"0", 65147}, {"1", 11346}}));
}

TEST(LabelCommand, PrintsATableForPeople) {
  IMAGERANK_SHARED_DATA(rankings, "real/avt/rankings.parquet");
  const test::TemporaryFolder folder;
  ASSERT_EQ(run_line({"import", "pickapic-v0", rankings, "--data", folder / "w"}).code, 0);
  const LineRun outcome = run_line({"label", "--data", folder / "w", "--split", "prompt"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* part : {"labels", "conflicts", "pairs", "leak"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part;
}

TEST(CommandLine, UsageErrorsAreOneLineAndExitTwo) {
  const test::TemporaryFolder folder;
  const std::array<std::vector<std::string>, 6> lines = {
      {{"label"},
       {"nonsense"},
       {"label", "--data", folder.path().string(), "--split", "alphabet"},
       {"label", "--data", folder.path().string(), "--test", "many"},
       {"label", "--data", folder.path().string(), "--threads", "0"},
       {"import", "pickapic-v9", "x.parquet", "--data", folder.path().string()}}};
  for (const auto& line : lines) {
    const LineRun outcome = run_line(line);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_TRUE(outcome.out.empty());
  }
}

TEST(CommandLine, EmptyWorkspaceNamesTheNextStep) {
  const test::TemporaryFolder folder;
  const LineRun outcome = run_line({"label", "--data", folder.path().string()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("imagerank import"), std::string::npos) << outcome.err;
}

TEST(CommandLine, EveryCommandHasHelpWithAnExample) {
  EXPECT_EQ(run_line({"--help"}).code, 0);
  EXPECT_NE(run_line({"--version"}).out.find("imagerank 0."), std::string::npos);
  for (const Command& command : commands()) {
    const LineRun outcome = run_line({command.name, "--help"});
    EXPECT_EQ(outcome.code, 0) << command.name;
    EXPECT_NE(outcome.out.find("Example"), std::string::npos) << command.name;
    EXPECT_NE(outcome.out.find("--json"), std::string::npos) << command.name;
    EXPECT_TRUE(std::filesystem::exists(test::source_file("docs/cli/" + std::string(command.name) + ".md")))
        << command.name;
  }
}

}  // namespace
}  // namespace imagerank::cli
