#include "statistics/coverage.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::statistics {
namespace {

using workspace::Ranking;
using workspace::Workspace;

Ranking ranking(const std::string& id, const std::string& prompt, std::vector<std::string> images,
                const std::string& best, const std::string& user = "u", const std::string& time = "2023-01-02") {
  Ranking row;
  row.ranking_id = id;
  row.dataset = "d";
  row.created_at = time;
  row.user_id = user;
  row.prompt = prompt;
  row.image_uids = std::move(images);
  if (!best.empty()) row.best_image_uid = best;
  return row;
}

workspace::Image image(const std::string& uid, const std::string& status, const std::string& model = "m") {
  workspace::Image row;
  row.image_uid = uid;
  row.status = status;
  row.model = model;
  return row;
}

void expect(const Coverage& coverage, std::array<std::int64_t, 4> counts, const char* what) {
  EXPECT_EQ((std::array{coverage.total, coverage.ok, coverage.not_tried, coverage.dead}), counts) << what;
}

const CoverageGroup& group_of(const Grouping& grouping, const std::string& name) {
  for (const CoverageGroup& group : grouping.groups) {
    if (group.name == name) return group;
  }
  ADD_FAILURE() << grouping.kind << ": no group " << name;
  static const CoverageGroup none;
  return none;
}

using Labels = std::array<std::int64_t, 3>;

class CoverageTest : public ::testing::Test {
 protected:
  CoverageReport measure(const std::vector<Ranking>& rankings, const std::vector<workspace::Image>& images) const {
    workspace_.write_rankings(rankings);
    workspace_.write_images(images);
    return measure_survival(workspace_, settings_, {});
  }
  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_.path());
  CoverageSettings settings_{.min_group = 0, .top = 10, .csv = {}, .may_pass = {}};
};

/// a, b, e ok; c 404; d timeout; f not tried; g has no row.
std::vector<workspace::Image> some_images() {
  return {image("a", "ok", "m1"),      image("b", "ok", "m1"), image("c", "http_404", "m1"),
          image("d", "timeout", "m2"), image("e", "ok", "m2"), image("f", "", "")};
}

/// 1: ab, whole. 2: ac, loser dead. 3: cd, a tie, both dead. 4: dea, winner dead. 5: fg, open. 6: bc under another
/// prompt, winner dead.
std::vector<Ranking> some_rankings() {
  return {ranking("1", "p", {"a", "b"}, "a", "u", "2023-01-02 00:00:00"),
          ranking("2", "p", {"a", "c"}, "a", "u", "2023-01-31 00:00:00"),
          ranking("3", "q", {"c", "d"}, "", "v", "2023-02-01 00:00:00"),
          ranking("4", "r", {"d", "e", "a"}, "d", "v", "2023-02-01 00:00:00"),
          ranking("5", "s", {"f", "g"}, "f", "", ""),
          ranking("6", "t", {"b", "c"}, "c", "u", "in spring")};
}

TEST_F(CoverageTest, OverallAndCompositionsByHand) {
  const CoverageReport found = measure(some_rankings(), some_images());
  expect(found.overall.images, {6, 3, 1, 2}, "images");
  expect(found.overall.rankings, {6, 1, 1, 4}, "rankings");
  // ab; ac; cd; de, da; fg; bc
  expect(found.overall.pairs, {7, 1, 1, 5}, "pairs");
  expect(found.overall.prompts, {5, 1, 1, 3}, "prompts");
  // p: a2 b0 c0; q: c1 d1; r: d2 e0 a0; s: f2 g0; t: b0 c2
  expect(found.overall.labels, {12, 5, 2, 5}, "labels");
  EXPECT_EQ(found.images_without_row, 1);
  ASSERT_EQ(found.labels.parts.size(), 3U);
  expect(found.labels.parts[0].coverage, {4, 1, 1, 2}, "label 2: ap, dr, fs, ct");
  expect(found.labels.parts[1].coverage, {2, 0, 0, 2}, "label 1: cq, dq");
  expect(found.labels.parts[2].coverage, {6, 4, 1, 1}, "label 0: bp, cp, er, ar, gs, bt");
  expect(found.rankings.parts[0].coverage, {5, 1, 1, 3}, "strict rankings");
  expect(found.rankings.parts[1].coverage, {1, 0, 0, 1}, "ties");
  expect(found.pairs.parts[0].coverage, {6, 1, 1, 4}, "strict pairs");
  expect(found.pairs.parts[1].coverage, {1, 0, 0, 1}, "tied pairs");
  expect(found.places.parts[0].coverage, {5, 2, 1, 2}, "winners: a, a, d, f, c");
  expect(found.places.parts[1].coverage, {6, 4, 1, 1}, "losers: b, c, e, a, g, b");
  EXPECT_EQ(found.strict.total, 5);
  EXPECT_EQ(found.strict.ok, 1);
  EXPECT_EQ(found.strict.dead_winner, 2);  // 4 and 6
  EXPECT_EQ(found.strict.dead_losers, 1);  // 2
  EXPECT_EQ(found.strict.dead_both, 0);
}

