#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/command_compare.h"
#include "cli/dataset.h"
#include "cli/evaluation_world.h"
#include "core/atomic_file.h"
#include "imagerank/error.h"

namespace imagerank::cli {
namespace {

using test::EvaluationWorld;
using test::kEncoder;
using ::testing::HasSubstr;

void train(const EvaluationWorld& world, const std::string& name, const std::string& loss, double rate,
           std::uint64_t limit) {
  reward::TrainOptions options;
  options.head = "linear";
  options.loss = loss;
  options.epochs = 12;
  options.batch = 16;
  options.learning_rate = rate;
  options.limit = limit;
  const auto dataset = load_dataset(world.workspace, kEncoder);
  reward::train_reward(dataset.examples, options, {{"encoder", kEncoder}, {"model", "none"}},
                       world.workspace.reward_dir(name), {});
}

std::string run(const EvaluationWorld& world, std::vector<std::string> rewards, bool json) {
  std::ostringstream out;
  std::ostringstream err;
  Terminal::Options settings;
  settings.json = json;
  Terminal terminal(out, err, settings);
  CompareOptions options;
  options.data = world.folder.path();
  options.rewards = std::move(rewards);
  options.bootstrap = 200;
  EXPECT_EQ(run_compare(options, terminal), 0);
  return out.str();
}

TEST(Compare, OneTableChosenOnValidation) {
  const EvaluationWorld world;
  train(world, "good", "mse", 0.02, 0);
  train(world, "small", "mse", 0.02, 40);
  train(world, "pairs", "bt", 0.02, 0);
  const auto json = nlohmann::json::parse(run(world, {"small", "good", "pairs"}, true));
  ASSERT_EQ(json["rewards"].size(), 3U);
  EXPECT_EQ(json["rewards"][0]["name"], "small");
  EXPECT_EQ(json["rewards"][0]["reward"]["data"]["used"], 40);
  EXPECT_EQ(json["rewards"][2]["metrics"]["accuracy"]["value"], nullptr);
  double best = -1.0;
  std::string expected;
  for (const auto& reward : json["rewards"]) {
    const double validation = reward["validation"]["pair_accuracy_strict_micro"]["value"];
    if (validation > best) {
      best = validation;
      expected = reward["name"];
    }
  }
  EXPECT_EQ(json["chosen"], expected);
  EXPECT_EQ(json["baselines"]["oracle"]["pair_accuracy_strict_micro"]["value"], 1.0);
  for (const auto& reward : json["rewards"]) {
    EXPECT_EQ(reward["difference_to_chosen"]["value"].is_null(), reward["name"] == expected);
  }
  ASSERT_EQ(json["differences"].size(), 3U) << "every two of three";
  for (const auto& difference : json["differences"]) {
    EXPECT_GE(difference["p"], 0.0);
    EXPECT_GE(difference["p_holm"], difference["p"]);
    EXPECT_LE(difference["low"], difference["value"]);
    EXPECT_GE(difference["high"], difference["value"]);
  }
  ASSERT_EQ(json["learning_curves"].size(), 1U) << "one head and loss stands with two amounts of data";
  const auto& curve = json["learning_curves"][0];
  EXPECT_EQ(curve["head"], "linear");
  ASSERT_EQ(curve["points"].size(), 2U);
  EXPECT_EQ(curve["points"][0]["used"], 40);
  EXPECT_EQ(curve["points"][1]["reward"], "good");
  EXPECT_TRUE(curve["points"][1]["low"].is_number());
  const auto folder = world.workspace.report_dir("compare");
  EXPECT_EQ(nlohmann::json::parse(load_file(folder / "report.json")), json);
  const auto page = load_file(folder / "report.html");
  EXPECT_THAT(page, HasSubstr("best on validation"));
  EXPECT_THAT(page, HasSubstr("by amount of data"));
}

/// The same vectors under another encoder's name, `leave_out` images fewer.
void copy_encoder(const EvaluationWorld& world, const std::string& name, std::size_t leave_out) {
  for (const std::string side : {"image", "text"}) {
    const auto from = embeddings::EmbeddingCache::open(world.workspace.embeddings_dir(kEncoder), side);
    auto to = embeddings::EmbeddingCache::open(world.workspace.embeddings_dir(name), side);
    for (std::size_t i = side == "image" ? leave_out : 0; i < from.size(); ++i) to.add(from.key(i), "x", from.row(i));
    to.save();
  }
}

TEST(Compare, PairsRewardsOfTwoEncodersWhereTheirPairsAreTheSame) {
  const EvaluationWorld world(40);
  train(world, "here", "mse", 0.02, 0);
  for (const auto& [name, missing] : {std::pair{"other", 0}, std::pair{"short", 160}}) {
    copy_encoder(world, name, static_cast<std::size_t>(missing));
    reward::TrainOptions options;
    options.head = "linear";
    options.loss = "bt";
    options.epochs = 4;
    const auto dataset = load_dataset(world.workspace, name);
    reward::train_reward(dataset.examples, options, {{"encoder", name}, {"model", "none"}},
                         world.workspace.reward_dir(name), {});
  }
  const auto json = nlohmann::json::parse(run(world, {"here", "other", "short"}, true));
  ASSERT_EQ(json["differences"].size(), 1U) << "rows without vectors leave other pairs, which cannot be paired";
  EXPECT_EQ(json["differences"][0]["first"], "here");
  EXPECT_EQ(json["differences"][0]["second"], "other");
}

TEST(Compare, TerminalTableNamesHeadsAndBaselines) {
  const EvaluationWorld world(40);
  train(world, "good", "mse", 0.02, 0);
  const auto text = run(world, {world.workspace.reward_dir("good").string() + "/"}, false);
  for (const auto* part : {"good", "linear", "mse", "points", "majority", "oracle", "<- best on validation"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Compare, NeedsRewardsThatExist) {
  const EvaluationWorld world(20);
  std::ostringstream out;
  Terminal terminal(out, out, {});
  CompareOptions options;
  options.data = world.folder.path();
  EXPECT_THROW(run_compare(options, terminal), Error);
  options.rewards = {"nothing"};
  EXPECT_THROW(run_compare(options, terminal), Error);
}

}  // namespace
}  // namespace imagerank::cli
