#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "cli/small_world.h"
#include "cli/terminal.h"
#include "core/atomic_file.h"
#include "core/npy.h"
#include "embeddings/embedding_cache.h"
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

TEST_F(EncodeCommand, TheCacheOfAnotherModelIsAClearError) {
  const LineRun first = encode({"--allow-untrained"});
  ASSERT_EQ(first.code, 0) << first.err;
  const std::filesystem::path record = cache(first) / "encoder.json";
  const std::string whole = load_file(record);
  write_file_atomically(record, R"({"encoder": "other-fp32-00000000"})");
  const LineRun renamed = encode({"--allow-untrained"});
  EXPECT_EQ(renamed.code, 1);
  EXPECT_NE(renamed.err.find("found those of 'other-fp32-00000000'"), std::string::npos) << renamed.err;
  write_file_atomically(record, whole);

  // Vectors of another size, in the files and in a log.
  embeddings::EmbeddingCache other = embeddings::EmbeddingCache::open(folder_ / "other", "image");
  other.add("x", "y", std::vector<float>(7));
  other.save();
  for (const char* name : {"image.npy", "image.parquet"}) {
    std::filesystem::copy_file(folder_ / "other" / name, cache(first) / name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  const LineRun mixed = encode({"--allow-untrained"});
  EXPECT_EQ(mixed.code, 1);
  EXPECT_NE(mixed.err.find("expected vectors of 48 numbers, as the encoder gives, found 7"), std::string::npos)
      << mixed.err;
}

TEST_F(EncodeCommand, ATornLogIsMendedWithANote) {
  ASSERT_EQ(encode({"--allow-untrained"}).code, 0);
  const auto folder = cache(encode({"--allow-untrained"}));
  // By image: groups are appended in the order in which they end.
  const auto vectors = [&folder] {
    const auto cache = embeddings::EmbeddingCache::open(folder, "image");
    std::map<std::string, std::vector<float>> rows;
    for (std::size_t i = 0; i < cache.size(); ++i) rows[cache.key(i)] = cache.row(i);
    return rows;
  };
  const auto reference = vectors();
  ASSERT_EQ(reference.size(), 40U);
  // As a kill in the middle of the first write leaves it.
  std::filesystem::remove(folder / "image.npy");
  std::filesystem::remove(folder / "image.parquet");
  {
    auto log = embeddings::EmbeddingLog::create(folder, "image", 48);
    log.append("i00000-0", "content", std::vector<std::uint16_t>(48));
    std::filesystem::resize_file(log.path(), std::filesystem::file_size(log.path()) - 10);
  }
  const LineRun run = run_line({"encode", "--data", data_, "--model", model_, "--json", "--allow-untrained"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["damaged"], 1);
  EXPECT_NE(run.err.find("1 torn or damaged records"), std::string::npos) << run.err;
  EXPECT_EQ(run.json()["images"], 40);
  EXPECT_EQ(vectors(), reference);
}

TEST_F(EncodeCommand, EqualImagesAreEncodedOnce) {
  const auto workspace = workspace::Workspace::open(data_);
  auto images = workspace.load_images();
  workspace::Image twin = images[3];
  twin.image_uid = "twin";
  images.push_back(twin);
  workspace.write_images(images);
  const auto result = encode({"--allow-untrained"}).json();
  EXPECT_EQ(result["images"], 41);
  EXPECT_EQ(result["encoded"], 40);
  EXPECT_EQ(result["copied"], 1);
}

TEST(Progress, SaysTheRateAndTheTimeLeftOnATerminalOnly) {
  for (const bool interactive : {true, false}) {
    std::ostringstream out;
    std::ostringstream err;
    Terminal terminal(out, err, {false, false, interactive, 1, {}});
    const RunContext context = terminal.context();
    context.report({"encode images", 1, 3000, ""});
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    context.report({"encode images", 1000, 3000, "2 failed"});
    EXPECT_EQ(out.str(), "");
    if (!interactive) {
      EXPECT_EQ(err.str(), "");
      continue;
    }
    EXPECT_THAT(err.str(), ::testing::ContainsRegex("encode images: 1,000/3,000 \\(33 %\\), [0-9]+\\.[0-9]/s, "
                                                    "0:0[2-9] left, 2 failed"));
  }
}

TEST_F(EncodeCommand, OptionsOutOfRangeAreUsageErrors) {
  EXPECT_EQ(encode({"--batch", "0"}).code, 2);
  EXPECT_EQ(encode({"--precision", "fp8"}).code, 2);
  EXPECT_EQ(encode({"--device", "tpu"}).code, 2);
}

}  // namespace
}  // namespace imagerank::cli
