#include "perturbations/perturb.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/atomic_file.h"
#include "core/random.h"
#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/schema.h"

namespace imagerank::perturbations {
namespace {

using workspace::Ranking;
using workspace::Workspace;

Ranking ranking(const std::string& id, const std::string& prompt, std::vector<std::string> images) {
  Ranking row;
  row.ranking_id = id;
  row.dataset = "d";
  row.prompt = prompt;
  row.best_image_uid = images.front();
  row.image_uids = std::move(images);
  return row;
}

struct Row {
  std::string prompt, perturbed, mode, what;
  auto operator<=>(const Row&) const = default;
};

class PerturbTest : public ::testing::Test {
 protected:
  PerturbCounts perturb(PerturbMode mode, std::size_t per_prompt, std::uint64_t seed = 0,
                        DistanceRange range = {0.0, 1.0}, int threads = 0) const {
    PerturbSettings settings;
    settings.mode = mode;
    settings.per_prompt = per_prompt;
    settings.seed = seed;
    settings.distance = range;
    RunContext context;
    context.threads = threads;
    return perturb_prompts(workspace_, settings, context);
  }
  std::vector<Row> rows() const {
    workspace::Database database;
    workspace_.attach(database, "perturbed");
    const workspace::Table table = database.query("SELECT * FROM perturbed");
    std::vector<Row> result(table.row_count);
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] = {table.columns[0].text[i], table.columns[1].text[i], table.columns[2].text[i],
                   table.columns[3].text[i]};
    }
    return result;
  }
  std::map<std::string, std::set<std::string>> by_prompt() const {
    std::map<std::string, std::set<std::string>> result;
    for (const Row& row : rows()) EXPECT_TRUE(result[row.prompt].insert(row.perturbed).second) << row.perturbed;
    return result;
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_.path());
};

/// Image y has two prompts; image x was made from "a castle".
TEST_F(PerturbTest, SwapNeverTakesAPromptThatIsRightForAnImage) {
  workspace_.write_rankings({ranking("1", "a red apple", {"x", "y"}), ranking("2", "A  Red apple ", {"v", "w"}),
                             ranking("3", "fruit on a table", {"y", "z"}), ranking("4", "a castle", {"q", "r"}),
                             ranking("5", "two dogs", {"s", "t"}), ranking("6", "", {"e", "f"})});
  workspace::Image image;
  image.image_uid = "x";
  image.prompt = "A CASTLE";
  workspace_.write_images({image});
  const PerturbCounts counts = perturb(PerturbMode::kSwap, 5);
  const std::set<std::string> dogs_only = {"two dogs"};
  const auto found = by_prompt();
  EXPECT_EQ(found.at("a red apple"), dogs_only);
  EXPECT_EQ(found.at("A  Red apple "), dogs_only);  // the same prompt: its images are the same prompt's images
  EXPECT_EQ(found.at("fruit on a table"), (std::set<std::string>{"a castle", "two dogs"}));
  EXPECT_EQ(found.at("a castle"), (std::set<std::string>{"fruit on a table", "two dogs"}));
  EXPECT_EQ(found.at("two dogs").size(), 3U);  // one spelling of the apple
  EXPECT_EQ(counts.prompts, 6);
  EXPECT_EQ(counts.perturbed, 1 + 1 + 2 + 2 + 3);
  EXPECT_EQ(counts.by_kind, (std::map<std::string, std::int64_t>{{"prompt", 9}}));
  EXPECT_EQ(counts.skipped, (std::map<std::string, std::int64_t>{{"empty", 1}, {"fewer_than_asked", 5}}));
  for (const Row& row : rows()) {
    EXPECT_EQ(row.mode, "swap");
    EXPECT_EQ(row.what.substr(0, 17), "prompt: distance ") << row.what;
  }
}

TEST_F(PerturbTest, DistanceIsARange) {
  workspace_.write_rankings({ranking("1", "a red apple", {"a", "b"}), ranking("2", "a green apple", {"c", "d"}),
                             ranking("3", "two dogs", {"e", "f"})});
  const PerturbCounts counts = perturb(PerturbMode::kSwap, 1, 0, {0.3, 0.6});
  EXPECT_EQ(rows(), (std::vector<Row>{{"a green apple", "a red apple", "swap", "prompt: distance 0.50"},
                                      {"a red apple", "a green apple", "swap", "prompt: distance 0.50"}}));
  EXPECT_EQ(counts.skipped, (std::map<std::string, std::int64_t>{{"no_prompt_at_this_distance", 1}}));
}

TEST_F(PerturbTest, AttributeSkipsWhatIsRightAfterAll) {
  // "a tall man" has one size only, and that is the other prompt of its image.
  workspace_.write_rankings({ranking("1", "very short men", {"a", "b"}), ranking("2", "very  TALL men", {"b", "c"}),
                             ranking("3", "zzz", {"d", "e"})});
  const PerturbCounts counts = perturb(PerturbMode::kAttribute, 20);
  for (const Row& row : rows()) {
    EXPECT_EQ(row.what.find("size"), std::string::npos) << row.perturbed;
    EXPECT_EQ(row.mode, "attribute");
  }
  EXPECT_EQ(counts.by_kind.size(), 1U);
  EXPECT_GT(counts.by_kind.at("object"), 0);
  EXPECT_EQ(counts.skipped, (std::map<std::string, std::int64_t>{{"fewer_than_asked", 2}, {"nothing_found", 1}}));
}

