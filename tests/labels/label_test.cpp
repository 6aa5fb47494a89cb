#include "labels/label.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "core/atomic_file.h"
#include "core/random.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::labels {
namespace {

using workspace::Point;
using workspace::Ranking;
using workspace::Workspace;

Ranking ranking(const std::string& id, const std::string& prompt, std::vector<std::string> images,
                const std::string& best, const std::string& user = "u",
                const std::string& time = "2023-01-01 00:00:00") {
  Ranking row;
  row.ranking_id = id;
  row.dataset = "d";
  row.user_id = user;
  row.created_at = time;
  row.prompt = prompt;
  row.image_uids = std::move(images);
  if (!best.empty()) row.best_image_uid = best;
  return row;
}

/// Worked by hand: (a, p) is 2 then 0; (b, p) 0 then 2; (c, p) and (d, p) 0; tie of e, f under q; a again under q.
std::vector<Ranking> hand_worked() {
  return {ranking("1", "p", {"a", "b", "c", "d"}, "a"), ranking("2", "p", {"a", "b"}, "b"),
          ranking("3", "q", {"e", "f"}, ""), ranking("4", "q", {"a", "e"}, "a"), ranking("5", "q", {"a", "e"}, "a")};
}

/// Prompts with several rankings each, images shared between rankings of a prompt and now and then between prompts.
std::vector<Ranking> random_rankings(int count) {
  Random random(7);
  std::vector<Ranking> rows;
  for (int i = 0; i < count; ++i) {
    const auto prompt = random.below(static_cast<std::uint64_t>(count) / 5);
    std::vector<std::string> images;
    std::set<std::string> used;
    while (images.size() < 4) {
      const auto owner = random.chance(0.02) ? random.below(static_cast<std::uint64_t>(count) / 5) : prompt;
      const std::string uid = fmt::format("p{}-{}", owner, random.below(8));
      if (used.insert(uid).second) images.push_back(uid);
    }
    const std::string best = random.chance(0.28) ? "" : images[random.below(4)];
    rows.push_back(ranking(std::to_string(i), fmt::format("prompt {}", prompt), images, best,
                           fmt::format("user{}", random.below(40)), fmt::format("2023-01-01 00:00:{}", 1000 + i)));
  }
  return rows;
}

LabelSettings splitting(SplitRule split, std::uint64_t seed = 0) {
  LabelSettings settings;
  settings.split = split;
  settings.seed = seed;
  return settings;
}

LabelSettings labelling(LabelVariant variant) {
  LabelSettings settings;
  settings.variant = variant;
  return settings;
}

LabelSettings shares(double test, double validation) {
  LabelSettings settings;
  settings.test = test;
  settings.validation = validation;
  return settings;
}

bool same_point(const Point& a, const Point& b) {
  return std::tie(a.prompt, a.image_uid, a.label, a.split) == std::tie(b.prompt, b.image_uid, b.label, b.split);
}

class LabelTest : public ::testing::Test {
 protected:
  LabelCounts label(const std::vector<Ranking>& rows, const LabelSettings& settings) {
    workspace_.write_rankings(rows);
    return make_labels(workspace_, settings, {});
  }
  std::map<std::string, std::set<std::string>> values_by_split(bool prompts) const {
    std::map<std::string, std::set<std::string>> values;
    for (const Point& point : workspace_.load_points())
      values[point.split].insert(prompts ? point.prompt : point.image_uid);
    return values;
  }
  static bool disjoint(const std::set<std::string>& a, const std::set<std::string>& b) {
    return std::none_of(a.begin(), a.end(), [&](const std::string& value) { return b.contains(value); });
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_.path());
};

TEST_F(LabelTest, HandWorkedCounts) {
  const LabelCounts counts = label(hand_worked(), {});
  EXPECT_EQ(counts.rows, 12);
  EXPECT_EQ(counts.distinct, 10);  // (a, q, 2) and (e, q, 0) come twice
  EXPECT_EQ(counts.kept, 7);
  EXPECT_EQ(counts.labels, (std::array<std::int64_t, 3>{2, 2, 3}));  // c d | e f | (a,p) (b,p) (a,q)
  EXPECT_EQ(counts.conflicts, 3);                                    // (a,p) (b,p) (e,q)
  EXPECT_EQ(counts.winners, 3);
  EXPECT_EQ(counts.winners_that_lost, 2);
  EXPECT_EQ(counts.strict_pairs, 6);
  EXPECT_EQ(counts.tied_pairs, 1);
}

TEST_F(LabelTest, BinaryVariants) {
  EXPECT_EQ(label(hand_worked(), labelling(LabelVariant::kDropTies)).labels, (std::array<std::int64_t, 3>{2, 3, 0}));
  const LabelCounts merged = label(hand_worked(), labelling(LabelVariant::kMergeTies));
  EXPECT_EQ(merged.labels, (std::array<std::int64_t, 3>{4, 3, 0}));
  EXPECT_EQ(merged.kept, 7);
}

TEST_F(LabelTest, PairsKeepListOrder) {
  label({ranking("1", "p", {"a", "b", "c"}, "b")}, shares(0.0, 0.0));
  const auto pairs = workspace_.load_pairs();
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].image_a, "a");
  EXPECT_EQ(pairs[0].image_b, "b");
  EXPECT_EQ(pairs[0].p_a, 0.0);
  EXPECT_EQ(pairs[1].image_a, "b");
  EXPECT_EQ(pairs[1].image_b, "c");
  EXPECT_EQ(pairs[1].p_a, 1.0);
  EXPECT_EQ(pairs[1].split, "train");
}