TEST_F(CoverageTest, TestOfLabelsByHand) {
  const CoverageReport found = measure(some_rankings(), some_images());
  // Known fates of labels 2, 1, 0: (1 ok, 2 dead), (0, 2), (4, 1); 5 and 5 of 10, so half of each is expected.
  ASSERT_TRUE(found.labels.test.has_value());
  EXPECT_NEAR(found.labels.test->chi_square, 2 * 0.25 / 1.5 + 2 * 1.0 / 1.0 + 2 * 2.25 / 2.5, 1e-12);
  EXPECT_EQ(found.labels.test->degrees, 2);
  EXPECT_NEAR(found.labels.test->p, std::exp(-found.labels.test->chi_square / 2.0), 1e-12);  // of two degrees
  EXPECT_NEAR(found.labels.test->cramers_v, std::sqrt(found.labels.test->chi_square / 10.0), 1e-12);
  EXPECT_DOUBLE_EQ(found.labels.test->smallest_expected, 1.0);
  // (image, prompt) an image: a 2, b 2, c 3, d 2, e 1, f 1, g 1: 1 + (2 + 2 + 6 + 2) / 12.
  EXPECT_DOUBLE_EQ(found.labels.test->design_effect, 2.0);
  EXPECT_NEAR(found.labels.test->cautious_p, std::exp(-found.labels.test->chi_square / 4.0), 1e-12);
  EXPECT_FALSE(is_uneven(found.labels.test, kLeastV));  // too few
  // Rankings an image: a 3, b 2, c 3, d 2, e, f, g 1: 1 + (6 + 2 + 6 + 2) / 6.
  ASSERT_TRUE(found.rankings.test.has_value());
  EXPECT_NEAR(found.rankings.test->design_effect, 1.0 + 16.0 / 6.0, 1e-12);
  // Pairs an image: a (ab, ac, da) 3, b 2, c 3, d (cd, de, da) 3, e, f, g 1: 1 + (6 + 2 + 6 + 6) / 7.
  EXPECT_NEAR(found.pairs.test->design_effect, 1.0 + 20.0 / 7.0, 1e-12);
  // Places of strict rankings an image: a 3, b 2, c 2, d 1, e, f, g 1: 1 + (6 + 2 + 2) / 11.
  EXPECT_NEAR(found.places.test->design_effect, 1.0 + 10.0 / 11.0, 1e-12);
}

