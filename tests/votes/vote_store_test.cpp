#include "votes/vote_store.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "core/atomic_file.h"
#include "support/child_process.h"
#include "votes/connection.h"
#include "votes/schema.h"
#include "votes/tokens.h"
#include "votes/votes_world.h"

namespace imagerank::votes {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kToken = "a token";

class VoteStoreTest : public VotesWorld {
 protected:
  static Session begin(VoteStore& store, const std::string& token = kToken, const std::string& user = "") {
    Session session;
    store.transact([&] { session = store.add_session({token, user, 2, Strategy::kBalanced, "hash"}); });
    return session;
  }
  static ShownSet show(VoteStore& store, const Session& session, const std::string& prompt = "a red car") {
    const ShownSet set{random_hex(16), session.id, prompt, {"left", "right"}, Strategy::kRandom, now_ms()};
    store.transact([&] { store.add_set(set); });
    return set;
  }
  static void vote(VoteStore& store, const Session& session, const Vote& vote) {
    store.transact([&] { store.add_vote(session, vote); });
  }
  static Refusal refusal_of(VoteStore& store, const std::function<void()>& work) {
    std::optional<Refusal> reason;
    store.transact([&] {
      try {
        work();
      } catch (const RefusedVote& refused) {
        reason = refused.reason();
      }
    });
    EXPECT_TRUE(reason.has_value());
    return reason.value_or(Refusal::kNotShown);
  }
  static ErrorCode code_of(const std::function<void()>& work, std::string* message = nullptr) {
    try {
      work();
    } catch (const Error& error) {
      if (message != nullptr) *message = error.what();
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.code();
    }
    ADD_FAILURE() << "expected an error";
    return ErrorCode::kIo;
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, VoteStoreTest, testing::Values("sqlite", "postgresql"), kind_name);

TEST_P(VoteStoreTest, KeepsWhatWasVoted) {
  const std::string prompt = "a \"red\" car's <script> \xE2\x9C\x93 :name; --";
  std::string user_hash;
  {
    VoteStore store = open();
    const Session session = begin(store, kToken, "Ada");
    user_hash = session.user_hash;
    const ShownSet first = show(store, session, prompt), second = show(store, session), third = show(store, session);
    vote(store, session, {first.id, "right", false, 1234});
    vote(store, session, {second.id, std::nullopt, false, 10});
    vote(store, session, {third.id, std::nullopt, true, 0});
    store.transact([&] {
      const Progress progress = store.progress(session);
      EXPECT_EQ(progress.votes, 2);
      EXPECT_EQ(progress.ties, 1);
      EXPECT_EQ(progress.skipped, 1);
      EXPECT_EQ(store.load_session(kToken).choices, 2);
    });
  }
  VoteStore again(url(), VoteStore::Mode::kReadOnly);
  const std::vector<StoredVote> votes = again.votes();
  ASSERT_EQ(votes.size(), 3U);
  EXPECT_EQ(again.votes(1).size(), 1U);
  EXPECT_EQ(again.shown_sets().size(), 3U);
  int choices = 0;
  for (const StoredVote& each : votes) {
    EXPECT_EQ(each.user_hash, user_hash);
    EXPECT_THAT(each.set.images, ElementsAre("left", "right"));
    if (!each.choice) continue;
    ++choices;
    EXPECT_EQ(*each.choice, "right");
    EXPECT_EQ(each.set.prompt, prompt);
    EXPECT_EQ(each.taken_ms, 1234);
  }
  EXPECT_EQ(choices, 1);
}

TEST_P(VoteStoreTest, APersonIsAHash) {
  VoteStore store = open();
  const Session ada = begin(store, "one", "Ada"), again = begin(store, "two", "Ada");
  const Session nobody = begin(store, "three"), nobody_else = begin(store, "four");
  EXPECT_EQ(ada.user_hash, again.user_hash);
  EXPECT_NE(ada.user_hash, short_hash("Ada")) << "salted";
  EXPECT_NE(nobody.user_hash, nobody_else.user_hash);
  EXPECT_NE(ada.id, again.id);
}

TEST_P(VoteStoreTest, RefusesWhatWasNotShown) {
  VoteStore store = open();
  const Session ada = begin(store, "one"), bob = begin(store, "two");
  const ShownSet set = show(store, ada);
  EXPECT_EQ(refusal_of(store, [&] { (void)store.load_session("three"); }), Refusal::kUnknownSession);
  EXPECT_EQ(refusal_of(store, [&] { store.add_vote(bob, {set.id, "left", false, 1}); }), Refusal::kNotShown);
  EXPECT_EQ(refusal_of(store, [&] { store.add_vote(ada, {"' OR 1=1 --", "left", false, 1}); }), Refusal::kNotShown);
  EXPECT_EQ(refusal_of(store, [&] { store.add_vote(ada, {random_hex(16), "left", false, 1}); }), Refusal::kNotShown);
  EXPECT_EQ(refusal_of(store, [&] { store.add_vote(ada, {set.id, "middle", false, 1}); }), Refusal::kNotInSet);
  EXPECT_EQ(refusal_of(store, [&] { (void)store.undo(ada); }), Refusal::kNothingToUndo);
  vote(store, ada, {set.id, "left", false, 1});
  EXPECT_EQ(refusal_of(store, [&] { store.add_vote(ada, {set.id, "right", false, 1}); }), Refusal::kTwice);
  EXPECT_EQ(code_of([&] { vote(store, ada, {set.id, "left", true, 1}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { vote(store, ada, {set.id, "left", false, -1}); }), ErrorCode::kInvalidArgument);
  ASSERT_EQ(store.votes().size(), 1U);
  EXPECT_EQ(store.votes()[0].choice, "left");
}

TEST_P(VoteStoreTest, AVoteCanBeTakenBack) {
  VoteStore store = open();
  const Session session = begin(store);
  const ShownSet first = show(store, session);
  vote(store, session, {first.id, "left", false, 1});
  std::optional<ShownSet> before, after;
  store.transact([&] {
    before = store.find_open_set(session);
    EXPECT_EQ(store.undo(session).id, first.id);
    after = store.find_open_set(session);
  });
  EXPECT_FALSE(before.has_value());
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->id, first.id);
  EXPECT_TRUE(store.votes().empty());
  vote(store, session, {first.id, "right", false, 1});
  EXPECT_EQ(store.votes()[0].choice, "right");
}

TEST_P(VoteStoreTest, ATransactionHoldsWholeOrNotAtAll) {
  VoteStore store = open();
  const Session session = begin(store);
  const ShownSet set = show(store, session);
  EXPECT_THROW(store.transact([&] {
    store.add_vote(session, {set.id, "left", false, 1});
    throw std::runtime_error("something else");
  }),
               std::runtime_error);
  EXPECT_TRUE(store.votes().empty());
  vote(store, session, {set.id, "left", false, 1});
  EXPECT_EQ(store.votes().size(), 1U);
}

TEST_P(VoteStoreTest, AnOlderSchemaIsBroughtUpToDateAndKeepsItsVotes) {
  {
    Connection connection(url(), OpenMode::kWrite);
    migrate(connection, 1);
    connection.transact([](soci::session& sql) {
      sql << "INSERT INTO sessions VALUES ('s', 'u', 2, 'random', '', 1)";
      sql << "INSERT INTO shown_sets VALUES ('a', 's', 'a car', '[\"x\", \"y\"]', 'random', 2)";
      sql << "INSERT INTO votes VALUES ('a', 's', 'y', 0, 5, 3)";
    });
  }
  EXPECT_EQ(VoteStore(url(), VoteStore::Mode::kReadOnly).votes().size(), 1U) << "an old one can be read as it is";
  VoteStore store = open();
  ASSERT_EQ(store.votes().size(), 1U);
  EXPECT_EQ(store.votes()[0].choice, "y");
  Session session = begin(store);
  session.id = "s";
  store.transact([&] { EXPECT_EQ(store.undo(session).id, "a"); });  // which needs version 2
}

TEST_P(VoteStoreTest, ANewerSchemaIsRefused) {
  (void)open();
  Connection(url(), OpenMode::kWrite).transact([](soci::session& sql) {
    sql << "INSERT INTO schema_version VALUES (99, 0)";
  });
  for (const auto mode : {VoteStore::Mode::kWrite, VoteStore::Mode::kReadOnly}) {
    std::string message;
    EXPECT_EQ(code_of([&] { VoteStore(url(), mode); }, &message), ErrorCode::kRefused);
    EXPECT_THAT(message, HasSubstr("found 99"));
  }
}

TEST_P(VoteStoreTest, ADatabaseOfSomethingElseHoldsNoVotes) {
  Connection(url(), OpenMode::kWrite).transact([](soci::session& sql) { sql << "CREATE TABLE other (a INTEGER)"; });
  std::string message;
  EXPECT_EQ(code_of([&] { VoteStore(url(), VoteStore::Mode::kReadOnly); }, &message), ErrorCode::kCorruptData);
  EXPECT_THAT(message, HasSubstr("none of its tables"));
}

TEST_P(VoteStoreTest, ALockedDatabaseTakesNothingAndGoesOnLater) {
  VoteStore store = open();
  const Session session = begin(store);
  const ShownSet set = show(store, session);
  Connection other(url(), OpenMode::kWrite);
  other.transact([&](soci::session& sql) {
    if (sqlite()) {  // BEGIN IMMEDIATE holds the lock
      sql << "DELETE FROM undone_votes";
    } else {
      sql << "LOCK TABLE votes IN ACCESS EXCLUSIVE MODE";
    }
    std::string message;
    EXPECT_EQ(code_of([&] { vote(store, session, {set.id, "left", false, 1}); }, &message), ErrorCode::kUnavailable);
    EXPECT_THAT(message, HasSubstr("locked"));
  });
  EXPECT_TRUE(store.votes().empty());
  vote(store, session, {set.id, "left", false, 1});
  EXPECT_EQ(store.votes().size(), 1U);
}

TEST(SqliteStoreTest, AFileThatIsGoneOrReplacedTakesNothing) {
  const test::TemporaryFolder folder;
  const DatabaseUrl url = parse_database_url("sqlite://" + (folder / "votes.db").string());
  VoteStore store(url, VoteStore::Mode::kWrite);
  std::filesystem::rename(folder / "votes.db", folder / "elsewhere.db");
  const auto add = [&] { store.transact([&] { store.add_session({"t", "", 2, Strategy::kRandom, ""}); }); };
  EXPECT_THROW(add(), Error);
  test::write_text(folder / "votes.db", "");
  EXPECT_THROW(add(), Error);
  std::filesystem::rename(folder / "elsewhere.db", folder / "votes.db");
  add();
}

TEST(SqliteStoreTest, AFullDiskTakesNothingAndGoesOnLater) {
  test::SmallDisk disk(std::uint64_t{1} << 20);
  if (!disk.reason().empty()) GTEST_SKIP() << disk.reason();
  const DatabaseUrl url = parse_database_url("sqlite://" + (disk.path() / "votes.db").string());
  VoteStore store(url, VoteStore::Mode::kWrite);
  disk.leave(0);
  int stored = 0;
  std::string message;
  for (; stored < 2000 && message.empty(); ++stored) {
    try {
      store.transact([&] { store.add_session({std::to_string(stored), "", 2, Strategy::kRandom, ""}); });
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      message = error.what();
    }
  }
  EXPECT_THAT(message, HasSubstr("disk is full"));
  disk.resize(std::uint64_t{4} << 20);
  store.transact([&] {
    for (int i = 0; i + 1 < stored; ++i) EXPECT_NO_THROW((void)store.load_session(std::to_string(i)));
    store.add_session({"after", "", 2, Strategy::kRandom, ""});
  });
}

TEST(SqliteStoreTest, WhatIsNoDatabaseIsSaid) {
  const test::TemporaryFolder folder;
  const auto message_of = [&](const std::string& name, VoteStore::Mode mode) -> std::string {
    try {
      VoteStore(parse_database_url("sqlite://" + (folder / name).string()), mode);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  test::write_text(folder / "text.db", std::string(5000, 'x'));
  EXPECT_THAT(message_of("text.db", VoteStore::Mode::kWrite), HasSubstr("expected a SQLite database"));
  EXPECT_THAT(message_of("none.db", VoteStore::Mode::kReadOnly), HasSubstr("found no file"));
  EXPECT_THAT(message_of("no/folder.db", VoteStore::Mode::kWrite), HasSubstr("folder.db"));
  EXPECT_FALSE(std::filesystem::exists(folder / "none.db"));
}

TEST(PostgresStoreTest, AServerThatIsGoneTakesNothingAndIsFoundAgain) {
  test::PostgresServer server;
  if (!server.reason().empty()) GTEST_SKIP() << server.reason();
  const std::string url = server.make_database();
  VoteStore store(parse_database_url(url), VoteStore::Mode::kWrite);
  const auto add = [&](const std::string& token) {
    store.transact([&] { store.add_session({token, "", 2, Strategy::kRandom, ""}); });
  };
  add("one");
  server.stop();
  EXPECT_THROW(add("two"), Error);
  EXPECT_THROW(add("two"), Error);
  server.start();
  add("two");
  store.transact([&] { EXPECT_NO_THROW((void)store.load_session("one")); });
}

TEST(DatabaseUrlTest, NamesAFileOrAServer) {
  EXPECT_EQ(parse_database_url("sqlite://votes.db").sqlite, "votes.db");
  EXPECT_EQ(parse_database_url("sqlite:///a/b c.db").sqlite, "/a/b c.db");
  const DatabaseUrl server = parse_database_url("postgresql://me:secret@host:5433/votes?sslmode=require");
  EXPECT_EQ(server.shown, "postgresql://host:5433/votes");
  EXPECT_TRUE(server.sqlite.empty());
  for (const std::string bad : {"votes.db", "mysql://me:secret@host/x", "sqlite://", "sqlite://a\"b", ""}) {
    try {
      (void)parse_database_url(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), Not(HasSubstr("secret")));
    }
  }
}

TEST(DatabaseUrlTest, APasswordIsNeverToldOfAServerThatDoesNotAnswer) {
  for (const char* const url :
       {"postgresql://me:secret@127.0.0.1:1/votes", "postgresql://me:secret@[::1/votes",
        "postgresql://me:secret%20word@127.0.0.1:1/votes", "postgresql://me:secret@a:b/votes"}) {
    try {
      VoteStore(parse_database_url(url), VoteStore::Mode::kWrite);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), Not(HasSubstr("secret")));
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    }
  }
}

}  // namespace
}  // namespace imagerank::votes
