#include "votes/next_set.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>

#include "votes/votes_world.h"

namespace imagerank::votes {
namespace {

ShownCounts no_counts(const Gallery& gallery) {
  ShownCounts counts;
  for (const auto& prompt : gallery.prompts) counts.emplace_back(prompt.images.size(), 0);
  return counts;
}

TEST(SurenessTest, IsTheLeadInStandardDeviations) {
  EXPECT_DOUBLE_EQ(*sureness({{1.0, 0.0}, {4.0, 0.0}, {3.5, 0.0}}), 0.5);
  EXPECT_DOUBLE_EQ(*sureness({{4.0, 3.0}, {-1.0, 4.0}}), 1.0);  // lead 5, hypot(3, 4) = 5
  EXPECT_EQ(sureness({{1.0, 0.0}, {std::numeric_limits<double>::quiet_NaN(), 0.0}}), std::nullopt);
}

TEST(SetKeyTest, DoesNotDependOnTheOrder) {
  EXPECT_EQ(set_key("p", {"a", "b"}), set_key("p", {"b", "a"}));
  EXPECT_NE(set_key("p", {"a", "b"}), set_key("q", {"a", "b"}));
  EXPECT_NE(set_key("p", {"a", "b"}), set_key("p", {"a", "c"}));
}

TEST(ChooseNextTest, RandomSetsAreOfOnePromptInBothOrders) {
  const Gallery gallery = small_gallery(3, 4);
  Random random(1);
  std::map<std::vector<std::uint32_t>, int> times;
  for (int i = 0; i < 3600; ++i) {
    const auto choice = choose_next(gallery, Strategy::kRandom, 2, no_counts(gallery), {}, {}, random);
    ASSERT_TRUE(choice.has_value());
    ASSERT_EQ(choice->set.places.size(), 2U);
    ASSERT_NE(choice->set.places[0], choice->set.places[1]);
    ++times[{choice->set.prompt, choice->set.places[0], choice->set.places[1]}];
  }
  EXPECT_EQ(times.size(), 36U) << "3 prompts, 12 ordered pairs";
  for (const auto& [what, count] : times) EXPECT_NEAR(count, 100, 50);
}

TEST(ChooseNextTest, BalancedTakesWhatWasShownLeast) {
  const Gallery gallery = small_gallery(2, 4);
  ShownCounts shown = {{5, 1, 5, 1}, {3, 3, 3, 3}};
  Random random(2);
  const auto choice = choose_next(gallery, Strategy::kBalanced, 2, shown, {}, {}, random);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->set.prompt, 0U);
  EXPECT_THAT(choice->set.places, testing::UnorderedElementsAre(1, 3));
  EXPECT_EQ(choice->strategy, Strategy::kBalanced);
  shown[0] = {9, 9, 9, 9};
  EXPECT_EQ(choose_next(gallery, Strategy::kBalanced, 2, shown, {}, {}, random)->set.prompt, 1U);
}

TEST(ChooseNextTest, UncertainTakesTheSmallestLead) {
  const Gallery gallery = small_gallery(2, 3);
  const ScoreTable scores = {{{0.0, 0.0}, {5.0, 0.0}, {9.0, 0.0}}, {{0.0, 0.0}, {7.0, 0.0}, {7.1, 0.0}}};
  Random random(3);
  const auto choice = choose_next(gallery, Strategy::kUncertain, 2, no_counts(gallery), scores, {}, random);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->set.prompt, 1U);
  EXPECT_THAT(choice->set.places, testing::UnorderedElementsAre(1, 2));
  EXPECT_EQ(choice->strategy, Strategy::kUncertain);
}

TEST(ChooseNextTest, UncertainIsRandomUntilScoresAreThereAndSaysSo) {
  const Gallery gallery = small_gallery(1, 2);
  Random random(4);
  const ScoreTable unscored(1);
  EXPECT_EQ(choose_next(gallery, Strategy::kUncertain, 2, no_counts(gallery), unscored, {}, random)->strategy,
            Strategy::kRandom);
}

TEST(ChooseNextTest, NoSetComesTwiceAndThenThereIsNone) {
  for (const Strategy strategy : {Strategy::kRandom, Strategy::kBalanced, Strategy::kUncertain}) {
    for (const std::size_t choices : {2U, 4U}) {
      const Gallery gallery = small_gallery(2, 5);
      const std::size_t all = choices == 2 ? 20 : 10;  // 2 * C(5, 2), 2 * C(5, 4)
      SeenSets seen;
      ShownCounts shown = no_counts(gallery);
      Random random(5);
      for (std::size_t i = 0; i < all; ++i) {
        const auto choice = choose_next(gallery, strategy, choices, shown, {}, seen, random);
        ASSERT_TRUE(choice.has_value()) << name_of(strategy) << " " << i;
        std::vector<std::string> uids;
        for (const std::uint32_t place : choice->set.places) {
          uids.push_back(gallery.images[gallery.prompts[choice->set.prompt].images[place]].uid);
          ++shown[choice->set.prompt][place];
        }
        EXPECT_TRUE(seen.insert(set_key(gallery.prompts[choice->set.prompt].text, uids)).second);
      }
      EXPECT_FALSE(choose_next(gallery, strategy, choices, shown, {}, seen, random).has_value());
    }
  }
}

TEST(ChooseNextTest, PromptsOfTooFewImagesAreLeftOut) {
  const Gallery gallery = small_gallery(2, 3);
  Random random(6);
  EXPECT_FALSE(choose_next(gallery, Strategy::kRandom, 4, no_counts(gallery), {}, {}, random).has_value());
}

}  // namespace
}  // namespace imagerank::votes
