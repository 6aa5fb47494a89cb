#include "statistics/statistics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::statistics {
namespace {

using workspace::Ranking;
using workspace::Workspace;

Ranking ranking(const std::string& id, const std::string& prompt, std::vector<std::string> images,
                const std::string& best, const std::string& user = "u") {
  Ranking row;
  row.ranking_id = id;
  row.dataset = "d";
  row.created_at = "2023-01-0" + id + " 00:00:00";
  row.user_id = user;
  row.prompt = prompt;
  row.image_uids = std::move(images);
  if (!best.empty()) row.best_image_uid = best;
  return row;
}

workspace::Image image(const std::string& uid, const std::string& status) {
  workspace::Image row;
  row.image_uid = uid;
  row.status = status;
  return row;
}

class StatisticsTest : public ::testing::Test {
 protected:
  Statistics measure(const std::vector<Ranking>& rows) const {
    workspace_.write_rankings(rows);
    return measure_workspace(workspace_, {});
  }
  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_.path());
};

/// (a, p) is best, then other; (b, p) other, then best; a tie of c, d under q.
std::vector<Ranking> hand_worked() {
  return {ranking("1", "p", {"a", "b", "c"}, "a"), ranking("2", "p", {"a", "b"}, "b", "v"),
          ranking("3", "q", {"c", "d"}, "", "w"), ranking("4", "Q  ", {"c", "d"}, "d", "w")};
}

TEST_F(StatisticsTest, CountsByHand) {
  const Statistics found = measure(hand_worked());
  EXPECT_EQ(found.rankings, 4);
  EXPECT_EQ(found.ties, 1);
  EXPECT_EQ(found.users, 3);
  EXPECT_EQ(found.prompts, 3);
  EXPECT_EQ(found.prompts_joined, 2);
  EXPECT_EQ(found.images_judged, 4);
  EXPECT_EQ(found.images, 0);
  EXPECT_EQ(found.images_per_ranking, (std::map<std::int64_t, std::int64_t>{{2, 3}, {3, 1}}));
  EXPECT_EQ(found.datasets, (std::map<std::string, std::int64_t>{{"d", 4}}));
  EXPECT_EQ(found.official_splits, (std::map<std::string, std::int64_t>{{"", 4}}));
  EXPECT_EQ(found.first_time, "2023-01-01 00:00:00");
  EXPECT_EQ(found.last_time, "2023-01-04 00:00:00");
  // (a,p) 2, (b,p) 2, (c,p) 0, (c,q) 1, (d,q) 1, (c,Q) 0, (d,Q) 2
  EXPECT_EQ(found.labels, (std::array<std::int64_t, 3>{2, 2, 3}));
  EXPECT_EQ(found.conflicts, 2);
  EXPECT_EQ(found.winners, 3);
  EXPECT_EQ(found.winners_that_lost, 2);
  EXPECT_EQ(found.strict_pairs, 2 + 1 + 1);
  EXPECT_EQ(found.tied_pairs, 1);
}

TEST_F(StatisticsTest, RanksGiveEveryPair) {
  Ranking row = ranking("1", "p", {"a", "b", "c"}, "a");
  row.ranks = {1, 2, 2};
  const Statistics found = measure({row});
  EXPECT_EQ(found.with_ranks, 1);
  EXPECT_EQ(found.strict_pairs, 2);
  EXPECT_EQ(found.tied_pairs, 1);
  EXPECT_EQ(found.labels, (std::array<std::int64_t, 3>{2, 0, 1}));
}

TEST_F(StatisticsTest, OfTiedRanksTheFirstAreTies) {
  Ranking row = ranking("1", "p", {"a", "b", "c"}, "");
  row.ranks = {1, 1, 2};
  const Statistics found = measure({row});
  EXPECT_EQ(found.labels, (std::array<std::int64_t, 3>{1, 2, 0}));
  EXPECT_EQ(found.strict_pairs, 2);
  EXPECT_EQ(found.tied_pairs, 1);
}

TEST_F(StatisticsTest, PositionBiasByHand) {
  std::vector<Ranking> rows;
  // Of 12 rankings of two images the first place wins 9; chance 6: chi-square 2 * 9 / 6 = 3.
  for (int i = 0; i < 12; ++i) rows.push_back(ranking("1", fmt::format("{}", i), {"a", "b"}, i < 9 ? "a" : "b"));
  rows.push_back(ranking("2", "tie", {"a", "b"}, ""));
  const Statistics found = measure(rows);
  ASSERT_EQ(found.position_bias.sizes.size(), 1U);
  EXPECT_EQ(found.position_bias.sizes[0].wins, (std::vector<std::int64_t>{9, 3}));
  EXPECT_EQ(found.position_bias.sizes[0].rankings(), 12);
  EXPECT_NEAR(found.position_bias.chi_square, 3.0, 1e-12);
  EXPECT_EQ(found.position_bias.degrees, 1);
  ASSERT_TRUE(found.position_bias.p.has_value());
  EXPECT_NEAR(*found.position_bias.p, 0.0832645, 1e-6);
}

