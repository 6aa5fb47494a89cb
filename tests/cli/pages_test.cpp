#include <gmock/gmock.h>

#include <cstdlib>
#include <map>

#include "cli/scoring_world.h"
#include "support/child_process.h"
#include "support/free_port.h"
#include "support/raw_client.h"
#include "votes/vote_store.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// The server's pages in a real browser: tests/browser/pages.mjs says what it does there.
class PagesInABrowser : public ScoringWorld {};

TEST_F(PagesInABrowser, PeopleRankChooseWatchAndRead) {
  const std::filesystem::path web = test::source_file("web");
  if (!std::filesystem::exists("/usr/bin/chromium")) GTEST_SKIP() << "needs /usr/bin/chromium";
  if (!std::filesystem::exists(web / "node_modules/playwright-core")) GTEST_SKIP() << "needs web/node_modules";
  const auto workspace = workspace::Workspace::open(data());
  auto images = workspace.load_images();
  for (std::size_t i = 0; i < 4; ++i) images[i].prompt = "<img src=x onerror=\"window.hacked=1\">";
  workspace.write_images(images);
  const LineRun eval = run_line({"eval", "--data", data(), "--reward", "mlp", "--quiet"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  test::write_text(path("rules.md"), "Be <b>fair</b>.\n\nTake the image that shows the prompt best.\n");
  // Screenshots stay where somebody who asks for them finds them.
  const char* const wanted = std::getenv("IMAGERANK_SCREENSHOTS");
  const std::filesystem::path out = wanted != nullptr ? wanted : path("out").string();
  std::filesystem::create_directories(out);

  const std::uint16_t port = test::free_port();
  const std::string url = "http://127.0.0.1:" + std::to_string(port);
  const std::string command = "node " + test::source_file("tests/browser/pages.mjs").string() + " " + web.string() +
                              " " + url + " " + pictures().string() + " " + out.string() + " >" + path("log").string() +
                              " 2>&1";
  int code = -1;
  test::ChildOptions child;
  child.interrupt_when = [&] {
    try {
      const test::RawClient client(port);
    } catch (const std::exception&) {
      return false;  // it does not listen yet
    }
    code = std::system(command.c_str());  // NOLINT(cert-env33-c)
    return true;
  };
  const std::string database = "sqlite://" + path("votes.db").string();
  const test::ChildResult run =
      test::run_child(IMAGERANK_PROGRAM,
                      {"serve", "--data", data(), "--reward", "mlp", "--reward", "again=" + reward(), "--db", database,
                       "--guideline", path("rules.md").string(), "--port", std::to_string(port), "--threads", "1"},
                      child);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(code, 0) << load_file(path("log"));

  std::map<std::string, votes::StoredVote> stored;
  for (votes::StoredVote& vote :
       votes::VoteStore(votes::parse_database_url(database), votes::VoteStore::Mode::kReadOnly).votes()) {
    stored.emplace(vote.set.id, vote);
  }
  const auto voted = nlohmann::json::parse(load_file(out / "votes.json"));
  EXPECT_GT(voted.size(), 10U);
  EXPECT_EQ(stored.size(), voted.size());
  for (const auto& vote : voted) {
    const auto found = stored.find(vote.at("set"));
    ASSERT_NE(found, stored.end()) << vote;
    EXPECT_EQ(found->second.choice ? nlohmann::json(*found->second.choice) : nlohmann::json(), vote.at("choice"));
    EXPECT_EQ(found->second.skipped, vote.at("skipped").get<bool>());
    EXPECT_EQ(found->second.taken_ms, vote.at("ms").get<std::int64_t>());
  }
}

}  // namespace
}  // namespace imagerank::cli
