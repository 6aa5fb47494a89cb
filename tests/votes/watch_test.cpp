#include "votes/watch.h"

#include <gmock/gmock.h>

namespace imagerank::votes {
namespace {

StoredVote vote(const std::string& user, const std::vector<std::string>& images, const std::string& choice,
                std::int64_t ms = 1000, const std::string& prompt = "p") {
  StoredVote result;
  result.set.prompt = prompt;
  result.set.images = images;
  result.user_hash = user;
  if (choice == "skip") {
    result.skipped = true;
  } else if (!choice.empty()) {
    result.choice = choice;
  }
  result.taken_ms = ms;
  return result;
}

TEST(ShareTest, HasWilsonsInterval) {
  const Share share = share_of(8, 10);  // by hand: middle 0.71674, half 0.22658
  EXPECT_DOUBLE_EQ(*share.value, 0.8);
  EXPECT_NEAR(*share.low, 0.49016, 1e-4);
  EXPECT_NEAR(*share.high, 0.94332, 1e-4);
  EXPECT_NEAR(*share_of(0, 10).high, 0.27753, 1e-4);  // z^2 / (n + z^2)
  EXPECT_NEAR(*share_of(0, 10).low, 0.0, 1e-12);
  EXPECT_FALSE(share_of(0, 0).value.has_value());
}

TEST(MoreNeededTest, IsTheFirstCountThatIsNarrowEnough) {
  // Of p = 0.5 the half width is z / (2 sqrt(n + z^2)): 0.1 at n = 92.2.
  EXPECT_EQ(more_needed(share_of(5, 10), 0.1), 83);
  EXPECT_EQ(more_needed(share_of(46, 92), 0.1), 1);
  EXPECT_EQ(more_needed(share_of(47, 94), 0.1), 0);
  EXPECT_EQ(more_needed(share_of(0, 0), 0.1), std::nullopt);
}

TEST(WatchTest, PeopleAgreeWhereTheySayTheSameOfAPair) {
  // Of (a, b): Ann a, Bob a, Cem b: 3 comparisons, 1 agrees. Of (c, d), in both orders: Ann and Bob no preference:
  // agrees.
  const std::vector<StoredVote> votes = {
      vote("ann", {"a", "b"}, "a"), vote("bob", {"b", "a"}, "a"), vote("cem", {"a", "b"}, "b"),
      vote("ann", {"c", "d"}, ""),  vote("bob", {"d", "c"}, ""),  vote("cem", {"c", "d"}, "skip"),
  };
  const Watch result = watch(votes, {});
  EXPECT_EQ(result.votes, 5);
  EXPECT_EQ(result.ties, 2);
  EXPECT_EQ(result.skipped, 1);
  EXPECT_EQ(result.between_people.hits, 2);
  EXPECT_EQ(result.between_people.n, 4);
  ASSERT_EQ(result.people.size(), 3U);
  EXPECT_EQ(result.people[0].user_hash, "ann");
  EXPECT_EQ(result.people[0].with_others.hits, 2);
  EXPECT_EQ(result.people[0].with_others.n, 3);
  EXPECT_EQ(result.people[2].user_hash, "cem");
  EXPECT_EQ(result.people[2].with_others.hits, 0);
  EXPECT_EQ(result.people[2].with_others.n, 2);
  EXPECT_EQ(result.people[2].skipped, 1);
}

TEST(WatchTest, TheBestOfFourSaysOfThreePairs) {
  // Ann: a over b, c, d. Bob: a over b (of two), b over c (of two, which Ann does not say). Another prompt does not
  // count.
  const std::vector<StoredVote> votes = {vote("ann", {"a", "b", "c", "d"}, "a"), vote("bob", {"b", "a"}, "a"),
                                         vote("bob", {"b", "c"}, "b"), vote("bob", {"a", "d"}, "d", 1, "q")};
  const Watch result = watch(votes, {});
  EXPECT_EQ(result.between_people.n, 1);
  EXPECT_EQ(result.between_people.hits, 1);
}

TEST(WatchTest, OfOnePersonTheLastJudgementCounts) {
  const std::vector<StoredVote> votes = {vote("ann", {"a", "b"}, "a"), vote("ann", {"a", "b"}, "b"),
                                         vote("bob", {"a", "b"}, "b")};
  EXPECT_EQ(watch(votes, {}).between_people.hits, 1);
  EXPECT_EQ(watch(votes, {}).between_people.n, 1);
}

TEST(WatchTest, AgreementWithARewardLeavesOutWhatItDoesNotSay) {
  const NamedScores reward{"first", [](const std::string&, const std::string& uid) -> std::optional<double> {
                             if (uid == "x") return std::nullopt;
                             return uid == "a" || uid == "e" ? 2.0 : 1.0;
                           }};
  const std::vector<StoredVote> votes = {
      vote("ann", {"a", "b"}, "a"),            // agrees
      vote("ann", {"a", "b"}, "b"),            // does not
      vote("ann", {"b", "c", "a", "d"}, "a"),  // agrees, chance 1/4
      vote("ann", {"a", "x"}, "a"),            // x is not scored
      vote("ann", {"a", "e"}, "a"),            // both are best
      vote("ann", {"a", "b"}, ""),             // no preference
  };
  const Watch result = watch(votes, std::vector{reward});
  ASSERT_EQ(result.with_rewards.size(), 1U);
  EXPECT_EQ(result.with_rewards[0].reward, "first");
  EXPECT_EQ(result.with_rewards[0].share.hits, 2);
  EXPECT_EQ(result.with_rewards[0].share.n, 3);
  EXPECT_NEAR(result.with_rewards[0].chance, (0.5 + 0.5 + 0.25) / 3, 1e-12);
}

TEST(WatchTest, PositionsAreCountedBySizeAndTimesByVote) {
  const std::vector<StoredVote> votes = {
      vote("ann", {"a", "b"}, "a", 1000), vote("ann", {"a", "b"}, "b", 2000),
      vote("ann", {"c", "b"}, "c", 3000), vote("ann", {"a", "b", "c", "d"}, "d", 4000),
      vote("ann", {"a", "b"}, "", 5000),  vote("ann", {"a", "b"}, "skip", 99),
  };
  const Watch result = watch(votes, {});
  ASSERT_EQ(result.places.size(), 2U);
  EXPECT_THAT(result.places[0].chosen, testing::ElementsAre(2, 1));
  EXPECT_EQ(result.places[0].first.hits, 2);
  EXPECT_EQ(result.places[0].first.n, 3);
  EXPECT_THAT(result.places[1].chosen, testing::ElementsAre(0, 0, 0, 1));
  EXPECT_EQ(result.speed.median, 3000.0);
  EXPECT_EQ(result.speed.p10, 1400.0);  // 0.4 of the way from the first to the second
  EXPECT_EQ(result.people[0].median_ms, 3000.0);
  EXPECT_EQ(result.people[0].first.hits, 2);
  EXPECT_EQ(result.people[0].first.n, 4);
}

TEST(WatchTest, NothingIsSaidOfNoVotes) {
  const Watch result = watch({}, {});
  EXPECT_FALSE(result.between_people.value.has_value());
  EXPECT_FALSE(result.speed.median.has_value());
  EXPECT_TRUE(result.people.empty());
}

}  // namespace
}  // namespace imagerank::votes
