#include "votes/voting.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <latch>
#include <set>
#include <thread>

#include "votes/connection.h"
#include "votes/votes_world.h"

namespace imagerank::votes {
namespace {

/// Waits for what a request was answered by.
template <typename T, typename Ask>
T wait_for(Ask ask) {
  std::promise<T> promise;
  const bool taken = ask([&promise](const std::function<T()>& result) {
    try {
      promise.set_value(result());
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  });
  if (!taken) throw std::runtime_error("turned away");
  return promise.get_future().get();
}

struct Voter {
  Voting& voting;
  std::string token;

  Voter(Voting& where, const std::string& user, int choices = 2) : voting(where) {
    token = wait_for<StartedSession>([&](auto done) {
              return voting.start_session({"", user, choices, Strategy::kBalanced, ""}, done);
            }).token;
  }
  NextSet next() const {
    return wait_for<NextSet>([&](auto done) { return voting.next_set(token, done); });
  }
  Progress vote(const ShownSet& set, std::optional<std::string> choice) const {
    return wait_for<Progress>([&](auto done) { return voting.vote(token, {set.id, choice, false, 5}, done); });
  }
};

class VotingTest : public VotesWorld {};
INSTANTIATE_TEST_SUITE_P(Kinds, VotingTest, testing::Values("sqlite", "postgresql"), kind_name);

TEST_P(VotingTest, TheOpenSetStaysUntilItHasItsVote) {
  Voting voting(small_gallery(3, 3), {.database = url()});
  const Voter ada(voting, "Ada");
  const NextSet first = ada.next();
  ASSERT_TRUE(first.set.has_value());
  EXPECT_EQ(ada.next().set->id, first.set->id);
  EXPECT_EQ(ada.vote(*first.set, first.set->images[1]).votes, 1);
  const NextSet second = ada.next();
  EXPECT_NE(second.set->id, first.set->id);
  EXPECT_EQ(second.progress.votes, 1);
  const NextSet undone = wait_for<NextSet>([&](auto done) { return voting.undo(ada.token, done); });
  EXPECT_EQ(undone.set->id, first.set->id);
  EXPECT_EQ(undone.progress.votes, 0);
}

TEST_P(VotingTest, NobodySeesASetTwiceNotEvenAfterARestart) {
  std::set<std::set<std::string>> seen;
  std::string token;
  for (int round = 0; round < 2; ++round) {
    Voting voting(small_gallery(2, 3), {.database = url()});  // 6 sets
    Voter ada(voting, "Ada");
    if (round == 0) token = ada.token;
    ada.token = token;
    for (int i = 0; i < 3; ++i) {
      const NextSet next = ada.next();
      ASSERT_TRUE(next.set.has_value());
      EXPECT_TRUE(seen.insert({next.set->images.begin(), next.set->images.end()}).second);
      ada.vote(*next.set, std::nullopt);
    }
    EXPECT_EQ(ada.next().set.has_value(), round == 0);
  }
}

TEST_P(VotingTest, ManyAtOnceAreAllStored) {
  constexpr int kVoters = 16, kVotes = 12;
  std::atomic<int> acknowledged = 0;
  {
    Voting voting(small_gallery(8, 6), {.database = url()});
    std::vector<std::jthread> threads;
    for (int i = 0; i < kVoters; ++i) {
      threads.emplace_back([&, i] {
        const Voter voter(voting, "voter " + std::to_string(i), i % 2 == 0 ? 2 : 4);
        for (int v = 0; v < kVotes; ++v) {
          const NextSet next = voter.next();
          acknowledged += voter.vote(*next.set, next.set->images.back()).votes == v + 1 ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(acknowledged, kVoters * kVotes);
  EXPECT_EQ(VoteStore(url(), VoteStore::Mode::kReadOnly).votes().size(), std::size_t{kVoters * kVotes});
}

TEST_P(VotingTest, OneRefusedVoteDoesNotEndThoseOfOthers) {
  Voting voting(small_gallery(3, 3), {.database = url()});
  const Voter ada(voting, "Ada"), bob(voting, "Bob");
  const ShownSet hers = *ada.next().set, his = *bob.next().set;
  std::promise<void> refused, taken;
  const auto keep = [](std::promise<void>& promise) {
    return [&promise](const std::function<Progress()>& result) {
      try {
        (void)result();
        promise.set_value();
      } catch (...) {
        promise.set_exception(std::current_exception());
      }
    };
  };
  EXPECT_TRUE(voting.vote(bob.token, {hers.id, std::nullopt, false, 1}, keep(refused)));
  EXPECT_TRUE(voting.vote(bob.token, {his.id, std::nullopt, false, 1}, keep(taken)));
  EXPECT_THROW(refused.get_future().get(), RefusedVote);
  EXPECT_NO_THROW(taken.get_future().get());
  EXPECT_THROW(wait_for<NextSet>([&](auto done) { return voting.next_set("no token", done); }), RefusedVote);
}

TEST_P(VotingTest, WhatFindsNoRoomIsTurnedAway) {
  Voting voting(small_gallery(2, 2), {.database = url(), .max_waiting = 2});
  const Voter ada(voting, "Ada");
  std::latch first(1), go_on(1);
  std::atomic<int> answered = 0;
  const Done<NextSet> count = [&](const std::function<NextSet()>&) { ++answered; };
  // The first one holds the thread up in its answer.
  EXPECT_TRUE(voting.next_set(ada.token, [&](const std::function<NextSet()>&) {
    first.count_down();
    go_on.wait();
  }));
  first.wait();
  EXPECT_TRUE(voting.next_set(ada.token, count));
  EXPECT_TRUE(voting.next_set(ada.token, count));
  EXPECT_FALSE(voting.next_set(ada.token, count));
  go_on.count_down();
  (void)ada;
  while (answered < 2) std::this_thread::yield();
}

TEST_P(VotingTest, WatchKnowsTheRewardsScores) {
  Voting voting(small_gallery(1, 2), {.database = url()});
  voting.set_scores("first", 0, {{1.0, 0.0}, {2.0, 0.0}});
  const Voter ada(voting, "Ada"), bob(voting, "Bob");
  ada.vote(*ada.next().set, "p0i1");
  bob.vote(*bob.next().set, "p0i0");
  const Watch watch = voting.watch_votes();
  EXPECT_EQ(watch.votes, 2);
  EXPECT_EQ(watch.between_people.n, 1);
  EXPECT_EQ(watch.between_people.hits, 0);
  ASSERT_EQ(watch.with_rewards.size(), 1U);
  EXPECT_EQ(watch.with_rewards[0].share.hits, 1);
  EXPECT_EQ(watch.with_rewards[0].share.n, 2);
}

}  // namespace
}  // namespace imagerank::votes
