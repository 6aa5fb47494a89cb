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
  const auto folder = world.workspace.report_dir("compare");
  EXPECT_EQ(nlohmann::json::parse(load_file(folder / "report.json")), json);
  const auto page = load_file(folder / "report.html");
  EXPECT_THAT(page, HasSubstr("best on validation"));
  EXPECT_THAT(page, HasSubstr("by amount of data"));
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