TEST_F(CoverageTest, GroupsByHand) {
  const CoverageReport found = measure(some_rankings(), some_images());
  const auto& [months, users, models] = found.groupings;
  ASSERT_EQ(months.groups.size(), 3U);
  EXPECT_EQ(months.groups[0].name, "2023-01");
  EXPECT_EQ(months.groups[1].name, "2023-02");
  EXPECT_EQ(months.groups[2].name, "");  // no time, and no date
  expect(months.groups[0].coverage, {2, 1, 0, 1}, "January");
  expect(months.groups[1].coverage, {2, 0, 0, 2}, "February");
  expect(months.groups[2].coverage, {2, 0, 1, 1}, "no month");
  EXPECT_EQ(months.groups[0].labels, (Labels{2, 0, 1}));
  EXPECT_EQ(months.groups[0].labels_ok, (Labels{1, 0, 1}));
  EXPECT_EQ(months.groups[1].labels, (Labels{2, 2, 1}));
  EXPECT_EQ(months.groups[1].labels_ok, (Labels{2, 0, 0}));
  EXPECT_EQ(months.unit, "rankings");
  ASSERT_TRUE(months.test.has_value());
  EXPECT_EQ(months.worst_share, 0.0);
  EXPECT_EQ(months.best, "2023-01");

  ASSERT_EQ(users.groups.size(), 3U);
  EXPECT_EQ(users.groups[0].name, "u");  // the busiest first, the unknown last
  EXPECT_EQ(users.groups[2].name, "");
  expect(users.groups[0].coverage, {3, 1, 0, 2}, "u");
  expect(users.groups[1].coverage, {2, 0, 0, 2}, "v");
  expect(users.groups[2].coverage, {1, 0, 1, 0}, "unknown");
  EXPECT_EQ(users.groups[0].labels, (Labels{3, 0, 2}));
  EXPECT_EQ(users.groups[0].labels_ok, (Labels{2, 0, 1}));

  EXPECT_EQ(models.unit, "images");
  expect(group_of(models, "m1").coverage, {3, 2, 0, 1}, "m1");
  expect(group_of(models, "m2").coverage, {2, 1, 0, 1}, "m2");
  expect(group_of(models, "").coverage, {1, 0, 1, 0}, "no model: f; g has no row");
  EXPECT_EQ(group_of(models, "").labels, (Labels{1, 0, 1}));  // but g's label is not dropped
  EXPECT_EQ(group_of(models, "m1").labels, (Labels{4, 1, 2}));
  EXPECT_EQ(group_of(models, "m1").labels_ok, (Labels{3, 0, 1}));
}

TEST_F(CoverageTest, SmallGroupsAndUsersBelowTheTopAreSummedUp) {
  std::vector<Ranking> rows;
  const auto add = [&](const std::string& user, int count) {
    for (int i = 0; i < count; ++i) rows.push_back(ranking("1", fmt::format("{}", rows.size()), {"a", "b"}, "a", user));
  };
  add("u1", 5);
  add("u2", 4);
  add("u3", 3);
  add("u4", 1);
  add("u5", 1);
  add("", 3);
  settings_.min_group = 2;
  settings_.top = 2;
  const CoverageReport found = measure(rows, {image("a", "ok"), image("b", "timeout")});
  const Grouping& users = found.groupings[1];
  ASSERT_EQ(users.groups.size(), 3U);
  EXPECT_EQ(users.groups[0].name, "u1");
  EXPECT_EQ(users.groups[1].name, "u2");
  EXPECT_EQ(users.groups[2].name, "");
  EXPECT_EQ(users.other_groups, 1);
  expect(users.others.coverage, {3, 0, 0, 3}, "u3");
  EXPECT_EQ(users.others.labels, (Labels{3, 0, 3}));
  EXPECT_EQ(users.others.labels_ok, (Labels{0, 0, 3}));
  EXPECT_EQ(users.small_groups, 2);
  expect(users.small.coverage, {2, 0, 0, 2}, "u4 and u5");
  EXPECT_EQ(users.small.labels, (Labels{2, 0, 2}));
  for (const Grouping& grouping : found.groupings) {
    std::int64_t total = grouping.others.coverage.total + grouping.small.coverage.total;
    for (const CoverageGroup& group : grouping.groups) total += group.coverage.total;
    EXPECT_EQ(total, grouping.unit == "images" ? 2 : 17) << grouping.kind;
  }
}

TEST_F(CoverageTest, ReasonsByHand) {
  settings_.may_pass = [](std::string_view reason) { return reason == "timeout" || reason == "dns"; };
  std::vector<workspace::Image> images = some_images();
  images.push_back(image("h", "dns"));
  images.push_back(image("i", "http_404"));
  std::vector<Ranking> rankings = some_rankings();
  rankings.push_back(ranking("7", "x", {"h", "d"}, "h"));
  const CoverageReport found = measure(rankings, images);
  ASSERT_EQ(found.reasons.size(), 3U);
  const auto& [gone, dns, timeout] = std::tie(found.reasons[0], found.reasons[1], found.reasons[2]);
  EXPECT_EQ(gone.reason, "http_404");
  EXPECT_EQ(gone.images, 2);          // c, i
  EXPECT_EQ(gone.rankings, 3);        // 2, 3, 6
  EXPECT_EQ(gone.rankings_alone, 2);  // 3 has d too
  EXPECT_FALSE(gone.may_pass);
  EXPECT_EQ(timeout.reason, "timeout");
  EXPECT_EQ(timeout.rankings, 3);        // 3, 4, 7
  EXPECT_EQ(timeout.rankings_alone, 1);  // 4
  EXPECT_EQ(dns.rankings, 1);
  EXPECT_EQ(dns.rankings_alone, 0);
  EXPECT_EQ(found.may_pass_images, 2);
  EXPECT_EQ(found.may_pass_rankings, 2);  // 4 and 7
}