TEST_F(LabelTest, CsvIsTheSeeds) {
  LabelSettings settings;
  settings.csv = folder_ / "seed.csv";
  label({ranking("1", "a \"quoted\", prompt", {"a", "b"}, "b")}, settings);
  EXPECT_THAT(test::lines_of(folder_ / "seed.csv"),
              ::testing::UnorderedElementsAre("image_uid,prompt,label", "a,\"a \"\"quoted\"\", prompt\",0",
                                              "b,\"a \"\"quoted\"\", prompt\",2"));
}

TEST_F(LabelTest, RandomSplitHasTheAskedSharesAndLeaks) {
  const LabelCounts counts = label(random_rankings(2000), {});
  EXPECT_NEAR(static_cast<double>(counts.splits[2]), 0.2 * static_cast<double>(counts.kept), 1.0);
  EXPECT_NEAR(static_cast<double>(counts.splits[1]), 0.1 * static_cast<double>(counts.kept), 1.0);
  EXPECT_EQ(counts.splits[0] + counts.splits[1] + counts.splits[2], counts.kept);
  EXPECT_GT(counts.prompt_overlap, 0.95);
}

TEST_F(LabelTest, PromptSplitKeepsPromptsApart) {
  const LabelCounts counts = label(random_rankings(2000), splitting(SplitRule::kPrompt));
  EXPECT_EQ(counts.prompt_overlap, 0.0);
  EXPECT_EQ(counts.straddling_points, 0);
  EXPECT_GT(counts.image_overlap, 0.0);  // a few images serve two prompts
  EXPECT_NEAR(static_cast<double>(counts.pair_splits[2]) / static_cast<double>(counts.strict_pairs + counts.tied_pairs),
              0.2, 0.02);
  auto prompts = values_by_split(true);
  EXPECT_TRUE(disjoint(prompts["train"], prompts["test"]));
  EXPECT_TRUE(disjoint(prompts["train"], prompts["validation"]));
}

TEST_F(LabelTest, ImageSplitKeepsImagesApart) {
  const LabelCounts counts = label(random_rankings(2000), splitting(SplitRule::kImage));
  EXPECT_EQ(counts.image_overlap, 0.0);
  EXPECT_GT(counts.straddling_rankings, 0);
  auto images = values_by_split(false);
  EXPECT_FALSE(images["test"].empty());
  EXPECT_TRUE(disjoint(images["train"], images["test"]));
  EXPECT_TRUE(disjoint(images["validation"], images["test"]));
  EXPECT_TRUE(disjoint(images["train"], images["validation"]));
}

