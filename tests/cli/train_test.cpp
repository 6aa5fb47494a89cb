#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/npy.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::cli {
namespace {

/// A labelled, encoded workspace, made once.
class TrainCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    make_small_world(data(), 40);
    make_tiny_model(model());
    ASSERT_EQ(run_line({"label", "--data", data(), "--quiet"}).code, 0);
    const LineRun perturb = run_line({"perturb", "--data", data(), "--mode", "swap", "--per-prompt", "3", "--distance",
                                      "0.01..1", "--quiet", "--json"});  // its prompts are much alike
    ASSERT_EQ(perturb.code, 0) << perturb.err;
    ASSERT_GT(perturb.json()["perturbed"], 0);
    const LineRun encode = run_line({"encode", "--data", data(), "--model", model(), "--allow-untrained", "--quiet"});
    ASSERT_EQ(encode.code, 0) << encode.err;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string data() { return (folder_->path() / "data").string(); }
  static std::string model() { return (folder_->path() / "tiny").string(); }
  static LineRun train(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", "--data", data(), "--epochs", "2", "--json", "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_line(arguments);
  }
  static std::filesystem::path reward(const std::string& name) {
    return std::filesystem::path(data()) / "rewards" / name;
  }

 private:
  static test::TemporaryFolder* folder_;
};
test::TemporaryFolder* TrainCommand::folder_ = nullptr;

TEST_F(TrainCommand, TheSeedsHeadsGiveTheContractsFields) {
  const std::vector<std::pair<std::string, std::string>> heads = {{"mlp", "mse"}, {"cnn", "ce"}, {"lstm", "ce"}};
  for (const auto& [head, loss] : heads) {
    const LineRun run = train({"--model", model(), "--head", head, "--loss", loss, "--name", head});
    ASSERT_EQ(run.code, 0) << run.err;
    const auto result = run.json();
    ASSERT_EQ(result.at("epochs").size(), 2U);
    EXPECT_TRUE(result["epochs"][0].at("loss").is_number());
    EXPECT_TRUE(result["epochs"][0].at("validation").at("loss").is_number());
    EXPECT_GT(result.at("seconds").get<double>(), 0.0);
    const int best = result.at("best_epoch").get<int>();
    EXPECT_TRUE(best == 1 || best == 2);
    const auto record = nlohmann::json::parse(load_file(reward(head) / "reward.json"));
    EXPECT_EQ(record.at("head"), head);
    EXPECT_EQ(record.at("model"), std::filesystem::canonical(model()).string());
    EXPECT_TRUE(record.at("encoder_untrained").get<bool>());
    EXPECT_EQ(record.at("encoder"), result.at("encoder"));
    EXPECT_NE(run.err.find("never trained"), std::string::npos);
  }
  EXPECT_TRUE(broken_files(data()).empty());
}