TEST_F(StatisticsTest, PlacesThatNeverWinCount) {
  const Statistics found = measure({ranking("1", "p", {"a", "b", "c"}, "a"), ranking("2", "q", {"a", "b", "c"}, "a"),
                                    ranking("3", "r", {"a", "b"}, "b")});
  ASSERT_EQ(found.position_bias.sizes.size(), 2U);
  EXPECT_EQ(found.position_bias.sizes[0].wins, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(found.position_bias.sizes[1].wins, (std::vector<std::int64_t>{2, 0, 0}));
  EXPECT_EQ(found.position_bias.degrees, 3);
  EXPECT_NEAR(found.position_bias.chi_square, 1.0 + 4.0, 1e-12);
}

/// Three users on (p, ab): a, a, b. Two on (q, ab): tie, tie. One alone on (r, ab). Lists in either order.
TEST_F(StatisticsTest, AgreementByHand) {
  const Statistics found = measure({ranking("1", "p", {"a", "b"}, "a", "u1"), ranking("2", "p", {"b", "a"}, "a", "u2"),
                                    ranking("3", "p", {"a", "b"}, "b", "u3"), ranking("4", "q", {"a", "b"}, "", "u1"),
                                    ranking("5", "q", {"b", "a"}, "", "u2"), ranking("6", "r", {"a", "b"}, "a", "u1"),
                                    ranking("7", "p", {"a", "b"}, "b", "")});
  const Agreement& agreement = found.agreement;
  EXPECT_EQ(agreement.units, 2);
  EXPECT_EQ(agreement.pairs, 3 + 1);
  EXPECT_EQ(agreement.agreeing, 1 + 1);
  EXPECT_EQ(agreement.strict_pairs, 3);
  EXPECT_EQ(agreement.strict_agreeing, 1);
  EXPECT_EQ(agreement.repeat_pairs, 0);
  // Observed: (9 - 5) / 2 = 2 of 5 judgements. Expected: (25 - 4 - 1 - 4) / 20.
  ASSERT_TRUE(agreement.alpha.has_value());
  EXPECT_NEAR(*agreement.alpha, 1.0 - (2.0 / 5.0) / (16.0 / 20.0), 1e-12);
  EXPECT_EQ(found.without_user, 1);
}

TEST_F(StatisticsTest, OneUserAgainIsNoOtherUser) {
  const Statistics found = measure({ranking("1", "p", {"a", "b"}, "a", "u"), ranking("2", "p", {"a", "b"}, "a", "u"),
                                    ranking("3", "p", {"a", "b"}, "b", "u")});
  EXPECT_EQ(found.agreement.units, 0);
  EXPECT_EQ(found.agreement.pairs, 0);
  EXPECT_FALSE(found.agreement.alpha.has_value());
  EXPECT_EQ(found.agreement.repeat_pairs, 3);
  EXPECT_EQ(found.agreement.repeat_agreeing, 1);
}

TEST_F(StatisticsTest, ConcentrationByHand) {
  std::vector<Ranking> rows;
  // 1, 2, 3 and 6 rankings: Gini 2 (1*1 + 2*2 + 3*3 + 4*6) / (4 * 12) - 5 / 4 = 1 / 3.
  for (const auto& [user, count] : {std::pair{"a", 1}, {"b", 2}, {"c", 3}, {"d", 6}})
    for (int i = 0; i < count; ++i) rows.push_back(ranking("1", "p", {"x", "y"}, "x", user));
  const Concentration found = measure(rows).concentration;
  EXPECT_EQ(found.users, 4);
  EXPECT_EQ(found.most, 6);
  EXPECT_DOUBLE_EQ(found.median, 2.5);
  EXPECT_DOUBLE_EQ(found.top_1_share, 0.5);  // one user, rounded up
  EXPECT_DOUBLE_EQ(found.top_10_share, 0.5);
  EXPECT_NEAR(found.gini, 1.0 / 3.0, 1e-12);
}

/// a ok, b not tried, c 404, d has no row. p: abc (a best); q: cd tie.
TEST_F(StatisticsTest, WhatDeadLinksCost) {
  workspace_.write_images({image("a", "ok"), image("b", ""), image("c", "http_404"), image("e", "ok")});
  const Statistics found = measure(
      {ranking("1", "p", {"a", "b", "c"}, "a"), ranking("2", "q", {"c", "d"}, ""), ranking("3", "r", {"a", "e"}, "e")});
  const auto expect = [](const Coverage& coverage, std::array<std::int64_t, 4> counts) {
    EXPECT_EQ((std::array{coverage.total, coverage.ok, coverage.not_tried, coverage.dead}), counts);
  };
  expect(found.coverage.images, {4, 2, 1, 1});
  expect(found.coverage.rankings, {3, 1, 0, 2});
  expect(found.coverage.pairs, {4, 1, 1, 2});    // ab waits, ac and cd are dead, ae is there
  expect(found.coverage.prompts, {3, 1, 1, 1});  // p keeps ab
  expect(found.coverage.labels, {7, 3, 2, 2});
  EXPECT_EQ(found.image_status, (std::map<std::string, std::int64_t>{{"ok", 2}, {"not_tried", 1}, {"http_404", 1}}));
}

TEST_F(StatisticsTest, PromptLengthsAreOfDistinctPrompts) {
  const Statistics found =
      measure({ranking("1", "one", {"a", "b"}, "a"), ranking("2", "one", {"a", "b"}, "a"),
               ranking("3", "  one  two three ", {"a", "b"}, "a"), ranking("4", "", {"a", "b"}, "a")});
  EXPECT_DOUBLE_EQ(found.prompt_words.mean, 4.0 / 3.0);
  EXPECT_DOUBLE_EQ(found.prompt_words.median, 1.0);
  EXPECT_DOUBLE_EQ(found.prompt_words.max, 3.0);
  EXPECT_DOUBLE_EQ(found.prompt_characters.max, 13.0);
}

TEST_F(StatisticsTest, OnlyRatings) {
  workspace::Database database;
  database.write_parquet(
      "SELECT 'i' || x AS image_uid, 'p' AS prompt, 'u' AS user_id, 'overall' AS aspect, x::DOUBLE AS score "
      "FROM range(5) t(x)",
      workspace_.table_path("ratings"));
  const Statistics found = measure_workspace(workspace_, {});
  EXPECT_EQ(found.ratings, 5);
  EXPECT_EQ(found.users, 1);
  EXPECT_EQ(found.images_judged, 5);
  EXPECT_EQ(found.rankings, 0);
  EXPECT_FALSE(found.position_bias.p.has_value());
  ASSERT_EQ(found.aspects.size(), 1U);
  EXPECT_DOUBLE_EQ(found.aspects[0].mean, 2.0);
  EXPECT_DOUBLE_EQ(found.aspects[0].max, 4.0);
}

TEST_F(StatisticsTest, OnlyImages) {
  workspace_.write_images({image("a", "ok"), image("b", "timeout")});
  const Statistics found = measure_workspace(workspace_, {});
  EXPECT_EQ(found.coverage.images.dead, 1);
  EXPECT_EQ(found.coverage.pairs.total, 0);
  for (const TableState& table : found.tables) EXPECT_EQ(table.rows.has_value(), table.name == "images") << table.name;
}

TEST_F(StatisticsTest, NothingAtAllAndBrokenTables) {
  EXPECT_THROW(static_cast<void>(measure_workspace(workspace_, {})), Error);
  test::write_text(workspace_.table_path("points"), "no table");
  EXPECT_THROW(static_cast<void>(measure_workspace(workspace_, {})), Error);
}

TEST_F(StatisticsTest, AnEmptyTableIsNoError) {
  const Statistics found = measure({});
  EXPECT_EQ(found.rankings, 0);
  EXPECT_EQ(found.concentration.users, 0);
  EXPECT_EQ(found.concentration.gini, 0.0);
}

TEST(ChiSquare, KnownValues) {
  EXPECT_NEAR(chi_square_p(3.841458820694124, 1), 0.05, 1e-10);
  EXPECT_NEAR(chi_square_p(5.991464547107979, 2), 0.05, 1e-10);
  EXPECT_NEAR(chi_square_p(1.0, 2), 0.6065306597126334, 1e-12);  // exp(-1/2)
  EXPECT_NEAR(chi_square_p(18.307038053275146, 10), 0.05, 1e-10);
  EXPECT_NEAR(chi_square_p(2.0, 10), 0.9963401531726563, 1e-10);
  EXPECT_NEAR(chi_square_p(200.0, 2) / 3.720075976020836e-44, 1.0, 1e-9);  // exp(-100)
  EXPECT_EQ(chi_square_p(0.0, 3), 1.0);
}

TEST(Krippendorff, KnownValues) {
  // All agree, two categories: alpha 1.
  EXPECT_NEAR(*krippendorff_alpha(0.0, std::array{4.0, 2.0}), 1.0, 1e-12);
  // Two units of two, each split: observed 4 / 4; expected 2 * 2 * 2 / (4 * 3): alpha 1 - 3 / 2.
  EXPECT_NEAR(*krippendorff_alpha(4.0, std::array{2.0, 2.0}), -0.5, 1e-12);
  EXPECT_FALSE(krippendorff_alpha(0.0, std::array{5.0, 0.0}).has_value());
  EXPECT_FALSE(krippendorff_alpha(0.0, std::array{0.0, 0.0}).has_value());
}

}  // namespace
}  // namespace imagerank::statistics