TEST_F(CoverageTest, EveryGroupIsARowOfTheCsv) {
  settings_.min_group = 3;
  settings_.csv = folder_ / "out/coverage.csv";
  static_cast<void>(measure(some_rankings(), some_images()));
  EXPECT_EQ(test::lines_of(settings_.csv),
            (std::vector<std::string>{
                "kind,group,unit,total,ok,not_tried,dead,ok_share,labels_all,label_0_share_all,label_1_share_all,"
                "label_2_share_all,labels_ok,label_0_share_ok,label_1_share_ok,label_2_share_ok",
                "model,\"\",images,1,0,1,0,0.0,2,0.5,0.0,0.5,0,,,",
                "model,m1,images,3,2,0,1,0.6666666666666666,7,0.5714285714285714,0.14285714285714285,"
                "0.2857142857142857,4,0.75,0.0,0.25",
                "model,m2,images,2,1,0,1,0.5,3,0.3333333333333333,0.3333333333333333,0.3333333333333333,1,1.0,0.0,0.0",
                "month,\"\",rankings,2,0,1,1,0.0,4,0.5,0.0,0.5,1,1.0,0.0,0.0",
                "month,2023-01,rankings,2,1,0,1,0.5,3,0.6666666666666666,0.0,0.3333333333333333,2,0.5,0.0,0.5",
                "month,2023-02,rankings,2,0,0,2,0.0,5,0.4,0.4,0.2,2,1.0,0.0,0.0",
                "user,\"\",rankings,1,0,1,0,0.0,2,0.5,0.0,0.5,0,,,",
                "user,u,rankings,3,1,0,2,0.3333333333333333,5,0.6,0.0,0.4,3,0.6666666666666666,0.0,0.3333333333333333",
                "user,v,rankings,2,0,0,2,0.0,5,0.4,0.4,0.2,2,1.0,0.0,0.0"}));
}

/// 400 rankings of two images each; of every second ranking, and of others as told, images are dead.
std::vector<workspace::Image> images_of(const std::vector<Ranking>& rankings, auto is_dead) {
  std::vector<workspace::Image> images;
  for (std::size_t i = 0; i < rankings.size(); ++i) {
    for (const std::string& uid : rankings[i].image_uids)
      images.push_back(image(uid, is_dead(i, rankings[i], uid) ? "http_404" : "ok", i % 3 == 0 ? "x" : "y"));
  }
  return images;
}

std::vector<Ranking> many_rankings() {
  std::vector<Ranking> rows;
  for (int i = 0; i < 1000; ++i) {
    const std::string a = fmt::format("a{}", i), b = fmt::format("b{}", i);
    rows.push_back(ranking(fmt::format("{}", i), fmt::format("p{}", i), {a, b}, i % 4 == 0 ? "" : i % 2 == 0 ? b : a));
  }
  return rows;
}

TEST_F(CoverageTest, SurvivalThatDependsOnTheLabelIsUneven) {
  const std::vector<Ranking> rows = many_rankings();
  // Ties die three times as often.
  const CoverageReport found = measure(rows, images_of(rows, [](std::size_t i, const Ranking& row, const auto&) {
                                         return row.best_image_uid ? i % 5 == 1 : i % 5 < 3;
                                       }));
  EXPECT_TRUE(is_uneven(found.labels.test, kLeastV));
  EXPECT_TRUE(is_uneven(found.rankings.test, kLeastV));
  EXPECT_TRUE(is_uneven(found.pairs.test, kLeastV));
  EXPECT_FALSE(is_uneven(found.places.test, kLeastV));
  EXPECT_FALSE(is_uneven(found.groupings[2].test, kLeastGroupV));
  // 250 ties, 3 of 5 dead; 750 others, 1 of 5: chi-square by hand, 300 of 1000 dead.
  expect(found.rankings.parts[1].coverage, {250, 100, 0, 150}, "ties");
  expect(found.rankings.parts[0].coverage, {750, 600, 0, 150}, "strict");
  const double off = 75.0 * 75.0;  // 150 where 75 ties (of 225) are expected to die
  EXPECT_NEAR(found.rankings.test->chi_square, off / 75 + off / 175 + off / 225 + off / 525, 1e-9);
  EXPECT_NEAR(found.rankings.test->cramers_v, std::sqrt(found.rankings.test->chi_square / 1000.0), 1e-12);
  EXPECT_DOUBLE_EQ(found.rankings.test->design_effect, 1.0);
}

