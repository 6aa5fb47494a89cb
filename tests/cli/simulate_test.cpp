#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "cli/command_simulate.h"
#include "cli/commands.h"
#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

nlohmann::json run(const SimulateOptions& options) {
  std::ostringstream out;
  std::ostringstream err;
  Terminal::Options terminal_options;
  terminal_options.json = true;
  Terminal terminal(out, err, terminal_options);
  EXPECT_EQ(run_simulate(options, terminal), 0);
  return nlohmann::json::parse(out.str());
}

int run_line(std::vector<const char*> arguments, std::string& error) {
  arguments.insert(arguments.begin(), "imagerank");
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_command_line(static_cast<int>(arguments.size()), arguments.data(), out, err, {});
  error = err.str();
  return code;
}

TEST(Simulate, TellsWhatItMade) {
  const test::TemporaryFolder folder;
  SimulateOptions options;
  options.data = folder / "world";
  options.rankings = 40;
  options.image_size = 48;
  const auto result = run(options);
  const auto workspace = workspace::Workspace::open(options.data);
  EXPECT_EQ(result.at("rankings"), 40);
  EXPECT_EQ(workspace.load_rankings().size(), 40U);
  EXPECT_EQ(result.at("images"), workspace.load_images().size());
  EXPECT_GT(result.at("prompts").get<int>(), 5);
  EXPECT_GT(result.at("users").get<int>(), 1);
  EXPECT_EQ(result.at("strict_pairs").get<int>(), 3 * (40 - result.at("ties").get<int>()));
  EXPECT_GT(result.at("oracle_pair_accuracy").get<double>(), 0.6);
  EXPECT_LT(result.at("image_only_pair_accuracy").get<double>(), result.at("oracle_pair_accuracy").get<double>());
  EXPECT_EQ(run(options), result) << "again";
}

TEST(Simulate, MakesCaptions) {
  const test::TemporaryFolder folder;
  SimulateOptions options;
  options.data = folder / "scenes";
  options.captions = 30;
  options.hold_out = "only";
  options.image_size = 48;
  const auto result = run(options);
  EXPECT_EQ(result.at("images"), 30);
  EXPECT_EQ(result.at("rankings"), 0);
  EXPECT_TRUE(result.at("oracle_pair_accuracy").is_null());
  for (const auto& image : workspace::Workspace::open(options.data).load_images()) EXPECT_FALSE(image.prompt.empty());
}

TEST(Simulate, PrintsForPeople) {
  const test::TemporaryFolder folder;
  SimulateOptions options;
  options.data = folder / "world";
  options.rankings = 10;
  options.image_size = 48;
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal(out, err, {});
  EXPECT_EQ(run_simulate(options, terminal), 0);
  for (const char* word : {"rankings", "images", "conflicts", "oracle"}) {
    EXPECT_NE(out.str().find(word), std::string::npos) << out.str();
  }
}

TEST(Simulate, BadOptionsAreUsageErrors) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "world";
  const std::vector<std::vector<const char*>> bad = {{"--rankings", "0"},   {"--rankings", "many"},
                                                     {"--noise", "-1"},     {"--hold-out", "some"},
                                                     {"--image-size", "7"}, {"--captions", "5", "--rankings", "5"}};
  for (const auto& options : bad) {
    std::vector<const char*> arguments = {"simulate", "--data", data.c_str()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::string error;
    EXPECT_EQ(run_line(arguments, error), 2) << options.front();
    EXPECT_NE(error.find(options.front()), std::string::npos) << error;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "world"));
}

TEST(Simulate, RefusesAnotherSeedInTheSameFolder) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "world";
  std::string error;
  ASSERT_EQ(run_line({"simulate", "--data", data.c_str(), "--rankings", "3", "--image-size", "48"}, error), 0) << error;
  EXPECT_EQ(
      run_line({"simulate", "--data", data.c_str(), "--rankings", "3", "--image-size", "48", "--seed", "9"}, error), 1);
  EXPECT_NE(error.find("seed 0 there, 9 asked for"), std::string::npos) << error;
}

}  // namespace
}  // namespace imagerank::cli
