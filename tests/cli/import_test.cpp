#include "preferences/import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "cli/small_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

TEST(ImportCommand, JsonSaysWhatIsThereAndWhatWasSkipped) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "votes.csv",
                   "prompt,winner,loser\nfox,https://x/a.png,https://x/b.png\nhen,../a,https://x/b.png\n");
  test::write_text(folder / "scores.jsonl", "{\"image_uid\": \"a\", \"score\": 3, \"colour\": \"red\"}\n");
  const std::string data = folder / "w";
  const auto first =
      run_line({"import", "csv", folder / "votes.csv", "--columns", "prompt=prompt,chosen=winner,rejected=loser",
                "--dataset", "mine", "--data", data, "--json"})
          .json();
  EXPECT_EQ(first["rankings"], 1);
  EXPECT_EQ(first["images"], 2);
  EXPECT_EQ(first["ties"], 0);
  EXPECT_EQ(first["ratings"], 0);
  EXPECT_EQ(first["added"], nlohmann::json({{"rankings", 1}, {"images", 2}, {"ratings", 0}}));
  EXPECT_EQ(first["skipped"], nlohmann::json({{"unsafe_uid", 2}}));
  const auto second = run_line({"import", "jsonl", folder / "scores.jsonl", "--data", data, "--json"}).json();
  EXPECT_EQ(second["rankings"], 1);
  EXPECT_EQ(second["ratings"], 1);
  EXPECT_EQ(second["ignored_columns"], nlohmann::json({"colour"}));
}

TEST(ImportCommand, PrintsForPeople) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "u.txt", "https://x/a.png\nhttps://x/b.png\nnothing\n");
  const LineRun outcome = run_line({"import", "urls", folder / "u.*", "--data", folder / "w"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"images    2 (2 new)", "skipped   1 rows: bad_url", "imagerank fetch --data"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
}

TEST(ImportCommand, HelpAndErrorsListEveryFormat) {
  const test::TemporaryFolder folder;
  const LineRun help = run_line({"import", "--help"});
  const LineRun unknown = run_line({"import", "laion", folder / "x", "--data", folder / "w"});
  EXPECT_EQ(unknown.code, 2);
  for (const preferences::Format& format : preferences::formats()) {
    EXPECT_NE((help.out + help.err).find(format.name), std::string::npos) << format.name;
    EXPECT_NE(unknown.err.find(format.name), std::string::npos) << format.name;
  }
}

TEST(ImportCommand, UsageErrorsAreOneLineAndExitTwo) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "a.csv", "a,b\n1,2\n");
  const std::string file = folder / "a.csv";
  const std::array<std::vector<std::string>, 4> lines = {{{"import", "csv", file, "--columns", "prompt"},
                                                          {"import", "csv", file, "--columns", "prompt=a,prompt=b"},
                                                          {"import", "csv", file, "--columns", "colour=a"},
                                                          {"import", "urls", file, "--columns", "prompt=a"}}};
  for (std::vector<std::string> line : lines) {
    line.insert(line.end(), {"--data", folder / "w"});
    const LineRun outcome = run_line(line);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("--columns: expected"), std::string::npos) << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace imagerank::cli
