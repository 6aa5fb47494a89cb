#include <gmock/gmock.h>

#include <filesystem>
#include <string>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "support/child_process.h"
#include "support/free_port.h"
#include "support/test_support.h"
#include "votes/vote_store.h"

namespace imagerank::cli {
namespace {

/// What stands in a page's ```sh blocks, in order.
std::string shell_blocks(const std::filesystem::path& page) {
  std::string script;
  bool inside = false;
  for (const std::string& line : test::lines_of(page)) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
    } else if (inside) {
      script += line + "\n";
    }
  }
  return script;
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

/// docs/collecting_preferences.md as it stands, but for the port.
TEST(WalkThrough, LeadsFromNoDataToAServedReward) {
  const test::TemporaryFolder folder;
  std::string script = "set -eu\ncd '" + folder.path().string() + "'\nexport PATH='" +
                       std::filesystem::path(IMAGERANK_PROGRAM).parent_path().string() + "':\"$PATH\"\n" +
                       "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" +
                       shell_blocks(test::source_file("docs/collecting_preferences.md"));
  ASSERT_THAT(script, testing::HasSubstr("import votes"));
  replace_all(script, "8080", std::to_string(test::free_port()));
  test::write_text(folder / "walk.sh", script);
  const test::ChildResult run = test::run_child("/bin/bash", {(folder / "walk.sh").string()});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err;

  votes::VoteStore store(votes::parse_database_url("sqlite://" + (folder / "votes.db").string()),
                         votes::VoteStore::Mode::kReadOnly);
  const auto votes = store.votes();
  EXPECT_EQ(votes.size(), 950U);
  const auto uncertain = std::ranges::count_if(
      votes, [](const votes::StoredVote& vote) { return vote.set.strategy == votes::Strategy::kUncertain; });
  EXPECT_GT(uncertain, 20) << "of 50; the first came before all images were scored";
  const auto rankings = workspace::Workspace::open(folder / "mine").load_rankings();
  EXPECT_EQ(rankings.size(), 900U);
  const auto report = nlohmann::json::parse(load_file(folder / "mine/reports/first/report.json"));
  const double accuracy = report.at("metrics").at("pair_accuracy_strict_micro").at("value");
  EXPECT_GT(accuracy, 0.6) << "the people of this world agree with the truth in about 4 of 5";
}

}  // namespace
}  // namespace imagerank::cli
