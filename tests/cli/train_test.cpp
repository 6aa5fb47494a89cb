#include <gtest/gtest.h>

#include <algorithm>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "support/test_support.h"

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

TEST_F(TrainCommand, BadInputIsOneLineAndNoReward) {
  const auto refused = [](const LineRun& run, int code, const std::string& part) {
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_TRUE(run.out.empty());
  };
  refused(train({"--head", "mpl", "--loss", "mse", "--name", "x"}), 2, "mlp, cnn, lstm");
  refused(train({"--head", "mlp", "--loss", "l2", "--name", "x"}), 2, "mse, ce, bce, bt");
  refused(train({"--head", "clip", "--loss", "ce", "--name", "x"}), 2, "clip takes bt, mse, bce");
  refused(train({"--head", "mlp", "--loss", "bce", "--name", "x"}), 2, "two classes");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "../x"}), 2, "--name");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--lr", "-1"}), 2, "--lr");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--batch", "0"}), 2, "--batch");
  refused(train({"--head", "mlp", "--loss", "mse", "--name", "x", "--model", "no/such/model"}), 1, "no/such/model");
  EXPECT_FALSE(std::filesystem::exists(reward("x") / "reward.json"));
  const test::TemporaryFolder empty;
  refused(run_line({"train", "--data", empty.path().string(), "--head", "mlp", "--loss", "mse", "--name", "x"}), 1,
          "encode");
}

}  // namespace
}  // namespace imagerank::cli