TEST_F(PerturbTest, AttributeGivesAsManyAsAskedAndCountsThem) {
  workspace_.write_rankings({ranking("1", "a red apple", {"a", "b"}), ranking("2", "three dogs", {"b", "c"})});
  const PerturbCounts counts = perturb(PerturbMode::kAttribute, 4);
  EXPECT_EQ(counts.perturbed, 8);
  for (const auto& [prompt, wrong] : by_prompt()) EXPECT_EQ(wrong.size(), 4U) << prompt;
  std::int64_t sum = 0;
  for (const auto& [kind, count] : counts.by_kind) sum += count;
  EXPECT_EQ(sum, 8);
}

TEST_F(PerturbTest, EachModeReplacesItsOwnRowsOnly) {
  workspace_.write_rankings({ranking("1", "a red apple", {"a", "b"}), ranking("2", "three dogs", {"c", "d"})});
  perturb(PerturbMode::kAttribute, 2);
  const std::vector<Row> attribute = rows();
  EXPECT_EQ(perturb(PerturbMode::kSwap, 1).kept, 4);
  const std::vector<Row> both = rows();
  EXPECT_EQ(both.size(), 6U);
  perturb(PerturbMode::kAttribute, 2, 9);
  EXPECT_EQ(rows().size(), 6U);
  EXPECT_NE(rows(), both);
  perturb(PerturbMode::kAttribute, 2);
  EXPECT_EQ(rows(), both);
  perturb(PerturbMode::kSwap, 1);
  EXPECT_EQ(rows(), both);
  EXPECT_TRUE(std::equal(attribute.begin(), attribute.end(), both.begin()));
}

TEST_F(PerturbTest, TheSameBytesWhateverTheOrderOfRowsAndThreads) {
  Random random(3);
  std::vector<Ranking> rankings;
  const std::vector<std::string> words = {"a",   "red",  "dog", "cat",  "on",  "table", "two",    "cars", "in",
                                          "the", "snow", "big", "bird", "and", "hat",   "knight", "old",  "blue"};
  for (int i = 0; i < 3000; ++i) {
    std::string prompt;
    for (int k = 0; k < 6; ++k) prompt += words[random.below(words.size())] + " ";
    rankings.push_back(
        ranking(std::to_string(i), prompt + std::to_string(i), {fmt::format("i{}", i / 2), fmt::format("j{}", i)}));
  }
  const auto bytes_of = [&](int threads) {
    std::filesystem::remove(workspace_.table_path("perturbed"));
    workspace_.write_rankings(rankings);
    perturb(PerturbMode::kSwap, 3, 1, {0.3, 0.7}, threads);
    perturb(PerturbMode::kAttribute, 3, 1, {}, threads);
    return load_file(workspace_.table_path("perturbed"));
  };
  const std::string one = bytes_of(1);
  random.shuffle(rankings);
  EXPECT_TRUE(bytes_of(4) == one);
}

TEST_F(PerturbTest, RatingsAloneHavePromptsToo) {
  workspace::Database database;
  database.write_parquet(
      "SELECT 'i' || x AS image_uid, 'prompt number ' || x AS prompt, 'u' AS user_id, 'overall' AS aspect, 1.0::DOUBLE "
      "AS "
      "score FROM range(3) t(x)",
      workspace_.table_path("ratings"));
  const PerturbCounts counts = perturb(PerturbMode::kSwap, 2);
  EXPECT_EQ(counts.prompts, 3);
  EXPECT_EQ(counts.perturbed, 6);
}

TEST_F(PerturbTest, BadSettingsAndMissingTables) {
  EXPECT_THROW(perturb(PerturbMode::kSwap, 0), Error);
  EXPECT_THROW(perturb(PerturbMode::kSwap, 101), Error);
  EXPECT_THROW(perturb(PerturbMode::kSwap, 1, 0, {0.8, 0.2}), Error);
  EXPECT_THROW(perturb(PerturbMode::kSwap, 1), Error);  // no rankings
  workspace_.write_rankings({});
  EXPECT_THROW(perturb(PerturbMode::kSwap, 1), Error);
  EXPECT_FALSE(workspace_.has_table("perturbed"));
  for (const char* bad : {"", "0.5", "0.5..", "..1", "a..b", "-1..1", "0..2", "nan..1", "0.1..0.2..0.3"})
    EXPECT_THROW(static_cast<void>(distance_range_of(bad)), Error) << bad;
  EXPECT_EQ(distance_range_of("0.25..0.75").max, 0.75);
  EXPECT_THROW(static_cast<void>(perturb_mode_of("shuffle")), Error);
}

TEST_F(PerturbTest, ABrokenTableOfEarlierRowsIsSaid) {
  workspace_.write_rankings({ranking("1", "a red apple", {"a", "b"})});
  test::write_text(workspace_.table_path("perturbed"), "PAR1 no table");
  EXPECT_THROW(perturb(PerturbMode::kAttribute, 1), Error);
  EXPECT_EQ(load_file(workspace_.table_path("perturbed")), "PAR1 no table");
}

TEST_F(PerturbTest, AStopLeavesTheOldTable) {
  workspace_.write_rankings({ranking("1", "a red apple", {"a", "b"}), ranking("2", "three dogs", {"c", "d"})});
  perturb(PerturbMode::kSwap, 1);
  const std::string before = load_file(workspace_.table_path("perturbed"));
  std::stop_source stop;
  stop.request_stop();
  RunContext context;
  context.stop = stop.get_token();
  PerturbSettings settings;
  settings.mode = PerturbMode::kAttribute;
  EXPECT_THROW(perturb_prompts(workspace_, settings, context), Error);
  EXPECT_EQ(load_file(workspace_.table_path("perturbed")), before);
}

}  // namespace
}  // namespace imagerank::perturbations
