#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/small_world.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

TEST(PerturbCommand, RealPromptsInBothModes) {
  IMAGERANK_SHARED_DATA(rankings, "real/pickapic_v0/rankings.parquet");
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  ASSERT_EQ(run_line({"import", "pickapic-v0", rankings, "--data", data}).code, 0);
  const auto swap = run_line({"perturb", "--data", data, "--mode", "swap", "--per-prompt", "3", "--json"}).json();
  EXPECT_EQ(swap["prompts"], 8294);
  EXPECT_EQ(swap["perturbed"], 3 * 8293);
  EXPECT_EQ(swap["by_kind"], nlohmann::json({{"prompt", 3 * 8293}}));
  EXPECT_EQ(swap["skipped"], nlohmann::json({{"empty", 1}}));
  const auto attribute =
      run_line({"perturb", "--data", data, "--mode", "attribute", "--per-prompt", "2", "--json"}).json();
  EXPECT_EQ(attribute["kept"], swap["perturbed"]);
  EXPECT_GT(attribute["perturbed"].get<int>(), 9000);
  for (const char* kind : {"number", "colour", "size", "relation", "background", "object"})
    EXPECT_GT(attribute["by_kind"][kind].get<int>(), 300) << kind;

  workspace::Database database;
  const auto workspace = workspace::Workspace::open(data);
  for (const char* table : {"rankings", "perturbed"}) workspace.attach(database, table);
  // No wrong prompt was judged on an image of its prompt, and none comes twice.
  EXPECT_EQ(database.query_integer(R"(
    WITH shown AS (SELECT DISTINCT trim(lower(prompt)) AS prompt, unnest(image_uids) AS uid FROM rankings)
    SELECT count(*) FROM perturbed p JOIN shown a ON a.prompt = trim(lower(p.prompt))
    JOIN shown b ON b.uid = a.uid AND b.prompt = trim(lower(p.perturbed_prompt)))"),
            0);
  EXPECT_EQ(database.query_integer(
                "SELECT count(*) - count(DISTINCT (prompt, lower(perturbed_prompt), mode)) FROM perturbed"),
            0);
}

TEST(PerturbCommand, PrintsATableForPeople) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_small_world(data, 4);
  const LineRun run = run_line({"perturb", "--data", data, "--mode", "swap", "--distance", "0..1"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.out.find("perturbed  4 rows of mode swap"), std::string::npos) << run.out;
}

TEST(PerturbCommand, UsageErrorsAreOneLineAndExitTwo) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_small_world(data, 2);
  const std::array<std::vector<std::string>, 6> lines = {
      {{"perturb", "--data", data},
       {"perturb", "--data", data, "--mode", "shuffle"},
       {"perturb", "--data", data, "--mode", "swap", "--per-prompt", "0"},
       {"perturb", "--data", data, "--mode", "swap", "--per-prompt", "-1"},
       {"perturb", "--data", data, "--mode", "swap", "--distance", "0.9"},
       {"perturb", "--data", data, "--mode", "swap", "--distance", "0.9..0.1"}}};
  for (const auto& line : lines) {
    const LineRun run = run_line(line);
    EXPECT_EQ(run.code, 2) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_TRUE(run.out.empty());
    EXPECT_FALSE(std::filesystem::exists(data + "/perturbed.parquet"));
  }
  const test::TemporaryFolder empty;
  const LineRun run = run_line({"perturb", "--data", empty.path(), "--mode", "swap"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("imagerank import"), std::string::npos) << run.err;
}

TEST(PerturbCommand, EncodeTakesTheWrongPromptsToo) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w", model = folder / "model";
  make_small_world(data, 5);
  make_tiny_model(model);
  const std::vector<std::string> encode = {"encode", "--data", data, "--model", model, "--allow-untrained", "--json"};
  EXPECT_EQ(run_line(encode).json()["texts"], 5);
  workspace::Database database;
  database.write_parquet(
      "SELECT 'p' AS prompt, 'another ' || x AS perturbed_prompt, 'attribute' AS mode, '' AS what_changed FROM "
      "range(3) t(x)",
      data + "/perturbed.parquet");
  const auto second = run_line(encode).json();
  EXPECT_EQ(second["texts"], 8);
  EXPECT_EQ(second["cached"], 5 + 20);
}

}  // namespace
}  // namespace imagerank::cli