TEST_F(LabelTest, UserSplitKeepsUsersApartAndDropsStraddlingPointsFromTrain) {
  const LabelCounts counts = label(random_rankings(2000), splitting(SplitRule::kUser));
  EXPECT_GT(counts.straddling_points, 0);
  std::map<std::string, std::set<std::string>> users;
  for (const auto& pair : workspace_.load_pairs()) users[pair.split].insert(pair.user_id);
  EXPECT_TRUE(disjoint(users["train"], users["test"]));
  std::set<std::pair<std::string, std::string>> seen;
  for (const Point& point : workspace_.load_points()) EXPECT_TRUE(seen.emplace(point.image_uid, point.prompt).second);
}

TEST_F(LabelTest, TimeSplitTestsOnTheNewest) {
  label(random_rankings(500), splitting(SplitRule::kTime));
  const auto rankings = workspace_.load_rankings();
  std::map<std::string, std::string> time_of;
  for (const Ranking& row : rankings) time_of[row.ranking_id] = row.created_at;
  std::string newest_train;
  std::string oldest_test = "9999";
  for (const auto& pair : workspace_.load_pairs()) {
    const std::string& time = time_of.at(pair.ranking_id);
    if (pair.split == "train") newest_train = std::max(newest_train, time);
    if (pair.split == "test") oldest_test = std::min(oldest_test, time);
  }
  EXPECT_LT(newest_train, oldest_test);
}

TEST_F(LabelTest, ComponentSplitSharesNothing) {
  std::vector<Ranking> rows;
  for (int i = 0; i < 200; ++i) {
    const std::string island = std::to_string(i / 4);
    const std::string prompt = fmt::format("prompt {}{}", island, i % 2);
    rows.push_back(ranking(std::to_string(i), prompt, {fmt::format("i{}", island), fmt::format("j{}", i)},
                           fmt::format("i{}", island), fmt::format("u{}", island)));
  }
  const LabelCounts counts = label(rows, splitting(SplitRule::kComponent));
  EXPECT_EQ(counts.prompt_overlap, 0.0);
  EXPECT_EQ(counts.image_overlap, 0.0);
  EXPECT_NEAR(static_cast<double>(counts.pair_splits[2]), 40.0, 4.0);
}

TEST_F(LabelTest, OfficialSplitFollowsTheDataset) {
  auto rows = hand_worked();
  for (Ranking& row : rows) row.official_split = row.prompt == "p" ? "train" : "test_unique";
  label(rows, splitting(SplitRule::kOfficial));
  for (const Point& point : workspace_.load_points()) EXPECT_EQ(point.split, point.prompt == "p" ? "train" : "test");
}

TEST_F(LabelTest, SplitDoesNotDependOnRowOrderOrThreads) {
  for (const char* rule : {"random", "prompt", "user", "image", "time", "component"}) {
    auto rows = random_rankings(400);
    LabelSettings settings;
    settings.split = split_rule_of(rule);
    settings.seed = 3;
    label(rows, settings);
    const auto points = workspace_.load_points();
    std::reverse(rows.begin(), rows.end());
    workspace_.write_rankings(rows);
    RunContext one_thread;
    one_thread.threads = 1;
    make_labels(workspace_, settings, one_thread);
    EXPECT_TRUE(std::ranges::equal(workspace_.load_points(), points, same_point)) << rule;
  }
}

TEST_F(LabelTest, LargeTablesAreLoadedInOneOrderWhateverTheThreads) {
  // Large enough for several threads to write at once.
  const auto row_of = [](const workspace::Pair& pair) {
    return fmt::format("{} {} {} {} {}", pair.ranking_id, pair.image_a, pair.image_b, pair.p_a, pair.split);
  };
  RunContext one_thread;
  one_thread.threads = 1;
  label(random_rankings(40000), splitting(SplitRule::kPrompt));
  const auto points = workspace_.load_points();
  const auto pairs = workspace_.load_pairs();
  ASSERT_GT(points.size(), 50000U);
  ASSERT_GT(pairs.size(), 120000U);
  make_labels(workspace_, splitting(SplitRule::kPrompt), one_thread);
  EXPECT_TRUE(std::ranges::equal(points, workspace_.load_points(), same_point));
  EXPECT_TRUE(std::ranges::equal(pairs, workspace_.load_pairs(), {}, row_of, row_of));
}

