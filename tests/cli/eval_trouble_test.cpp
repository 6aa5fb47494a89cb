// What `eval` says of data that cannot bear a number, or only some.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "cli/command_eval.h"
#include "cli/dataset.h"
#include "cli/evaluation_world.h"
#include "cli/small_world.h"
#include "core/safetensors.h"
#include "imagerank/error.h"

namespace imagerank::cli {
namespace {

using test::EvaluationWorld;
using test::kEncoder;
using ::testing::HasSubstr;

void train(const EvaluationWorld& world, const std::string& name, const std::string& loss) {
  reward::TrainOptions options;
  options.head = "linear";
  options.loss = loss;
  options.epochs = 2;
  const auto dataset = load_dataset(world.workspace, kEncoder);
  reward::train_reward(dataset.examples, options, {{"encoder", kEncoder}, {"model", "none"}},
                       world.workspace.reward_dir(name), {});
}

void relabel(const EvaluationWorld& world, labels::LabelSettings settings) {
  settings.split = labels::SplitRule::kPrompt;
  labels::make_labels(world.workspace, settings, {});
}

EvalOptions options_for(const EvaluationWorld& world, const std::string& reward) {
  EvalOptions options;
  options.data = world.folder.path();
  options.reward = reward;
  options.bootstrap = 100;
  return options;
}

nlohmann::json evaluate(const EvaluationWorld& world, const std::string& reward) {
  std::ostringstream out;
  std::ostringstream err;
  Terminal::Options json;
  json.json = true;
  Terminal terminal(out, err, json);
  EXPECT_EQ(run_eval(options_for(world, reward), terminal), 0);
  return nlohmann::json::parse(out.str());
}

/// The one line that a failed `eval` gives; no report may be left.
std::string failure(const EvaluationWorld& world, const std::string& reward) {
  std::ostringstream out;
  Terminal terminal(out, out, {});
  try {
    run_eval(options_for(world, reward), terminal);
  } catch (const Error& error) {
    EXPECT_FALSE(std::filesystem::exists(world.workspace.report_dir(reward)));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "one line";
    return error.what();
  }
  return "no error";
}

TEST(EvalTrouble, LabelsThatAreNotThoseOfTheTraining) {
  const EvaluationWorld world(40);
  train(world, "three", "ce");
  labels::LabelSettings binary;
  binary.variant = labels::LabelVariant::kDropTies;
  relabel(world, binary);
  EXPECT_THAT(failure(world, "three"), HasSubstr("answers 3 labels, the workspace now has 2"));
}

TEST(EvalTrouble, VectorsOfAnotherSize) {
  const EvaluationWorld world(20);
  train(world, "known", "mse");
  std::filesystem::remove_all(world.workspace.embeddings_dir(kEncoder));
  Random random(1);
  auto images = embeddings::EmbeddingCache::open(world.workspace.embeddings_dir(kEncoder), "image");
  auto texts = embeddings::EmbeddingCache::open(world.workspace.embeddings_dir(kEncoder), "text");
  for (const auto& ranking : world.workspace.load_rankings()) {
    texts.add(ranking.prompt, "", std::vector<float>(5, 0.5F));
    for (const auto& uid : ranking.image_uids) {
      images.add(uid, "x", std::vector<float>(5, static_cast<float>(random.normal())));
    }
  }
  images.save();
  texts.save();
  EXPECT_THAT(failure(world, "known"), HasSubstr("takes vectors of 8 numbers, the cache of made-up holds 5"));
}

TEST(EvalTrouble, AllTiesAreOneClassAndNothingToJudge) {
  const EvaluationWorld world(40);
  train(world, "tied", "mse");  // before all are ties: there would be nothing to learn
  auto rankings = world.workspace.load_rankings();
  for (auto& ranking : rankings) ranking.best_image_uid.reset();
  world.workspace.write_rankings(rankings);
  relabel(world, {});
  const auto json = evaluate(world, "tied");
  EXPECT_THAT(json["verdict"].get<std::string>(), HasSubstr("the split has no pair with a winner"));
  EXPECT_THAT(json["warnings"].dump(), HasSubstr("labels nearly of one class"));
  for (const auto* metric : {"auc", "r2", "pair_accuracy_strict_micro", "pair_accuracy_imagereward", "kendall_tau_b",
                             "recall_at_1", "best_of_n_lift"}) {
    EXPECT_TRUE(json["metrics"][metric]["value"].is_null()) << metric;
  }
  EXPECT_EQ(json["metrics"]["pair_accuracy_hps_inversion"]["value"], 1.0) << "HPSv2 counts ties as right";
  EXPECT_TRUE(json["metrics"]["pair_accuracy_pickscore"]["value"].is_number());
  EXPECT_EQ(json["data"]["counts"]["strict_pairs"], 0);
}

TEST(EvalTrouble, OnePromptHasValuesButNoIntervals) {
  const EvaluationWorld world(3);
  train(world, "lone", "mse");
  const auto json = evaluate(world, "lone");
  ASSERT_EQ(json["data"]["counts"]["prompts"], 1);
  EXPECT_TRUE(json["metrics"]["pair_accuracy_strict_micro"]["value"].is_number());
  EXPECT_TRUE(json["metrics"]["pair_accuracy_strict_micro"]["low"].is_null());
  EXPECT_THAT(json["verdict"].get<std::string>(), HasSubstr("without an interval"));
  EXPECT_THAT(json["warnings"].dump(), HasSubstr("fewer than 30 prompts: the test split has 1"));
}

TEST(EvalTrouble, NoPromptAtAll) {
  const EvaluationWorld world(20);
  train(world, "here", "mse");
  labels::LabelSettings settings;
  settings.test = 0.0;
  relabel(world, settings);
  EXPECT_THAT(failure(world, "here"), HasSubstr("the test split has no labelled rows and no pairs with vectors"));
}

TEST(EvalTrouble, ScoresThatAreNotNumbers) {
  const EvaluationWorld world(20);
  train(world, "diverged", "mse");
  const auto path = world.workspace.reward_dir("diverged") / "reward.safetensors";
  std::map<std::string, TensorToWrite> tensors;
  std::map<std::string, std::string> metadata;
  {
    const SafetensorsFile file(path);
    metadata = file.metadata();
    for (const auto& [name, tensor] : file.tensors()) {
      auto values = tensor.to_float();
      for (auto& value : values) value = std::numeric_limits<float>::quiet_NaN();
      tensors.emplace(name, float_tensor(values, tensor.shape));
    }
  }
  write_safetensors(path, tensors, metadata);
  const auto message = failure(world, "diverged");
  EXPECT_THAT(message, HasSubstr("is nan, expected a finite number: did training diverge?"));
  EXPECT_THAT(message, HasSubstr("image p")) << "it names the image";
}

TEST(EvalTrouble, AVectorThatIsNotANumber) {
  const EvaluationWorld world(20);
  train(world, "known", "mse");
  auto images = embeddings::EmbeddingCache::open(world.workspace.embeddings_dir(kEncoder), "image");
  images.add("p3r0i1", "y", std::vector<float>(test::kDim, std::numeric_limits<float>::quiet_NaN()));
  images.save();
  EXPECT_THAT(failure(world, "known"), HasSubstr("the vector of image 'p3r0i1' holds nan"));
}

/// A small world with an encoder and a reward, so that images can be scored anew.
class ProbedWorld : public ::testing::Test {
 protected:
  void SetUp() override {
    make_small_world(data_, 40);
    make_tiny_model(folder_ / "model");
    ASSERT_EQ(run_line({"label", "--data", data_, "--split", "prompt", "--test", "0.4", "--quiet"}).code, 0);
    ASSERT_EQ(run_line({"encode", "--data", data_, "--model", folder_ / "model", "--allow-untrained", "--quiet"}).code,
              0);
    ASSERT_EQ(run_line({"train", "--data", data_, "--head", "mlp", "--loss", "mse", "--name", "a", "--epochs", "2",
                        "--quiet"})
                  .code,
              0);
  }
  [[nodiscard]] LineRun eval(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> line = {"eval",   "--data",  data_,         "--reward", "a",
                                     "--json", "--quiet", "--bootstrap", "100"};
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }

