#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/scoring_world.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "embeddings/embedding_cache.h"
#include "reward/reward.h"

namespace imagerank::cli {
namespace {

class ScoreCommand : public ScoringWorld {
 protected:
  static std::filesystem::path write_table(const std::string& name, const std::string& text) {
    test::write_text(pictures() / name, text);
    return pictures() / name;
  }
};

TEST_F(ScoreCommand, AddsAScoreToATableWhosePathsAreBesideIt) {
  const auto table = write_table("t.csv", "id,image,prompt\n7,p0.png,\"a, \"\"b\"\"\"\n8,broken.png,x\n9,p1.png,x\n");
  const std::string out = path("scored.csv").string();
  const LineRun run = run_line({"score", "--reward", reward(), table.string(), "--out", out, "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("failed"), 1);
  ASSERT_EQ(run.json().at("scores").size(), 3U);
  EXPECT_EQ(run.json()["scores"][0].at("rank"), 1);
  EXPECT_EQ(run.json()["scores"][2].at("image"), "broken.png");
  const std::string text = load_file(out);
  EXPECT_EQ(text.substr(0, text.find('\n')), "id,image,prompt,score");
  EXPECT_NE(text.find("7,p0.png,\"a, \"\"b\"\"\","), std::string::npos);
  EXPECT_NE(text.find("8,broken.png,x,nan"), std::string::npos);
  // The same images and prompt score alike in `rank`.
  const auto rank = run_line({"rank", "--reward", reward(), "--prompt", "x", picture(1), "--json", "--quiet"}).json();
  const nlohmann::json scored = run.json();
  for (const auto& item : scored["scores"]) {
    if (item["image"] != "p1.png") continue;
    EXPECT_NEAR(item["score"].get<float>(), rank["scores"][0]["score"].get<float>(), 1e-5);
  }
}

TEST_F(ScoreCommand, NpyOutIsFloat32InTheTablesOrder) {
  const auto table = write_table("n.csv", "image,prompt\np0.png,x\ngone.png,x\np2.png,y\n");
  const auto out = path("scores.npy");
  ASSERT_EQ(run_line({"score", "--reward", reward(), table.string(), "--out", out.string(), "--quiet"}).code, 0);
  const NpyFile file(out);
  EXPECT_EQ(file.type(), NpyType::kFloat32);
  EXPECT_EQ(file.shape(), (std::vector<std::size_t>{3}));
  const auto values = file.to_float();
  EXPECT_TRUE(std::isfinite(values[0]));
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_TRUE(std::isfinite(values[2]));
}

TEST_F(ScoreCommand, VectorsOfTheCacheScoreAsTheRewardDoesBitForBit) {
  const auto record = nlohmann::json::parse(load_file(reward() + "/reward.json"));
  const auto folder = std::filesystem::path(data()) / "embeddings" / record.at("encoder").get<std::string>();
  const auto images = embeddings::EmbeddingCache::open(folder, "image");
  const auto texts = embeddings::EmbeddingCache::open(folder, "text");
  std::vector<float> text_rows;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto row = texts.row(i % texts.size());
    text_rows.insert(text_rows.end(), row.begin(), row.end());
  }
  const std::vector<std::size_t> shape = {images.size(), images.dim()};
  write_npy(path("t.npy"), text_rows, shape);
  const auto out = path("v.npy");
  const LineRun run = run_line({"score", "--reward", reward(), "--image-embeddings", (folder / "image.npy").string(),
                                "--text-embeddings", path("t.npy").string(), "--out", out.string(), "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("rows"), images.size());
  const auto image_rows = NpyFile(folder / "image.npy").to_float();
  const auto head = reward::Reward::load(reward());
  EXPECT_EQ(NpyFile(out).to_float(), head.score(image_rows, text_rows, images.size()).score);

  // One prompt for all images.
  const std::vector<std::size_t> one = {images.dim()};
  write_npy(path("one.npy"), texts.row(0), one);
  EXPECT_EQ(run_line({"score", "--reward", reward(), "--image-embeddings", (folder / "image.npy").string(),
                      "--text-embeddings", path("one.npy").string(), "--quiet"})
                .code,
            0);
}

/// A published head of the tiny model's dimension.
std::string write_head(const std::filesystem::path& path, std::int64_t dim) {
  std::vector<float> weight(static_cast<std::size_t>(dim));
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i % 7) - 3.0F;
  write_safetensors(path, {{"weight", float_tensor(weight, {1, dim})}, {"bias", float_tensor(std::vector{5.0F}, {1})}});
  return path.string();
}

TEST_F(ScoreCommand, APublishedHeadNeedsNoPromptAndTakesItsModelByName) {
  const std::string head = write_head(path("head.pth"), 48);
  const auto record = nlohmann::json::parse(load_file(reward() + "/reward.json"));
  const auto folder = std::filesystem::path(data()) / "embeddings" / record.at("encoder").get<std::string>();
  const auto out = path("published.npy");
  const LineRun run = run_line({"score", "--reward", head, "--image-embeddings", (folder / "image.npy").string(),
                                "--out", out.string(), "--quiet"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto images = NpyFile(folder / "image.npy").to_float();
  const auto scores = NpyFile(out).to_float();
  ASSERT_EQ(scores.size(), images.size() / 48);
  double product = 0.0, square = 0.0;
  for (std::size_t i = 0; i < 48; ++i) {
    product += (static_cast<double>(i % 7) - 3.0) * images[i];
    square += double{images[i]} * images[i];
  }
  EXPECT_NEAR(scores[0], product / std::sqrt(square) + 5.0, 1e-5);

  // Pictures: with the encoder named, which the head's file does not do.
  const LineRun rank =
      run_line({"rank", "--reward", head, "--model", model(), "--prompt", "x", picture(0), picture(1), "--json"});
  ASSERT_EQ(rank.code, 0) << rank.err;
  EXPECT_EQ(rank.json().at("scores").size(), 2U);
  const LineRun other = run_line(
      {"rank", "--reward", head, "--model", model(), "--prompt", "something else", picture(0), picture(1), "--json"});
  EXPECT_EQ(other.json().at("scores"), rank.json().at("scores"));
  EXPECT_NE(run_line({"rank", "--reward", head, "--prompt", "x", picture(0)}).err.find("give --model"),
            std::string::npos);
  EXPECT_NE(
      run_line({"rank", "--reward", write_head(path("wide.pth"), 64), "--model", model(), "--prompt", "x", picture(0)})
          .err.find("takes vectors of dimension 64, its encoder gives 48"),
      std::string::npos);
}

TEST_F(ScoreCommand, APublishedHeadIsMeasuredOnTheOnlyCacheThatFits) {
  const LineRun run =
      run_line({"eval", "--data", data(), "--reward", write_head(path("head.pth"), 48), "--bootstrap", "0", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(run.json()["metrics"]["pair_accuracy_strict_micro"]["value"].is_number());
  EXPECT_TRUE(run.json()["metrics"]["r2"]["value"].is_null()) << "its scale is not the labels'";
  const LineRun wrong =
      run_line({"eval", "--data", data(), "--reward", write_head(path("wide.pth"), 64), "--bootstrap", "0"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find("expected one cache of such vectors, found none, and 1 of others"), std::string::npos)
      << wrong.err;
}

TEST_F(ScoreCommand, BadInputIsOneLineAndNoFile) {
  const auto out = path("never.csv");
  const auto refused = [&](std::vector<std::string> arguments, int code, const std::string& part) {
    arguments.insert(arguments.begin(), {"score", "--reward", reward(), "--out", out.string(), "--quiet"});
    const LineRun run = run_line(arguments);
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refused({}, 2, "neither");
  refused({path("gone.csv").string()}, 1, "gone.csv");
  refused({write_table("w.csv", "picture,prompt\na,b\n").string()}, 1, "found picture, prompt");
  refused({write_table("all.csv", "image,prompt\na,b\n").string()}, 1, "1 of 1 rows");
  refused({write_table("some.csv", "image,prompt\np0.png,b\na,b\n").string(), "--strict"}, 1, "1 of 2 rows");
  const std::vector<std::size_t> shape = {2, 3};
  write_npy(path("small.npy"), std::vector<float>(6, 1.0F), shape);
  refused({"--image-embeddings", path("small.npy").string()}, 2, "--text-embeddings");
  refused({"--image-embeddings", path("small.npy").string(), "--text-embeddings", path("small.npy").string()}, 1,
          "expected vectors [N, 48], found shape [2, 3]");
  test::write_text(path("cut.npy"), "\x93NUMPY");
  refused({"--image-embeddings", path("cut.npy").string(), "--text-embeddings", path("small.npy").string()}, 1,
          "cut.npy");
}

}  // namespace
}  // namespace imagerank::cli
