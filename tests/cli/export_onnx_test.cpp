#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/scoring_world.h"
#include "clip/model_config.h"
#include "core/safetensors.h"
#include "support/child_process.h"
#include "support/environment_variable.h"

namespace imagerank::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExportOnnxTest : public ScoringWorld {
 protected:
  static LineRun export_onnx(std::vector<std::string> more) {
    more.insert(more.begin(), {"export", "--to", "onnx", "--json"});
    return run_line(more);
  }
  static void expect_refused(const LineRun& run, int code, const std::string& text) {
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_THAT(run.err, HasSubstr(text));
    EXPECT_EQ(run.out, "");
  }
  static std::size_t export_dim() { return static_cast<std::size_t>(clip::load_model_config(model()).projection_dim); }
  [[nodiscard]] std::string out(const std::string& name) const { return (folder_ / name).string(); }

  test::TemporaryFolder folder_;
};

TEST_F(ExportOnnxTest, AModelAsTwoGraphsAndARewardAsThreeOrOne) {
  const LineRun model_run = export_onnx({"--model", model(), "--out", out("model")});
  ASSERT_EQ(model_run.code, 0) << model_run.err;
  EXPECT_THAT(model_run.err, HasSubstr("random weights"));
  EXPECT_EQ(model_run.json()["rows"], 2);
  EXPECT_TRUE(model_run.json()["reward"].is_null());
  EXPECT_THAT(model_run.json()["encoder"].get<std::string>(), HasSubstr("tiny-fp32-"));
  for (const char* const name : {"vision.onnx", "text.onnx"})
    EXPECT_TRUE(std::filesystem::exists(folder_ / "model" / name));

  const LineRun reward_run = export_onnx({"--reward", "mlp", "--data", data(), "--out", out("reward")});
  ASSERT_EQ(reward_run.code, 0) << reward_run.err;
  EXPECT_EQ(reward_run.json()["reward"], "mlp");
  EXPECT_EQ(reward_run.json()["paths"][2], out("reward/head.onnx"));
  EXPECT_LT(std::filesystem::file_size(folder_ / "reward/head.onnx"),
            std::filesystem::file_size(folder_ / "reward/text.onnx"));

  const LineRun whole = export_onnx({"--reward", reward(), "--out", out("whole.onnx")});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(whole.json()["rows"], 1);
  const LineRun text =
      run_line({"export", "--to", "onnx", "--reward", reward(), "--out", out("whole.onnx"), "--quiet"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("reward    mlp"), HasSubstr("whole.onnx")));
}

/// By name, as `--reward` of other commands; what prepares its input is said, and a text that it does not read is not
/// asked for.
TEST_F(ExportOnnxTest, PublishedScorersAndHeads) {
  const LineRun clipscore = export_onnx({"--reward", "clipscore", "--model", model(), "--out", out("clipscore.onnx")});
  ASSERT_EQ(clipscore.code, 0) << clipscore.err;
  EXPECT_EQ(clipscore.json()["reward"], "clipscore");
  EXPECT_THAT(load_file(folder_ / "clipscore.onnx"), AllOf(HasSubstr(R"("prefix":"A photo depicts ")"),
                                                           HasSubstr(R"("cleaning":"openai")"), HasSubstr("cosine")));
  const LineRun hps = export_onnx({"--reward", "hpsv2", "--model", model(), "--out", out("hps"), "--data", data()});
  ASSERT_EQ(hps.code, 0) << hps.err;
  EXPECT_THAT(load_file(folder_ / "hps/vision.onnx"),
              AllOf(HasSubstr(R"("resize":"longest_edge")"), HasSubstr(R"("antialias":false)")));

  const std::string head = out("head.safetensors");
  const std::size_t dim = export_dim();
  write_safetensors(head, {{"weight", float_tensor(std::vector<float>(dim, 0.5F), {1, static_cast<std::int64_t>(dim)})},
                           {"bias", float_tensor(std::vector<float>{1.0F}, {1})}});
  const LineRun published = export_onnx({"--reward", head, "--model", model(), "--out", out("published")});
  ASSERT_EQ(published.code, 0) << published.err;
  EXPECT_EQ(published.json()["rows"], 2);
  EXPECT_EQ(published.json()["reward"], "head.safetensors");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "published/text.onnx"));

  expect_refused(export_onnx({"--reward", head, "--out", out("a")}), 2, "expected --model");
  write_safetensors(head, {{"weight", float_tensor(std::vector<float>(3, 0.5F), {1, 3})},
                           {"bias", float_tensor(std::vector<float>{1.0F}, {1})}});
  expect_refused(export_onnx({"--reward", head, "--model", model(), "--out", out("a")}), 1, "of dimension 3");
}