TEST_F(LabelTest, SeedChangesTheSplit) {
  label(random_rankings(400), splitting(SplitRule::kPrompt, 1));
  auto first = values_by_split(true)["test"];
  label(random_rankings(400), splitting(SplitRule::kPrompt, 2));
  EXPECT_NE(first, values_by_split(true)["test"]);
}

TEST_F(LabelTest, RanksSayHowEachTwoCompare) {
  Ranking row = ranking("1", "p", {"a", "b", "c", "d"}, "b");
  row.ranks = {3, 1, 2, 2};
  Ranking tied = ranking("2", "q", {"e", "f", "g"}, "");
  tied.ranks = {1, 1, 2};
  const LabelCounts counts = label({row, tied}, shares(0.0, 0.0));
  EXPECT_EQ(counts.strict_pairs, 7);  // b over a c d; c over a; d over a; e over g; f over g
  EXPECT_EQ(counts.tied_pairs, 2);    // c d; e f
  EXPECT_EQ(counts.labels, (std::array<std::int64_t, 3>{4, 2, 1}));  // a c d g | e f | b
  const auto pairs = workspace_.load_pairs();
  ASSERT_EQ(pairs.size(), 9U);
  EXPECT_EQ(pairs[0].image_a + pairs[0].image_b, "ab");
  EXPECT_EQ(pairs[0].p_a, 0.0);
  EXPECT_EQ(pairs[5].image_a + pairs[5].image_b, "cd");
  EXPECT_EQ(pairs[5].p_a, 0.5);
}

TEST_F(LabelTest, ConflictsAreSettledByTheRuleAskedFor) {
  // (a, p): best once, lost twice; (b, p): lost once, best twice; (c, q) and (d, q): best once, lost once.
  const std::vector<Ranking> rows = {ranking("1", "p", {"a", "b"}, "a"), ranking("2", "p", {"a", "b"}, "b"),
                                     ranking("3", "p", {"a", "b"}, "b"), ranking("4", "q", {"c", "d"}, "c"),
                                     ranking("5", "q", {"c", "d"}, "d")};
  const auto labels = [&](ConflictRule rule) {
    LabelSettings settings = shares(0.0, 0.0);
    settings.conflicts = rule;
    return label(rows, settings);
  };
  EXPECT_EQ(labels(ConflictRule::kKeepMax).labels, (std::array<std::int64_t, 3>{0, 0, 4}));
  EXPECT_EQ(labels(ConflictRule::kMajority).labels, (std::array<std::int64_t, 3>{1, 0, 3})) << "even counts go up";
  const LabelCounts dropped = labels(ConflictRule::kDrop);
  EXPECT_EQ(dropped.labels, (std::array<std::int64_t, 3>{0, 0, 0}));
  EXPECT_EQ(dropped.dropped_conflicts, 4);
  EXPECT_EQ(dropped.conflicts, 4);
}

TEST_F(LabelTest, VotesWeightsAndTiePairs) {
  LabelSettings settings = shares(0.0, 0.0);
  settings.min_votes = 2;
  const LabelCounts few = label(hand_worked(), settings);
  EXPECT_EQ(few.splits[0], 4);  // a and b under p, a and e under q
  EXPECT_EQ(few.few_votes, 3);
  settings = shares(0.0, 0.0);
  settings.weights = WeightRule::kPrompt;
  label(hand_worked(), settings);
  double weight_of_p = 0.0;
  for (const auto& pair : workspace_.load_pairs()) weight_of_p += pair.prompt == "p" ? pair.weight : 0.0;
  EXPECT_DOUBLE_EQ(weight_of_p, 1.0) << "four pairs of a quarter each";
  settings = shares(0.0, 0.0);
  settings.tie_pairs = false;
  const LabelCounts strict = label(hand_worked(), settings);
  EXPECT_EQ(strict.tied_pairs, 1) << "counted all the same";
  EXPECT_EQ(strict.pair_splits[0], 6);
  EXPECT_EQ(workspace_.load_pairs().size(), 6U);
}