  imagerank::test::TemporaryFolder folder_;
  std::string data_ = folder_ / "w";
};

TEST_F(ProbedWorld, ProbesSayWhatEachChangeDoes) {
  const auto without = eval();
  ASSERT_EQ(without.code, 0) << without.err;
  EXPECT_TRUE(without.json()["probes"].is_null());
  const auto run = eval({"--probes", "12"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto probes = run.json()["probes"];
  EXPECT_EQ(probes["images"], 12);
  EXPECT_EQ(probes["prompts"], 12);
  EXPECT_TRUE(probes["failed"].empty());
  std::map<std::string, nlohmann::json> by_name;
  for (const auto& probe : probes["results"]) by_name[probe["name"]] = probe;
  for (const auto* name : {"blank", "noise", "over-saturated", "blurred", "JPEG 90", "JPEG 50", "JPEG 20", "JPEG 5",
                           "text pasted in", "mirrored", "prompt swapped", "attribute changed"}) {
    ASSERT_TRUE(by_name.contains(name)) << name;
    EXPECT_TRUE(by_name[name]["should"].is_string());
  }
  EXPECT_EQ(by_name["blank"]["n"], 12);
  EXPECT_TRUE(by_name["blank"]["mean_change"]["low"].is_number());
  EXPECT_EQ(by_name["prompt swapped"]["n"], 12);
  EXPECT_EQ(eval({"--probes", "12"}).json()["probes"], probes) << "the same every time";
}

TEST_F(ProbedWorld, ASlicesOfTruncationComesFromTheEncoder) {
  const auto json = eval().json();
  bool found = false;
  for (const auto& slice : json["slices"]) found = found || slice["dimension"] == "truncation";
  EXPECT_TRUE(found);
}

TEST_F(ProbedWorld, ImagesGoneSinceEncodingAreCountedAndNotReplaced) {
  const auto before = eval({"--probes", "40"}).json();
  EXPECT_EQ(before["data"]["images"]["gone"], 0);
  const auto probed = before["probes"]["images"].get<std::uint64_t>();
  std::uint64_t removed = 0;
  const auto workspace = workspace::Workspace::open(data_);
  for (const auto& image : workspace.load_images()) {
    if (image.image_uid.ends_with("-0") || image.image_uid.ends_with("-1")) {
      std::filesystem::remove(workspace.resolve(image));
      ++removed;
    }
  }
  ASSERT_GT(removed, 0U);
  const auto run = eval({"--probes", "40"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto after = run.json();
  const auto measured = before["data"]["images"]["measured"].get<std::uint64_t>();
  EXPECT_EQ(after["data"]["images"]["measured"], measured);
  EXPECT_EQ(after["data"]["images"]["gone"], measured / 2) << "two of each prompt's four";
  EXPECT_THAT(after["warnings"].dump(), HasSubstr("images gone"));
  EXPECT_EQ(after["metrics"], before["metrics"]) << "their vectors are still what was encoded";
  const auto failed = after["probes"]["failed"]["missing"].get<std::uint64_t>();
  EXPECT_GT(failed, 0U);
  EXPECT_EQ(after["probes"]["images"].get<std::uint64_t>() + failed, probed) << "no other image stands in";
}

}  // namespace
}  // namespace imagerank::cli