TEST_F(ExportOnnxTest, AMixtureIsRefusedByName) {
  const LineRun mix = run_line({"mix", "--data", data(), "--reward", "mlp=1", "--name", "mixed"});
  ASSERT_EQ(mix.code, 0) << mix.err;
  expect_refused(export_onnx({"--reward", "mixed", "--data", data(), "--out", out("a")}), 1, "found a mixture");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a"));
}

TEST_F(ExportOnnxTest, BadInputIsOneLine) {
  expect_refused(export_onnx({"--out", out("a")}), 2, "--model: expected a model, or --reward");
  expect_refused(export_onnx({"--model", "openai/clip-vit-base-patch23", "--out", out("a")}), 1, "did you mean");
  expect_refused(export_onnx({"--model", out("none"), "--out", out("a")}), 1, "no such folder");
  expect_refused(export_onnx({"--reward", out("none"), "--out", out("a")}), 1, "found nothing");
  expect_refused(export_onnx({"--reward", "none", "--data", data(), "--out", out("a")}), 1, "reward 'none'");
  expect_refused(export_onnx({"--model", model(), "--encoder", "e", "--out", out("a")}), 2, "--encoder");
  expect_refused(export_onnx({"--model", model(), "--table", "pairs", "--out", out("a")}), 2, "--table");
  expect_refused(run_line({"export", "--to", "csv", "--out", out("a")}), 2, "--data: expected a workspace");
  expect_refused(run_line({"export", "--to", "csv", "--data", data(), "--model", model(), "--out", out("a")}), 2,
                 "--model");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a"));

  // No weights; weights of another model.
  std::filesystem::copy(model(), folder_ / "bare", std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder_ / "bare/model.safetensors");
  expect_refused(export_onnx({"--model", out("bare"), "--out", out("a.onnx")}), 1, "model.safetensors");
  ASSERT_EQ(run_line({"models", "random", "tiny", "--out", out("other"), "--seed", "9", "--tokenizer", model()}).code,
            0);
  expect_refused(export_onnx({"--reward", reward(), "--model", out("other"), "--out", out("a.onnx")}), 1,
                 "trained on encoder");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.onnx"));
}

TEST_F(ExportOnnxTest, WhatIsThereIsNotReplacedUnasked) {
  test::write_text(folder_ / "full/mine.txt", "keep");
  const LineRun refused = export_onnx({"--model", model(), "--out", out("full")});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--overwrite"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "full/mine.txt"));
  EXPECT_EQ(export_onnx({"--model", model(), "--out", out("full"), "--overwrite"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "full/mine.txt"));
  std::filesystem::create_directories(folder_ / "folder.onnx");
  expect_refused(export_onnx({"--model", model(), "--out", out("folder.onnx")}), 2, "found a folder");
}

/// The program itself: it hands over to the one with libtorch; a disk that is full leaves no half file.
TEST_F(ExportOnnxTest, TheProgramOnAFullDisk) {
  const std::vector<std::string> line = {"export", "--to",  "onnx",        "--model",
                                         model(),  "--out", out("m.onnx"), "--quiet"};
  test::ChildOptions small;
  small.max_file_bytes = 100000;
  const test::ChildResult full = test::run_child(IMAGERANK_PROGRAM, line, small);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(std::ranges::count(full.err, '\n'), 1) << full.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << full.err;
  const test::ChildResult whole = test::run_child(IMAGERANK_PROGRAM, line);
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_GT(std::filesystem::file_size(folder_ / "m.onnx"), 100000U);
}

}  // namespace
}  // namespace imagerank::cli
