#include "simulation/annotators.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

namespace imagerank::simulation {
namespace {

const Scene kScene{Background::kSea, {{Shape::kStar, Colour::kRed, Size::kLarge, 1, Place::kCentre}}};

std::array<Candidate, 4> candidates(std::array<double, 4> matches) {
  std::array<Candidate, 4> result;
  for (std::size_t i = 0; i < 4; ++i) result[i] = {matches[i], 0.5, &kScene};
  return result;
}

TEST(TrueUtility, IsMostlyTheMatch) {
  EXPECT_DOUBLE_EQ(true_utility(1.0, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(true_utility(0.0, 0.0), 0.0);
  EXPECT_GT(true_utility(1.0, 0.0), 2.0 * true_utility(0.0, 1.0));
}

TEST(Vote, APersonWithoutNoiseSeesTheTruth) {
  Annotator person;
  person.tie_margin = 0.05;
  Random random(1);
  EXPECT_EQ(vote(person, candidates({0.2, 0.9, 0.5, 0.1}), random), 1U);
  EXPECT_EQ(vote(person, candidates({0.2, 0.3, 0.5, 1.0}), random), 3U);
  // 0.68 * 0.05 = 0.034 is less than the margin.
  EXPECT_EQ(vote(person, candidates({0.9, 0.85, 0.5, 0.1}), random), std::nullopt);
  EXPECT_EQ(vote(person, candidates({0.9, 0.80, 0.5, 0.1}), random), 0U);
}

TEST(Vote, TasteTurnsACloseChoice) {
  const Scene other{Background::kSand, {{Shape::kStar, Colour::kBlue, Size::kLarge, 1, Place::kCentre}}};
  std::array<Candidate, 2> pair = {Candidate{0.6, 0.5, &kScene}, Candidate{0.55, 0.5, &other}};
  Annotator person;
  Random random(1);
  EXPECT_EQ(vote(person, pair, random), 0U);
  person.colour_taste[static_cast<std::size_t>(Colour::kBlue)] = 0.1;
  EXPECT_EQ(vote(person, pair, random), 1U);
  person.background_taste[static_cast<std::size_t>(Background::kSand)] = -0.1;
  EXPECT_EQ(vote(person, pair, random), 0U);
}

TEST(Vote, NoiseMakesAPersonContradictThemselves) {
  Annotator person;
  person.noise = 0.2;
  Random random(2);
  std::map<std::optional<std::size_t>, int> votes;
  for (int i = 0; i < 1000; ++i) ++votes[vote(person, candidates({0.8, 0.6, 0.4, 0.2}), random)];
  EXPECT_GT(votes[0], votes[1]);
  EXPECT_GT(votes[1], votes[3]);
  EXPECT_GT(votes[3], 0);
}

TEST(MakeAnnotators, TenPeopleDoMoreThanHalf) {
  Random random(3);
  const auto people = make_annotators(26'000, 1.0, random);
  ASSERT_EQ(people.size(), 1000U);
  double heavy = 0.0;
  double all = 0.0;
  for (std::size_t i = 0; i < people.size(); ++i) {
    (i < 10 ? heavy : all) += people[i].activity;
    EXPECT_GT(people[i].noise, 0.0);
    EXPECT_GT(people[i].tie_margin, 0.0);
  }
  all += heavy;
  EXPECT_NEAR(heavy, 0.56, 0.005);
  EXPECT_NEAR(all, 1.0, 1e-9);
  std::vector<int> drawn(people.size());
  for (int i = 0; i < 20'000; ++i) ++drawn[draw_annotator(people, random)];
  EXPECT_NEAR(drawn[0] / 20'000.0, people[0].activity, 0.01);
}

TEST(MakeAnnotators, WithoutNoiseNobodyHasATaste) {
  Random random(4);
  for (const Annotator& person : make_annotators(100, 0.0, random)) {
    EXPECT_EQ(person.noise, 0.0);
    EXPECT_EQ(person.quality_taste, 0.0);
    EXPECT_EQ(person.colour_taste, (std::array<double, kColourCount>{}));
    EXPECT_EQ(person.first_place_taste, 0.0);
  }
}

}  // namespace
}  // namespace imagerank::simulation