TEST_F(LabelTest, PromptFiltersCountWhatTheyLeaveOut) {
  const std::vector<Ranking> rows = {ranking("1", "a cat", {"a", "b"}, "a"),
                                     ranking("2", " a cat\n", {"c", "d"}, "c"),
                                     ranking("3", "  ", {"e", "f"}, "e"),
                                     ranking("4", "x", {"g", "h"}, "g"),
                                     ranking("5", "a NUDE? no", {"i", "j"}, "i"),
                                     ranking("6", "denuded hill", {"k", "l"}, "k"),
                                     ranking("7", "a very long prompt of many words", {"m", "n"}, "m"),
                                     ranking("8", "a+b (x)", {"o", "p"}, "o")};
  LabelSettings settings = shares(0.0, 0.0);
  settings.prompts.trim = true;
  settings.prompts.drop_empty = true;
  settings.prompts.min_characters = 2;
  settings.prompts.max_characters = 20;
  settings.prompts.words = {"nude", "a+b"};
  const LabelCounts counts = label(rows, settings);
  EXPECT_EQ(counts.filtered, (std::map<std::string, std::int64_t>{
                                 {"empty_prompt", 1}, {"short_prompt", 1}, {"long_prompt", 1}, {"listed_word", 2}}));
  EXPECT_EQ(counts.merged_prompts, 1);
  std::set<std::string> prompts;
  for (const Point& point : workspace_.load_points()) prompts.insert(point.prompt);
  EXPECT_EQ(prompts, (std::set<std::string>{"a cat", "denuded hill"}));
}

TEST_F(LabelTest, RatingsRankImagesByTheirMeanScore) {
  workspace::Database database;
  database.write_parquet(R"(
    SELECT image_uid, prompt, user_id, aspect, score::DOUBLE AS score FROM (VALUES
      ('a', 'p', 'u1', 'overall', 5), ('a', 'p', 'u2', 'overall', 3), ('b', 'p', 'u1', 'overall', 4),
      ('c', 'p', 'u1', 'overall', 2), ('c', 'p', 'u1', 'fidelity', 9), ('d', 'alone', 'u1', 'overall', 1))
      AS t(image_uid, prompt, user_id, aspect, score))",
                         workspace_.table_path("ratings"));
  LabelSettings settings = shares(0.0, 0.0);
  settings.ratings = "overall";
  const LabelCounts counts = make_labels(workspace_, settings, {});
  EXPECT_EQ(counts.strict_pairs, 2);  // a and b, both 4 on average, over c
  EXPECT_EQ(counts.tied_pairs, 1);
  EXPECT_EQ(counts.labels, (std::array<std::int64_t, 3>{1, 2, 0}));
  const LabelCounts both = label(hand_worked(), settings);
  EXPECT_EQ(both.strict_pairs, 8);
  settings.ratings = "taste";
  try {
    make_labels(workspace_, settings, {});
    FAIL() << "an aspect that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("fidelity"), std::string::npos) << error.what();
  }
}

TEST_F(LabelTest, UserLeakIsMeasured) {
  EXPECT_GT(label(random_rankings(400), splitting(SplitRule::kPrompt)).user_overlap, 0.9);
  EXPECT_EQ(label(random_rankings(400), splitting(SplitRule::kUser)).user_overlap, 0.0);
}

TEST_F(LabelTest, BadSettingsAndDataAreNamed) {
  const auto code_of = [&](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCancelled;
  };
  EXPECT_EQ(code_of([&] { (void)split_rule_of("alphabet"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)label_variant_of("four"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { label(hand_worked(), shares(1.2, 0.1)); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { label(hand_worked(), shares(0.6, 0.5)); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { label(hand_worked(), splitting(SplitRule::kOfficial)); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { label({}, {}); }), ErrorCode::kCorruptData);
  EXPECT_FALSE(workspace_.has_table("points"));
}

}  // namespace
}  // namespace imagerank::labels