TEST_F(TrainCommand, TheOnlyEncoderNeedsNoName) {
  const LineRun run = train({"--head", "linear", "--loss", "bt", "--name", "plain", "--limit", "20"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["data"]["train_used"], 20);
  EXPECT_EQ(run.json()["data"]["train_unit"], "pairs");
  const auto record = nlohmann::json::parse(load_file(reward("plain") / "reward.json"));
  EXPECT_EQ(record.at("model"), std::filesystem::canonical(model()).string()) << "`rank` must find it again";
  EXPECT_TRUE(record.at("encoder_untrained").get<bool>());
  const std::filesystem::path other = std::filesystem::path(data()) / "embeddings" / "other-fp32-00000000";
  std::filesystem::create_directories(other);
  const LineRun several = train({"--head", "linear", "--loss", "bt", "--name", "plain"});
  EXPECT_EQ(several.code, 2);
  EXPECT_NE(several.err.find("other-fp32-00000000"), std::string::npos);
  std::filesystem::remove(other);
}

TEST_F(TrainCommand, ASecondRunFindsItsRewardFinished) {
  const std::vector<std::string> arguments = {"--model", model(), "--head", "mlp", "--loss", "bt", "--name", "again"};
  ASSERT_EQ(train(arguments).code, 0);
  const std::string weights = load_file(reward("again") / "reward.safetensors");
  const LineRun second = train(arguments);
  EXPECT_TRUE(second.json().at("up_to_date").get<bool>());
  EXPECT_EQ(second.json().at("epochs").size(), 2U);
  EXPECT_EQ(load_file(reward("again") / "reward.safetensors"), weights);
}

TEST_F(TrainCommand, PairsAndRankingsTrainWithTiesAsTheLossHasThem) {
  for (const char* loss : {"bt", "davidson", "rao-kupper", "plackett-luce"}) {
    const LineRun run = train({"--head", "linear", "--loss", loss, "--name", "ties"});
    ASSERT_EQ(run.code, 0) << loss << ": " << run.err;
    const auto result = run.json();
    EXPECT_EQ(result["data"]["train_unit"], std::string(loss) == "plackett-luce" ? "rankings" : "pairs");
    EXPECT_TRUE(result["epochs"][0]["validation"]["loss"].is_number());
    const LineRun eval = run_line({"eval", "--data", data(), "--reward", "ties", "--bootstrap", "10", "--json"});
    EXPECT_EQ(eval.code, 0) << eval.err;
  }
}

TEST_F(TrainCommand, ThePromptClassificationReadsPerturbedPromptsAndSaysItsFloor) {
  const std::vector<std::string> arguments = {"--head",          "mlp", "--loss",        "ce", "--name", "prompts",
                                              "--wrong-prompts", "3",   "--prompt-loss", "0.5"};
  const LineRun run = train(arguments);
  ASSERT_EQ(run.code, 0) << run.err;
  const auto result = run.json();
  // Expected labels of three classes lie within 2 of each other: log(1 + 3 e^-2).
  EXPECT_NEAR(result["prompt_classification"]["floor"].get<double>(), std::log1p(3.0 * std::exp(-2.0)), 1e-9);
  EXPECT_GT(result["epochs"][0]["prompt_loss"].get<double>(), 0.0);
  std::vector<std::string> printed = {"train", "--data", data(), "--epochs", "2"};
  printed.insert(printed.end(), arguments.begin(), arguments.end());
  EXPECT_NE(run_line(printed).out.find("cannot fall below 0.34"), std::string::npos);
}

TEST_F(TrainCommand, AnEnsembleScoresWithADeviation) {
  const LineRun run = train({"--head", "mlp", "--loss", "bt", "--name", "five", "--ensemble", "3"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["ensemble"], 3);
  const std::vector<std::size_t> shape = {2, 48};
  std::vector<float> rows(96);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 7) - 3.0F;
  write_npy(reward("five") / "rows.npy", rows, shape);
  const std::string vectors = (reward("five") / "rows.npy").string();
  const std::vector<std::string> score = {
      "score", "--reward", reward("five").string(), "--image-embeddings", vectors, "--text-embeddings", vectors};
  std::vector<std::string> as_json = score;
  as_json.emplace_back("--json");
  const LineRun scored = run_line(as_json);
  ASSERT_EQ(scored.code, 0) << scored.err;
  EXPECT_GT(scored.json()["scores"][0]["deviation"].get<double>(), 0.0);
  EXPECT_EQ(run_line(score).out.substr(0, 26), "row,score,score_deviation\n");
}

TEST_F(TrainCommand, ASweepIsChosenOnValidation) {
  const LineRun run =
      train({"--head", "linear", "--loss", "bt", "--name", "swept", "--sweep", "lr=1e-4:1e-2,batch=16:32"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto sweep = run.json().at("sweep");
  ASSERT_EQ(sweep["tried"].size(), 4U);
  for (const auto& one : sweep["tried"]) {
    EXPECT_LE(sweep["tried"][sweep["chosen"].get<std::size_t>()]["loss"], one["loss"]);
  }
  EXPECT_TRUE(broken_files(data()).empty());
}

TEST_F(TrainCommand, EventFilesAreWrittenWhereAsked) {
  const std::filesystem::path folder = reward("events") / "tensorboard";
  const LineRun run = train({"--head", "linear", "--loss", "bt", "--name", "events", "--tensorboard", folder.string()});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_GT(std::filesystem::file_size(folder / "events.out.tfevents.imagerank"), 100U);
}

TEST_F(TrainCommand, LabelsOutOfRangeAndASplitOfOneClassAreNamed) {
  const test::TemporaryFolder copy;
  std::filesystem::copy(data(), copy / "w", std::filesystem::copy_options::recursive);
  const auto relabel = [&](const std::string& rule) {
    workspace::Database database;
    const std::string path = (copy / "w" / "points.parquet").string();
    database.execute("CREATE TABLE p AS SELECT * FROM read_parquet(" + workspace::sql_literal(path) + ")");
    database.write_parquet("SELECT image_uid, prompt, CAST(" + rule + " AS INTEGER) AS label, split FROM p", path);
  };
  const auto run = [&] {
    return run_line({"train", "--data", (copy / "w").string(), "--head", "mlp", "--loss", "ce", "--name", "x"});
  };
  relabel("CASE WHEN label = 2 THEN 7 ELSE label END");
  LineRun refused = run();
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("label < 3"), std::string::npos) << refused.err;
  EXPECT_EQ(std::ranges::count(refused.err, '\n'), 1) << refused.err;
  relabel("1");
  refused = run();
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("found label 1 on all"), std::string::npos) << refused.err;
  EXPECT_FALSE(std::filesystem::exists(copy / "w" / "rewards" / "x" / "reward.json"));
}

TEST_F(TrainCommand, UnfiniteVectorsAreNamedByTheirImage) {
  const test::TemporaryFolder copy;
  std::filesystem::copy(data(), copy / "w", std::filesystem::copy_options::recursive);
  std::filesystem::path array;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(copy / "w" / "embeddings")) {
    if (entry.path().filename() == "image.npy") array = entry.path();
  }
  std::string bytes = load_file(array);
  bytes.replace(bytes.size() - 2, 2, "\x00\x7e", 2);  // float16's NaN, little-endian, in the last row
  test::write_text(array, bytes);
  const LineRun run =
      run_line({"train", "--data", (copy / "w").string(), "--head", "mlp", "--loss", "bt", "--name", "x"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("found 1 rows with others: i00"), std::string::npos) << run.err;
  EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
}

TEST_F(TrainCommand, BadInputIsOneLineAndNoReward) {
  const auto refused = [](const LineRun& run, int code, const std::string& part) {
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_TRUE(run.out.empty());
  };
  refused(train({"--head", "mpl", "--loss", "mse", "--name", "x"}), 2, "mlp, cnn, lstm");
  refused(train({"--head", "mlp", "--loss", "l2", "--name", "x"}), 2, "mse, ce, bce, bt");
  refused(train({"--head", "clip", "--loss", "ce", "--name", "x"}), 2, "clip takes bt, davidson");
  refused(train({"--head", "mlp", "--loss", "bce", "--name", "x"}), 2, "two classes");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "../x"}), 2, "--name");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--lr", "-1"}), 2, "--lr");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--batch", "0"}), 2, "--batch");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--model", "no/such/model"}), 1, "no/such/model");
  refused(train({"--head", "mlp", "--loss", "bt", "--name", "x", "--class-weights", "1,2"}), 2, "--class-weights");
  refused(train({"--head", "mlp", "--loss", "ce", "--name", "x", "--class-weights", "1;2"}), 2, "found '1;2'");
  refused(train({"--head", "mlp", "--loss", "bt", "--name", "x", "--weight-by", "user"}), 2, "--weight-by");
  refused(train({"--head", "mlp", "--loss", "bt", "--name", "x", "--sweep", "lr=fast"}), 2, "--sweep");
  refused(train({"--head", "mlp", "--loss", "bt", "--name", "x", "--optimizer", "sgd"}), 2, "adamw, adam");
  refused(train({"--head", "mlp", "--loss", "bt", "--name", "x", "--ensemble", "0"}), 2, "--ensemble");
  EXPECT_FALSE(std::filesystem::exists(reward("x") / "reward.json"));
  const test::TemporaryFolder empty;
  refused(run_line({"train", "--data", empty.path().string(), "--head", "mlp", "--loss", "mse", "--name", "x"}), 1,
          "encode");
}

}  // namespace
}  // namespace imagerank::cli
