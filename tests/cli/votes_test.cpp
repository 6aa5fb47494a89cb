#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "cli/small_world.h"
#include "support/child_process.h"
#include "support/free_port.h"
#include "support/postgres_server.h"
#include "support/test_support.h"
#include "support/voter.h"
#include "votes/vote_store.h"

namespace imagerank::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class VotesCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    make_small_world(data(), 40);
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string data() { return (folder_->path() / "data").string(); }
  static std::filesystem::path path(const std::string& name) { return folder_->path() / name; }

  static test::ChildResult serve(std::uint16_t port, const std::string& database, const test::ChildOptions& child) {
    return test::run_child(
        IMAGERANK_PROGRAM,
        {"serve", "--data", data(), "--db", database, "--port", std::to_string(port), "--threads", "1", "--quiet"},
        child);
  }
  static std::set<std::string> stored(const std::string& database) {
    std::set<std::string> sets;
    votes::VoteStore store(votes::parse_database_url(database), votes::VoteStore::Mode::kReadOnly);
    for (const votes::StoredVote& vote : store.votes()) sets.insert(vote.set.id);
    return sets;
  }

  /// 20 people vote while the server is killed twice; then what was acknowledged is what is stored.
  static void expect_kept_through_kills(const std::string& database) {
    constexpr int kVoters = 20, kVotes = 15;
    const std::uint16_t port = test::free_port();
    std::atomic<int> acknowledged = 0, ended = 0;
    std::vector<test::VoterLog> logs(kVoters);
    std::vector<std::jthread> people;
    for (int i = 0; i < kVoters; ++i) {
      people.emplace_back([&, i](const std::stop_token& stop) {
        test::Voter voter(port, "person " + std::to_string(i), stop);
        logs[static_cast<std::size_t>(i)] = voter.run(
            kVotes, [](const nlohmann::json& set) { return std::optional(set["images"][0]["uid"].get<std::string>()); },
            acknowledged);
        ++ended;
      });
    }
    for (const int kill_at : {60, 180}) {
      test::ChildOptions child;
      child.kill_when = [&] { return acknowledged >= kill_at; };
      EXPECT_EQ(serve(port, database, child).signal, SIGKILL);
    }
    test::ChildOptions child;
    child.interrupt_when = [&] { return ended == kVoters; };
    const test::ChildResult last = serve(port, database, child);
    EXPECT_EQ(last.exit_code, 0) << last.err;
    people.clear();
    std::set<std::string> told;
    int retries = 0;
    for (const test::VoterLog& log : logs) {
      told.insert(log.acknowledged.begin(), log.acknowledged.end());
      retries += log.retries;
    }
    EXPECT_EQ(told.size(), std::size_t{kVoters * kVotes});
    EXPECT_EQ(stored(database), told);
    EXPECT_GT(retries, 0) << "the kills were felt";
  }

 private:
  static inline test::TemporaryFolder* folder_ = nullptr;
};

TEST_F(VotesCommand, AcknowledgedVotesOutliveKillsInSqlite) {
  expect_kept_through_kills("sqlite://" + path("killed.db").string());
}

TEST_F(VotesCommand, AcknowledgedVotesOutliveKillsInPostgresql) {
  test::PostgresServer server;
  if (!server.reason().empty()) GTEST_SKIP() << server.reason();
  expect_kept_through_kills(server.make_database());
}

TEST_F(VotesCommand, ImportMakesRankingsOfVotesOnce) {
  const std::string database = "sqlite://" + path("import.db").string();
  {
    votes::VoteStore store(votes::parse_database_url(database), votes::VoteStore::Mode::kWrite);
    store.transact([&] {
      const auto session = store.add_session({"token", "Ada", 2, votes::Strategy::kRandom, ""});
      const std::string id(31, 'a');
      for (int i = 0; i < 3; ++i) {
        store.add_set({id + std::to_string(i), session.id, "a prompt", {"left", "right"}, votes::Strategy::kRandom, i});
      }
      store.add_vote(session, {id + "0", "right", false, 1});
      store.add_vote(session, {id + "1", std::nullopt, false, 1});
      store.add_vote(session, {id + "2", std::nullopt, true, 1});
    });
  }
  const std::string mine = path("mine").string();
  const LineRun first = run_line({"import", "votes", database, "--data", mine, "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["rankings"], 2);
  EXPECT_EQ(first.json()["ties"], 1);
  EXPECT_EQ(first.json()["images"], 2);
  EXPECT_EQ(first.json()["skipped"]["skipped_by_voter"], 1);
  const auto before = final_files(mine);
  const LineRun again = run_line({"import", "votes", database, "--data", mine, "--json"});
  EXPECT_EQ(again.json()["added"]["rankings"], 0);
  EXPECT_EQ(final_files(mine), before);
  const auto rankings = workspace::Workspace::open(mine).load_rankings();
  ASSERT_EQ(rankings.size(), 2U);
  EXPECT_EQ(rankings[0].dataset, "votes");
  EXPECT_EQ(rankings[0].best_image_uid, "right");
  EXPECT_EQ(rankings[1].best_image_uid, std::nullopt);
  EXPECT_THAT(rankings[0].user_id, testing::SizeIs(32));
  EXPECT_THAT(rankings[0].user_id, Not(HasSubstr("Ada")));
  EXPECT_THAT(rankings[0].created_at, testing::MatchesRegex("20..-..-.. ..:..:..\\...."));
}

TEST_F(VotesCommand, BadInputIsOneLine) {
  const auto expect = [](const std::vector<std::string>& line, int code, const std::string& says) {
    const LineRun run = run_line(line);
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(says));
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  };
  const std::string database = "sqlite://" + path("bad.db").string();
  expect({"serve", "--db", database}, 2, "--data");
  expect({"serve", "--data", data()}, 2, "--reward");
  expect({"serve", "--data", data(), "--db", "votes.db"}, 2, "sqlite://");
  expect({"serve", "--data", data(), "--db", database, "--choices", "3"}, 2, "--choices");
  expect({"serve", "--data", data(), "--db", database, "--strategy", "best"}, 2, "balanced");
  expect({"serve", "--data", data(), "--db", database, "--guideline", path("none").string()}, 1, "none");
  expect({"serve", "--data", path("none").string(), "--db", database}, 1, "none");
  expect({"serve", "--data", data(), "--db", "sqlite:///no/such/folder/votes.db"}, 1, "votes.db");
  expect({"import", "votes", "sqlite://" + path("none.db").string(), "--data", path("x").string()}, 1, "none.db");
  expect({"import", "votes", "postgresql://me:secret@127.0.0.1:1/x", "--data", path("x").string()}, 1, "127.0.0.1");
  expect({"import", "votes", "votes.csv", "--data", path("x").string()}, 2, "sqlite://");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

}  // namespace
}  // namespace imagerank::cli
