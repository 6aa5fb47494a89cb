#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/small_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

class RunCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    make_small_world(data_, 40);
    make_tiny_model(model_);
  }
  LineRun run(const std::string& config, const std::vector<std::string>& more = {}) {
    test::write_text(folder_ / "run.toml", config);
    std::vector<std::string> line = {"run", folder_ / "run.toml", "--json", "--quiet"};
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }
  std::string config(const std::string& split, const std::string& seed) const {
    return fmt::format(
        "data = '{}'\nmodel = '{}'\n[compare]\nrewards = ['a']\n[label]\nsplit = '{}'\n[encode]\nallow-untrained = "
        "true\n"
        "[[train]]\nname = 'a'\nhead = 'linear'\nloss = 'mse'\nepochs = 2\nseed = {}\n",
        data_, model_, split, seed);
  }
  static std::vector<std::string> ran(const LineRun& outcome) {
    std::vector<std::string> names;
    const auto report = outcome.json();
    for (const auto& stage : report["stages"]) {
      if (!stage["skipped"].get<bool>()) names.push_back(stage["name"].get<std::string>());
    }
    return names;
  }

  test::TemporaryFolder folder_;
  std::string data_ = folder_ / "w";
  std::string model_ = folder_ / "model";
};

TEST_F(RunCommand, RunsInTheOrderOfTheFlowAndSkipsWhatDidNotChange) {
  const LineRun first = run(config("prompt", "1"));
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(ran(first), (std::vector<std::string>{"label", "encode", "train a", "compare"}));
  EXPECT_EQ(first.json()["stages"][1]["result"]["images"], 160);
  EXPECT_TRUE(ran(run(config("prompt", "1"))).empty());
  // Another seed for the head: only what follows from it.
  EXPECT_EQ(ran(run(config("prompt", "2"))), (std::vector<std::string>{"train a", "compare"}));
  EXPECT_EQ(ran(run(config("random", "2"))), (std::vector<std::string>{"label", "train a", "compare"}));
  EXPECT_EQ(ran(run(config("random", "2"), {"--force"})).size(), 4U);
  // What someone deleted is made again.
  std::filesystem::remove(std::filesystem::path(data_) / "points.parquet");
  EXPECT_EQ(ran(run(config("random", "2"))).front(), "label");
}

TEST_F(RunCommand, WrongConfigsRunNothingAndNameTheKey) {
  const std::array<std::pair<std::string, std::string>, 6> cases = {{
      {"[label]\n", "data"},
      {fmt::format("data = '{}'\n[labels]\n", data_), "labels"},
      {fmt::format("data = '{}'\n[label]\nsplits = 'prompt'\n", data_), "--splits"},
      {fmt::format("data = '{}'\n[label]\n[import]\nfiles = ['x']\n", data_), "format"},
      {fmt::format("data = '{}'\n", data_), "stage"},
      {"data = \n", "run.toml:1"},
  }};
  for (const auto& [text, part] : cases) {
    const LineRun outcome = run(text);
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(data_ + "/points.parquet")) << text;
  }
  EXPECT_EQ(run_line({"run", folder_ / "none.toml"}).code, 1);
}

TEST_F(RunCommand, AFailingStageStopsTheRestAndGivesItsCode) {
  const LineRun outcome = run(fmt::format("data = '{}'\nmodel = '{}'\n[label]\n[encode]\n", data_, model_));
  EXPECT_EQ(outcome.code, 1);  // the model is untrained
  EXPECT_TRUE(std::filesystem::exists(data_ + "/points.parquet"));
}

}  // namespace
}  // namespace imagerank::cli
