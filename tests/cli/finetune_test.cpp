#include <gtest/gtest.h>

#include <algorithm>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

class FinetuneCommand : public testing::Test {
 protected:
  void SetUp() override {
    make_small_world(data(), 30);
    make_tiny_model(model());
    ASSERT_EQ(run_line({"label", "--data", data(), "--quiet"}).code, 0);
  }
  [[nodiscard]] std::string data() const { return (folder_ / "data").string(); }
  [[nodiscard]] std::string model() const { return (folder_ / "tiny").string(); }
  [[nodiscard]] std::string out() const { return (folder_ / "out").string(); }
  [[nodiscard]] LineRun finetune(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"finetune", "--data",  data(),   "--model",
                                          model(),    "--out",   out(),    "--steps",
                                          "4",        "--batch", "16",     "--validation-steps",
                                          "2",        "--lr",    "1e-4",   "--warm-up-steps",
                                          "1",        "--json",  "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_line(arguments);
  }
  test::TemporaryFolder folder_;
};

TEST_F(FinetuneCommand, MakesAnEncoderThatTheOtherCommandsTake) {
  const LineRun run = finetune({"--freeze-image-layers", "1"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto result = run.json();
  EXPECT_EQ(result.at("steps"), 4);
  EXPECT_TRUE(result.at("loss").is_number());
  EXPECT_GT(result.at("seconds").get<double>(), 0.0);
  ASSERT_EQ(result.at("history").size(), 2U);
  EXPECT_TRUE(result["history"][0]["pair_accuracy"].is_number());
  for (const char* file :
       {"model.safetensors", "config.json", "preprocessor_config.json", "vocab.json", "merges.txt"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / "out" / file)) << file;
  }
  EXPECT_NE(load_file(folder_ / "out" / "model.safetensors"), load_file(folder_ / "tiny" / "model.safetensors"));
  const LineRun encode = run_line({"encode", "--data", data(), "--model", out(), "--allow-untrained", "--quiet"});
  EXPECT_EQ(encode.code, 0) << encode.err;
  // The same command does nothing, another is refused.
  const std::string weights = load_file(folder_ / "out" / "model.safetensors");
  EXPECT_EQ(finetune({"--freeze-image-layers", "1"}).json(), result);
  EXPECT_EQ(load_file(folder_ / "out" / "model.safetensors"), weights);
  const LineRun other = finetune({});
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("--overwrite"), std::string::npos);
}

TEST_F(FinetuneCommand, PairsOfMissingImagesAreLeftOut) {
  const auto workspace = workspace::Workspace::open(data());
  test::write_text(workspace.resolve(workspace.load_images()[0]), "not an image");
  const LineRun run = finetune({});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("failed"), 1);
  EXPECT_NE(run.err.find("left out"), std::string::npos);
}

TEST_F(FinetuneCommand, BadInputIsOneLineAndNoModel) {
  const auto refused = [&](const std::vector<std::string>& more, int code, const std::string& part) {
    const LineRun run = finetune(more);
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
    EXPECT_TRUE(run.out.empty());
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "model.safetensors"));
  };
  refused({"--batch", "0"}, 2, "--batch");
  refused({"--freeze-text-layers", "99"}, 2, "--freeze-text-layers");
  refused({"--device", "gpu"}, 2, "--device: expected cpu or cuda, found 'gpu'");
  std::filesystem::remove(folder_ / "data" / "pairs.parquet");
  refused({}, 1, "label");
}

}  // namespace
}  // namespace imagerank::cli