TEST_F(CoverageTest, WinnersThatDieMoreOftenAreUneven) {
  const std::vector<Ranking> rows = many_rankings();
  const CoverageReport found =
      measure(rows, images_of(rows, [](std::size_t i, const Ranking& row, const std::string& uid) {
                return row.best_image_uid == uid ? i % 10 < 8 : i % 10 < 2;
              }));
  EXPECT_TRUE(is_uneven(found.places.test, kLeastV));
  EXPECT_GT(found.places.parts[0].coverage.dead, found.places.parts[1].coverage.dead);
}

TEST_F(CoverageTest, SurvivalThatDoesNotDependOnTheLabelIsEven) {
  const std::vector<Ranking> rows = many_rankings();
  const CoverageReport found =
      measure(rows, images_of(rows, [](std::size_t i, const Ranking&, const auto&) { return i % 5 < 2; }));
  expect(found.overall.rankings, {1000, 600, 0, 400}, "rankings");
  for (const Composition* composition : {&found.labels, &found.rankings, &found.pairs, &found.places}) {
    ASSERT_TRUE(composition->test.has_value());
    EXPECT_GT(composition->test->p, 0.9);
    EXPECT_FALSE(is_uneven(composition->test, kLeastV));
  }
}

TEST_F(CoverageTest, AllDeadAndNoneTriedHaveNoTest) {
  const std::vector<Ranking> rows = many_rankings();
  const CoverageReport dead =
      measure(rows, images_of(rows, [](std::size_t, const Ranking&, const auto&) { return true; }));
  expect(dead.overall.rankings, {1000, 0, 0, 1000}, "all dead");
  EXPECT_EQ(dead.strict.dead_both, 750);
  std::vector<workspace::Image> images;
  for (const Ranking& row : rows)
    for (const std::string& uid : row.image_uids) images.push_back(image(uid, ""));
  const CoverageReport open = measure(rows, images);
  expect(open.overall.rankings, {1000, 0, 1000, 0}, "none tried");
  EXPECT_TRUE(open.reasons.empty());
  for (const CoverageReport* report : {&dead, &open}) {
    for (const Composition* composition : {&report->labels, &report->rankings, &report->pairs, &report->places})
      EXPECT_FALSE(composition->test.has_value());
    for (const Grouping& grouping : report->groupings) EXPECT_FALSE(grouping.test.has_value());
  }
}

TEST_F(CoverageTest, EmptyTables) {
  const CoverageReport found = measure({}, {});
  EXPECT_TRUE(found.has_rankings);
  expect(found.overall.images, {0, 0, 0, 0}, "images");
  expect(found.overall.rankings, {0, 0, 0, 0}, "rankings");
  EXPECT_EQ(found.labels.total(), 0);
  EXPECT_EQ(found.strict.total, 0);
  for (const Grouping& grouping : found.groupings) EXPECT_TRUE(grouping.groups.empty());
}

TEST_F(CoverageTest, ImagesAloneAreCountedAndNoImagesAreAnError) {
  workspace_.write_rankings(some_rankings());
  try {
    static_cast<void>(measure_survival(workspace_, settings_, {}));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("imagerank import"), std::string::npos) << error.what();
  }
  std::filesystem::remove(workspace_.table_path("rankings"));
  workspace_.write_images(some_images());
  const CoverageReport found = measure_survival(workspace_, settings_, {});
  EXPECT_FALSE(found.has_rankings);
  expect(found.overall.images, {6, 3, 1, 2}, "images");
  expect(group_of(found.groupings[2], "m1").coverage, {3, 2, 0, 1}, "m1");
  EXPECT_EQ(found.reasons.size(), 2U);
}

