#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "cli/command_eval.h"
#include "cli/dataset.h"
#include "cli/evaluation_world.h"
#include "core/atomic_file.h"
#include "imagerank/error.h"

namespace imagerank::cli {
namespace {

using test::EvaluationWorld;
using test::kEncoder;
using ::testing::HasSubstr;
using ::testing::Not;

void train(const EvaluationWorld& world, const std::string& name, const std::string& loss, bool untrained = false) {
  reward::TrainOptions options;
  options.head = "linear";
  options.loss = loss;
  options.epochs = 12;
  options.batch = 16;
  options.learning_rate = 0.05;
  const auto dataset = load_dataset(world.workspace, kEncoder);
  reward::train_reward(dataset.examples, options,
                       {{"encoder", kEncoder}, {"model", "none"}, {"encoder_untrained", untrained}},
                       world.workspace.reward_dir(name), {});
}

/// Made once: the tests that share it only add rewards and reports.
const EvaluationWorld& knowable_world() {
  static const EvaluationWorld kWorld;
  static const bool kTrained =
      (train(kWorld, "known", "mse"), train(kWorld, "classes", "ce"), train(kWorld, "utility", "bt"), true);
  EXPECT_TRUE(kTrained);
  return kWorld;
}

nlohmann::json evaluate(const EvaluationWorld& world, const std::string& name, const std::string& split = "test") {
  std::ostringstream out;
  std::ostringstream err;
  Terminal::Options json;
  json.json = true;
  Terminal terminal(out, err, json);
  EvalOptions options;
  options.data = world.folder.path();
  options.reward = name;
  options.split = split;
  options.bootstrap = 200;
  EXPECT_EQ(run_eval(options, terminal), 0);
  return nlohmann::json::parse(out.str());
}

double value(const nlohmann::json& measurement, const char* metric) { return measurement.at(metric).at("value"); }

TEST(Eval, AHeadThatKnowsTheTruthIsBetterThanNoSkill) {
  const auto& world = knowable_world();
  const auto json = evaluate(world, "known");
  EXPECT_EQ(json["warnings"].size(), 0U) << json["warnings"];
  EXPECT_GT(json["n"], 0);
  EXPECT_GT(value(json["metrics"], "pair_accuracy_strict_micro"), 0.9);
  EXPECT_GT(value(json["metrics"], "recall_at_1"), 0.7);
  EXPECT_GT(value(json["metrics"], "r2"), 0.2);
  EXPECT_TRUE(json["metrics"]["brier"]["value"].is_null()) << "a regression states no probabilities";
  EXPECT_DOUBLE_EQ(value(json["baselines"]["oracle"], "pair_accuracy_strict_micro"), 1.0);
  EXPECT_DOUBLE_EQ(value(json["baselines"]["prompt_only"], "pair_accuracy_strict_micro"), 0.0);
  EXPECT_DOUBLE_EQ(value(json["baselines"]["random"], "pair_accuracy_strict_micro"), 0.5);
  // All that is to know stands in the image, so the honest verdict is that knowing the prompt brought nothing.
  EXPECT_THAT(json["verdict"].get<std::string>(), HasSubstr("not distinguishable from a baseline without skill"));
}

TEST(Eval, WritesBothReportsAndTheySayTheSame) {
  const auto& world = knowable_world();
  const auto json = evaluate(world, "known");
  const auto folder = world.workspace.report_dir("known");
  EXPECT_EQ(nlohmann::json::parse(load_file(folder / "report.json")), json);
  EXPECT_EQ(json["report"], (folder / "report.html").string());
  const auto page = load_file(folder / "report.html");
  EXPECT_THAT(page, HasSubstr("</html>"));
  EXPECT_THAT(page, HasSubstr("not fetched")) << "images without files are shown as such";
  EXPECT_THAT(page, Not(HasSubstr("<i>odd")));
  EXPECT_EQ(json["examples"].size(), 4U);
}

TEST(Eval, SlicesSayWhereAndAddUp) {
  const auto& world = knowable_world();
  const auto json = evaluate(world, "known");
  std::map<std::string, std::uint64_t> pairs;
  std::set<std::string> names;
  for (const auto& slice : json["slices"]) {
    pairs[slice["dimension"]] += slice["pairs"].get<std::uint64_t>();
    names.insert(slice["name"]);
    EXPECT_GT(slice["prompts"], 0);
    EXPECT_EQ(slice["pair_accuracy_strict_micro"]["value"].is_null(), slice["strict_pairs"] == 0);
  }
  for (const auto* dimension : {"prompt length", "ties", "conflict", "prompt in train", "image in train", "user"}) {
    EXPECT_EQ(pairs[dimension], json["data"]["counts"]["pairs"]) << dimension;
  }
  EXPECT_EQ(pairs.count("generator"), 0U) << "none is known";
  EXPECT_EQ(pairs.count("truncation"), 0U) << "there is no encoder to ask";
  EXPECT_TRUE(names.contains("tied pairs"));
  EXPECT_TRUE(names.contains("unseen prompts"));
  EXPECT_FALSE(names.contains("prompts also in train"));
}

TEST(Eval, GalleriesShowTheExtremes) {
  const auto& world = knowable_world();
  const auto galleries = evaluate(world, "known")["galleries"];
  for (const auto* name : {"best", "worst", "disputed", "uncertain"}) {
    ASSERT_FALSE(galleries[name].empty()) << name;
    EXPECT_LE(galleries[name].size(), 6U);
  }
  EXPECT_GT(galleries["best"][0]["images"][0]["score"], galleries["best"][5]["images"][0]["score"]);
  EXPECT_GT(galleries["best"][5]["images"][0]["score"], galleries["worst"][0]["images"][0]["score"]);
  const auto& disputed = galleries["disputed"][0]["images"];
  ASSERT_EQ(disputed.size(), 2U);
  EXPECT_GT(disputed[0]["score"], disputed[1]["score"]) << "it prefers the one";
  EXPECT_GT(disputed[1]["won"], 0) << "people the other";
  EXPECT_FALSE(galleries.contains("divided")) << "each image stands in one ranking";
}

TEST(Eval, IsDeterministic) {
  const auto& world = knowable_world();
  EXPECT_EQ(evaluate(world, "classes"), evaluate(world, "classes"));
}

TEST(Eval, AClassifierStatesProbabilitiesAndAPairLossOnlyUtilities) {
  const auto& world = knowable_world();
  const auto classes = evaluate(world, "classes");
  for (const auto* metric : {"accuracy", "auc", "brier", "log_loss", "ece", "r2"}) {
    EXPECT_TRUE(classes["metrics"][metric]["value"].is_number()) << metric;
  }
  EXPECT_FALSE(classes["confusion"].is_null());
  EXPECT_FALSE(classes["reliability"].empty());
  const auto utility = evaluate(world, "utility");
  for (const auto* metric : {"accuracy", "balanced_accuracy", "macro_f1", "auc", "r2"}) {
    EXPECT_TRUE(utility["metrics"][metric]["value"].is_null()) << metric;
  }
  // It states who wins a pair, and its baselines are measured on the same.
  EXPECT_EQ(classes["probabilities_of"], "labels");
  EXPECT_EQ(utility["probabilities_of"], "pairs");
  for (const auto* metric : {"brier", "log_loss", "ece"}) {
    EXPECT_TRUE(utility["metrics"][metric]["value"].is_number()) << metric;
  }
  EXPECT_DOUBLE_EQ(value(utility["baselines"]["majority"], "brier"), 0.25);
  EXPECT_LT(value(utility["metrics"], "brier"), 0.25);
  EXPECT_TRUE(utility["baselines"]["prompt_only"]["brier"]["value"].is_null());
  EXPECT_TRUE(utility["confusion"].is_null());
  EXPECT_GT(value(utility["metrics"], "pair_accuracy_strict_micro"), 0.9);
}

TEST(Eval, ARecordedCalibrationIsUsed) {
  const auto& world = knowable_world();
  const auto folder = world.workspace.reward_dir("calibrated");
  std::filesystem::copy(world.workspace.reward_dir("utility"), folder);
  auto record = nlohmann::json::parse(load_file(folder / "reward.json"));
  EXPECT_TRUE(record.at("calibration").at("temperature").is_number()) << "train records one";
  record.erase("calibration");
  write_file_atomically(folder / "reward.json", record.dump());
  const auto plain = evaluate(world, "calibrated");
  EXPECT_TRUE(plain["calibration"].is_null());
  record["calibration"] = {{"temperature", 1e6}, {"tie_width", 0.0}};
  write_file_atomically(folder / "reward.json", record.dump());
  const auto calibrated = evaluate(world, "calibrated");
  EXPECT_NEAR(value(calibrated["metrics"], "brier"), 0.25, 1e-4) << "so hot that it states one half of every pair";
  EXPECT_EQ(calibrated["metrics"]["pair_accuracy_strict_micro"], plain["metrics"]["pair_accuracy_strict_micro"]);
}

TEST(Eval, NoiseIsNotDistinguishableFromChance) {
  const EvaluationWorld world(90, false);
  train(world, "noise", "mse");
  const auto json = evaluate(world, "noise");
  EXPECT_LT(json["metrics"]["pair_accuracy_strict_micro"]["low"], 0.5);
  EXPECT_THAT(json["verdict"].get<std::string>(), HasSubstr("chance"));
  EXPECT_THAT(json["warnings"].dump(), HasSubstr("interval spans chance"));
}

TEST(Eval, WarnsOfEachTrouble) {
  const EvaluationWorld world(20, true, "random");
  train(world, "few", "ce", true);
  const auto warnings = evaluate(world, "few")["warnings"].dump();
  EXPECT_THAT(warnings, HasSubstr("untrained encoder"));
  EXPECT_THAT(warnings, HasSubstr("fewer than 30 prompts"));
  EXPECT_THAT(warnings, HasSubstr("leaking split"));
}

TEST(Eval, TerminalShowsWarningsFirst) {
  const EvaluationWorld world(20, true, "random");
  train(world, "few", "mse");
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal(out, err, {});
  EvalOptions options;
  options.data = world.folder.path();
  options.reward = "few";
  run_eval(options, terminal);
  EXPECT_EQ(out.str().substr(0, 2), "! ");
  EXPECT_THAT(out.str(), HasSubstr("pair_accuracy_strict_micro"));
  EXPECT_LT(out.str().find("leaking split"), out.str().find("pair_accuracy_strict_micro"));
}

TEST(Eval, SaysWhatIsMissing) {
  const EvaluationWorld world(20);
  train(world, "here", "mse");
  std::ostringstream out;
  Terminal terminal(out, out, {});
  const auto message = [&](const EvalOptions& options) -> std::string {
    try {
      run_eval(options, terminal);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EvalOptions options;
  options.data = world.folder.path();
  options.reward = "gone";
  EXPECT_THAT(message(options), HasSubstr("reward 'gone'"));
  EXPECT_THAT(message(options), HasSubstr("there is here"));
  options.reward = "here";
  options.split = "tset";
  EXPECT_THAT(message(options), HasSubstr("expected train, validation or test, found 'tset'"));
  options.split = "test";
  options.bootstrap = 1000000;
  EXPECT_THAT(message(options), HasSubstr("--bootstrap: expected 0 to 10000"));
  options.bootstrap = 10;
  options.data = world.folder / "elsewhere";
  EXPECT_NE(message(options), "no error");
  EXPECT_FALSE(std::filesystem::exists(world.workspace.report_dir("here"))) << "no report of a failed run";
}

TEST(Eval, RefusesAnEmptySplit) {
  const EvaluationWorld world(20);
  train(world, "here", "mse");
  labels::LabelSettings settings;
  settings.split = labels::SplitRule::kPrompt;
  settings.test = 0.0;
  labels::make_labels(world.workspace, settings, {});
  std::ostringstream out;
  Terminal terminal(out, out, {});
  EvalOptions options;
  options.data = world.folder.path();
  options.reward = "here";
  EXPECT_THROW(run_eval(options, terminal), Error);
}

}  // namespace
}  // namespace imagerank::cli
