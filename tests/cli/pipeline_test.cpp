// The main job, end to end: real preferences over HTTP, and the made-up world with the built-in encoder.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "support/http_server.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

nlohmann::json run_json(std::vector<std::string> line) {
  line.insert(line.end(), {"--json", "--quiet"});
  const LineRun run = run_line(line);
  EXPECT_EQ(run.code, 0) << line[0] << ": " << run.err;
  return run.code == 0 ? run.json() : nlohmann::json();
}

bool has_warning(const nlohmann::json& report, const std::string& part) {
  return std::ranges::any_of(report["warnings"], [&](const nlohmann::json& warning) {
    return warning.get<std::string>().find(part) != std::string::npos;
  });
}

TEST(Pipeline, RealPreferencesOverHttpAreReportedHonestly) {
  IMAGERANK_SHARED_DATA(real, "real/avt");
  IMAGERANK_SHARED_DATA(fixture, "fixtures/clip_tiny_quickgelu");
  IMAGERANK_SHARED_DATA(vocabulary, "clip_tokenizer/tokenizer.json");
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  std::filesystem::create_directories(model);
  for (const char* name : {"model.safetensors", "config.json", "preprocessor_config.json"}) {
    std::filesystem::copy(fixture / name, std::filesystem::path(model) / name);
  }
  std::filesystem::copy(vocabulary, std::filesystem::path(model) / "tokenizer.json");
  test::HttpServer server([&](const test::HttpRequest& request) {
    const auto path = real / "images" / std::filesystem::path(request.path).filename();
    test::HttpResponse response;
    response.status = std::filesystem::exists(path) ? 200 : 404;
    if (response.status == 200) response.body = load_file(path);
    return response;
  });
  // The table names a fixed port; this server has another.
  workspace::Database database;
  database.write_parquet(fmt::format("SELECT * REPLACE (replace(url, ':8765/', ':{}/') AS url) FROM read_parquet({})",
                                     server.port(), workspace::sql_literal((real / "images.parquet").string())),
                         folder / "images.parquet");

  run_json({"import", "pickapic-v0", real / "rankings.parquet", folder / "images.parquet", "--data", data});
  const auto fetched = run_json({"fetch", "--data", data, "--allow-local"});
  EXPECT_EQ(fetched["ok"], 134);
  const auto again = run_json({"fetch", "--data", data, "--allow-local"});
  EXPECT_EQ(again["ok"].get<int>() + again["skipped"].get<int>(), 134);
  EXPECT_EQ(server.requests(), 134);
  run_json({"label", "--data", data, "--split", "prompt", "--test", "0.25", "--seed", "3"});
  EXPECT_EQ(run_json({"encode", "--data", data, "--model", model})["images"], 134);
  for (const auto& [head, loss] : {std::pair{"mlp", "mse"}, {"cnn", "ce"}, {"lstm", "ce"}}) {
    run_json(
        {"train", "--data", data, "--model", model, "--head", head, "--loss", loss, "--name", head, "--epochs", "2"});
    const auto report = run_json({"eval", "--data", data, "--reward", head});
    // Random vectors, 27 prompts, 598 rankings whose labels are nearly all ties or losses: each must be said.
    EXPECT_TRUE(has_warning(report, "untrained encoder")) << report["warnings"];
    EXPECT_TRUE(has_warning(report, "fewer than 30 prompts")) << report["warnings"];
    EXPECT_TRUE(has_warning(report, "one class")) << report["warnings"];
    const auto& pairs = report["metrics"]["pair_accuracy_strict_micro"];
    EXPECT_LE(pairs["low"].get<double>(), 0.6) << "a random encoder may not claim skill";
    for (const char* baseline :
         {"majority", "random", "always_tie", "prompt_only", "image_only", "clip_cosine", "oracle"}) {
      EXPECT_TRUE(report["baselines"].contains(baseline)) << baseline;
    }
  }
  std::vector<std::string> line = {"rank", "--reward", data + "/rewards/mlp", "--prompt", "A red colored car"};
  const auto workspace = workspace::Workspace::open(data);
  const auto images = workspace.load_images();
  for (std::size_t i = 0; i < 5; ++i) line.push_back(workspace.resolve(images[i]));
  const auto ranked = run_json(line);
  ASSERT_EQ(ranked["scores"].size(), 5U);
  EXPECT_EQ(ranked["scores"][0]["rank"], 1);
  EXPECT_GE(ranked["scores"][0]["score"].get<double>(), ranked["scores"][4]["score"].get<double>());
  EXPECT_TRUE(broken_files(data).empty());
}

TEST(Pipeline, ASimulatedWorldTeachesTheBuiltInEncodersHead) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  const auto world = run_json({"simulate", "--data", data, "--rankings", "600", "--seed", "5"});
  run_json({"label", "--data", data, "--split", "prompt", "--seed", "5"});
  const auto encoded = run_json({"encode", "--data", data, "--model", "builtin/sample"});
  EXPECT_EQ(encoded["images"], world["images"]);
  run_json({"train", "--data", data, "--model", "builtin/sample", "--head", "clip", "--loss", "bt", "--name", "clip"});
  const auto report = run_json({"eval", "--data", data, "--reward", "clip"});
  EXPECT_FALSE(has_warning(report, "untrained")) << report["warnings"];
  const auto& pairs = report["metrics"]["pair_accuracy_strict_micro"];
  const auto& oracle = report["baselines"]["oracle"]["pair_accuracy_strict_micro"];
  EXPECT_GT(pairs["low"].get<double>(), 0.5);
  EXPECT_GT(oracle["value"].get<double>(), 0.7);
  EXPECT_GT(pairs["value"].get<double>(), 0.5 + 0.5 * (oracle["value"].get<double>() - 0.5));
  EXPECT_EQ(run_json({"compare", "--data", data, "clip"})["chosen"], "clip");
}

}  // namespace
}  // namespace imagerank::cli
