#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/command_models.h"
#include "cli/commands.h"
#include "imagerank/error.h"
#include "support/environment_variable.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

/// The whole command line, since `models` has subcommands of its own.
Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), {"imagerank", "models"});
  std::ostringstream out, err;
  Outcome result;
  result.code = run_command_line(static_cast<int>(arguments.size()), arguments.data(), out, err, {});
  result.out = out.str();
  result.err = err.str();
  return result;
}

TEST(ModelsCommand, RandomThenInfoThenList) {
  const test::TemporaryFolder folder;
  const std::string out = folder / "sample";
  const Outcome made = run({"random", "tiny", "--out", out.c_str(), "--seed", "4", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.err, HasSubstr("random weights"));
  const nlohmann::json model = nlohmann::json::parse(made.out)["models"][0];
  EXPECT_EQ(model["pretrained"], false);
  EXPECT_EQ(model["parameters"], 49408 * 64 + 810177);
  for (const char* name : {"config.json", "preprocessor_config.json", "model.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / "sample" / name)) << name;
  }

  const Outcome info = run({"info", out.c_str(), "--json"});
  ASSERT_EQ(info.code, 0) << info.err;
  const nlohmann::json found = nlohmann::json::parse(info.out)["models"][0];
  EXPECT_EQ(found, model);
  EXPECT_EQ(found["layout"], "hugging_face");
  EXPECT_EQ(found["activation"], "quick_gelu");
  EXPECT_EQ(found["preprocessing"]["crop_size"], 64);
  EXPECT_EQ(found["preprocessing"]["resize"], "shortest_edge");
  EXPECT_EQ(found["preprocessing"]["crop_rounding"], "down");
  EXPECT_TRUE(found["tokenizer"].is_null());
  EXPECT_THAT(found["engines"]["bf16"].get<std::string>(), AnyOf(HasSubstr("native, "), HasSubstr("libtorch (")));
  EXPECT_THAT(run({"info", out.c_str()}).out,
              AllOf(HasSubstr("pretrained     no: random weights"), HasSubstr("\nint8           ")));
  ::setenv("IMAGERANK_CPU_LEVEL", "sse2", 1);
  EXPECT_THAT(run({"info", out.c_str()}).err, HasSubstr("expected avx2, avx512 or amx, found 'sse2'"));
  ::unsetenv("IMAGERANK_CPU_LEVEL");

  const test::EnvironmentVariable home("HF_HOME", folder / "hf"), cache("HF_HUB_CACHE", "");
  ::setenv("IMAGERANK_ASSETS", folder.path().c_str(), 1);
  const Outcome list = run({"list", "--json"});
  EXPECT_EQ(nlohmann::json::parse(list.out)["models"][0]["name"], "builtin/sample");
  EXPECT_EQ(nlohmann::json::parse(list.out)["models"][0]["source"], "builtin");
  EXPECT_THAT(run({"list"}).out, HasSubstr("builtin/sample"));
  ::setenv("IMAGERANK_ASSETS", (folder / "none").c_str(), 1);
  for (const auto& other : nlohmann::json::parse(run({"list", "--json"}).out)["models"])
    EXPECT_EQ(other["source"], "hub");
  ::unsetenv("IMAGERANK_ASSETS");
}

TEST(ModelsCommand, ErrorsAreOneLine) {
  const test::TemporaryFolder folder;
  const std::string out = folder / "m";
  const auto expect = [](const Outcome& result, int code, const char* text) {
    EXPECT_EQ(result.code, code);
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  };
  expect(run({"random", "b33", "--out", out.c_str()}), 2,
         "expected b32, b16, l14, l14-336, h14, g14 or tiny, found b33");
  expect(run({"random", "tiny", "--out", out.c_str(), "--activation", "relu"}), 2, "--activation");
  expect(run({"random", "tiny", "--out", out.c_str(), "--tokenizer", out.c_str()}), 1, "tokenizer.json");
  expect(run({"random", "tiny"}), 2, "--out");
  expect(run({"info", out.c_str()}), 1, "no such folder");
  expect(run({}), 2, "subcommand");
  EXPECT_FALSE(std::filesystem::exists(out));
  ASSERT_EQ(run({"random", "tiny", "--out", out.c_str()}).code, 0);
  expect(run({"random", "tiny", "--out", out.c_str()}), 1, "without a model");
}

}  // namespace
}  // namespace imagerank::cli
