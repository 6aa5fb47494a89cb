#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/npy.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

class EncodeCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    make_small_world(data_, 10);
    make_tiny_model(model_);
  }
  LineRun encode(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> line = {"encode", "--data", data_, "--model", model_, "--json", "--quiet"};
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }
  std::filesystem::path cache(const LineRun& run) const {
    return std::filesystem::path(data_) / "embeddings" / run.json()["encoder"].get<std::string>();
  }

  test::TemporaryFolder folder_;
  std::string data_ = folder_ / "w";
  std::string model_ = folder_ / "model";
};

TEST_F(EncodeCommand, EveryImageAndPromptOnceThenFromTheCache) {
  const LineRun first = encode({"--allow-untrained"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["images"], 40);
  EXPECT_EQ(first.json()["texts"], 10);
  EXPECT_EQ(first.json()["cached"], 0);
  EXPECT_EQ(first.json()["failed"], 0);
  EXPECT_GT(first.json()["images_per_s"].get<double>(), 0.0);
  const NpyFile vectors(cache(first) / "image.npy");
  EXPECT_EQ(vectors.type(), NpyType::kFloat16);
  EXPECT_EQ(vectors.shape(), std::vector<std::size_t>({40, 48}));
  const std::string bytes = load_file(cache(first) / "image.npy");

  const LineRun second = encode({"--allow-untrained"});
  EXPECT_EQ(second.json()["cached"], 50);
  EXPECT_EQ(second.json()["images"], 40);
  EXPECT_EQ(load_file(cache(first) / "image.npy"), bytes);
}

TEST_F(EncodeCommand, AnUntrainedModelIsRefusedByName) {
  const LineRun refused = encode();
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("--allow-untrained"), std::string::npos) << refused.err;
  EXPECT_FALSE(std::filesystem::exists(data_ + "/embeddings"));
  EXPECT_NE(encode({"--allow-untrained"}).err.find("never trained"), std::string::npos);
}

TEST_F(EncodeCommand, BrokenImagesAreCountedAndTheRestGoesOn) {
  const auto workspace = workspace::Workspace::open(data_);
  const auto images = workspace.load_images();
  const std::string good = load_file(workspace.resolve(images[0]));
  write_file_atomically(workspace.resolve(images[0]), good.substr(0, good.size() / 2));
  std::filesystem::remove(workspace.resolve(images[1]));
  const LineRun run = encode({"--allow-untrained"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["images"], 38);
  EXPECT_EQ(run.json()["failed"], 2);
  std::map<std::string, int> reasons;
  const auto report = run.json();
  for (const auto& failure : report["failures"]) ++reasons[failure["reason"].get<std::string>()];
  EXPECT_EQ(reasons, (std::map<std::string, int>{{"corrupt", 1}, {"missing", 1}}));
  EXPECT_EQ(encode({"--allow-untrained", "--strict"}).code, 1);

  // Mended, only what was broken is encoded.
  write_file_atomically(workspace.resolve(images[0]), good);
  const LineRun mended = encode({"--allow-untrained"});
  EXPECT_EQ(mended.json()["images"], 39);
  EXPECT_EQ(mended.json()["cached"], 48);
}

TEST_F(EncodeCommand, OptionsOutOfRangeAreUsageErrors) {
  EXPECT_EQ(encode({"--batch", "0"}).code, 2);
  EXPECT_EQ(encode({"--precision", "fp8"}).code, 2);
  EXPECT_EQ(encode({"--device", "tpu"}).code, 2);
}

}  // namespace
}  // namespace imagerank::cli