TEST_F(CoverageTest, ColumnsOfNullAreUnknown) {
  workspace::Database database;
  database.write_parquet(
      "SELECT 'r' || x AS ranking_id, 'd' AS dataset, '' AS official_split, NULL::VARCHAR AS created_at, NULL::VARCHAR "
      "AS user_id, 'p' AS prompt, ['a', 'b'] AS image_uids, 'a' AS best_image_uid, NULL::INTEGER[] AS ranks, "
      "1.0::DOUBLE AS weight FROM range(3) t(x)",
      workspace_.table_path("rankings"));
  database.write_parquet(
      "SELECT x AS image_uid, '' AS url, '' AS path, NULL::VARCHAR AS model, '' AS prompt, 0::INTEGER AS width, "
      "0::INTEGER AS height, '' AS sha256, s AS status FROM (VALUES ('a', 'ok'), ('b', NULL)) t(x, s)",
      workspace_.table_path("images"));
  const CoverageReport found = measure_survival(workspace_, settings_, {});
  for (const Grouping& grouping : found.groupings) {
    ASSERT_EQ(grouping.groups.size(), 1U) << grouping.kind;
    EXPECT_EQ(grouping.groups[0].name, "");
    EXPECT_EQ(grouping.groups[0].labels, (Labels{1, 0, 1}));
    EXPECT_EQ(grouping.groups[0].labels_ok, (Labels{0, 0, 1}));
  }
  expect(found.groupings[0].groups[0].coverage, {3, 0, 3, 0}, "rankings");
}

TEST_F(CoverageTest, SettingsOutOfRange) {
  settings_.min_group = -1;
  EXPECT_THROW(static_cast<void>(measure({}, {})), Error);
  settings_.min_group = 0;
  settings_.top = -1;
  EXPECT_THROW(static_cast<void>(measure({}, {})), Error);
}

TEST(SurvivalTest, KnownValues) {
  // Ok and dead of two categories: 30 10, 20 20. Expected 25 15 each: chi-square 4 terms of 25.
  const std::array parts = {Coverage{45, 30, 5, 10}, Coverage{40, 20, 0, 20}};
  const auto test = test_survival(parts, 4.0);
  ASSERT_TRUE(test.has_value());
  EXPECT_NEAR(test->chi_square, 2 * (25.0 / 25 + 25.0 / 15), 1e-12);
  EXPECT_EQ(test->degrees, 1);
  EXPECT_NEAR(test->p, std::erfc(std::sqrt(test->chi_square / 2.0)), 1e-12);
  EXPECT_NEAR(test->cautious_p, std::erfc(std::sqrt(test->chi_square / 8.0)), 1e-12);
  EXPECT_NEAR(test->cramers_v, std::sqrt(test->chi_square / 80.0), 1e-12);
  EXPECT_DOUBLE_EQ(test->smallest_expected, 15.0);
  EXPECT_FALSE(test_survival(std::array{parts[0], Coverage{7, 0, 7, 0}}, 1.0).has_value());  // one with a known fate
  EXPECT_FALSE(test_survival(std::array{Coverage{4, 4, 0, 0}, Coverage{5, 5, 0, 0}}, 1.0).has_value());
  EXPECT_FALSE(test_survival({}, 1.0).has_value());
  // One category always survives, the other never.
  EXPECT_DOUBLE_EQ(test_survival(std::array{Coverage{9, 9, 0, 0}, Coverage{4, 0, 0, 4}}, 1.0)->cramers_v, 1.0);
}

TEST(SurvivalTest, UnevenIsMoreThanChanceAndMoreThanNothingMuch) {
  const auto test = [](std::int64_t ok, std::int64_t dead, double design_effect) {
    return test_survival(std::array{Coverage{ok + dead, ok, 0, dead}, Coverage{ok + dead, dead, 0, ok}}, design_effect);
  };
  EXPECT_TRUE(is_uneven(test(600, 400, 1.0), kLeastV));
  EXPECT_FALSE(is_uneven(test(600, 400, 100.0), kLeastV));    // shared images
  EXPECT_FALSE(is_uneven(test(60, 40, 1.0), kLeastV));        // too few
  EXPECT_FALSE(is_uneven(test(51000, 49000, 1.0), kLeastV));  // p < 0.001, V 0.02
  EXPECT_LT(test(51000, 49000, 1.0)->p, 0.001);
  EXPECT_FALSE(is_uneven(test_survival(std::array{Coverage{1000, 1000, 0, 0}, Coverage{4, 0, 0, 4}}, 1.0), kLeastV));
  EXPECT_FALSE(is_uneven(std::nullopt, kLeastV));
}

}  // namespace
}  // namespace imagerank::statistics
