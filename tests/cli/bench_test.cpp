// Leaderboards of generators, in the layouts of HPSv2's, DrawBench's and Parti's runners.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/bench_inputs.h"
#include "cli/scoring_world.h"
#include "imagerank/error.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BenchCommand : public ImageTree {
 protected:
  void SetUp() override {
    ImageTree::SetUp();
    test::write_text(root_ / "prompts/anime.json", R"(["a girl", "a boy", "a cat"])");
    test::write_text(root_ / "prompts/photo.json", R"(["a car", "a \"red\" car"])");
    std::uint32_t seed = 1;
    for (const std::string generator : {"gen1", "gen2"}) {
      for (const auto& [style, count] : {std::pair("anime", 3), std::pair("photo", 2)}) {
        for (int i = 0; i < count; ++i) {
          write_image(fs::path("images") / generator / style / ("0000" + std::to_string(i) + ".png"), seed++);
        }
      }
    }
    fs::remove(root_ / "images/gen2/photo/00001.png");
    write_broken_image("images/gen2/anime/00002.png");
    write_image("images/gen1/anime/grid.png", 99);
    write_image("images/gen1/anime/00077.png", 98);
  }
  static LineRun bench(const std::vector<std::string>& more) {
    return run_with_reward({"bench", "--bootstrap", "100"}, more);
  }
};

TEST_F(BenchCommand, StylesByNumberAsHpsHasThem) {
  const LineRun run = bench({"--prompts", at("prompts"), "--images", at("images"), "--out", at("out")});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json.at("prompts"), 5);
  EXPECT_THAT(json.at("generators"), ElementsAre("gen1", "gen2"));
  EXPECT_EQ(json.at("images"), 9);
  EXPECT_EQ(json.at("failed"), 1);
  EXPECT_EQ(json["left_out"]["without a number"], 1);
  EXPECT_EQ(json["left_out"]["beyond the last prompt"], 1);
  for (const auto& row : json["rewards"][0]["leaderboard"]) {
    const bool first = row.at("generator") == "gen1";
    EXPECT_EQ(row.at("prompts"), first ? 5 : 3);
    EXPECT_EQ(row.at("missing"), first ? 0 : 1);
    EXPECT_EQ(row.at("failed"), first ? 0 : 1);
    EXPECT_EQ(row["groups"]["style"]["anime"]["prompts"], first ? 3 : 2);
    // The mean is that of what `rank` says of the same files.
    double sum = 0.0;
    int count = 0;
    for (const auto& [file, prompt] : {std::pair("00000.png", "a girl"), std::pair("00001.png", "a boy")}) {
      const auto one = run_line({"rank", "--reward", reward(), "--prompt", prompt,
                                 (root_ / "images" / row.at("generator").get<std::string>() / "anime" / file).string(),
                                 "--json", "--quiet"})
                           .json();
      sum += one["scores"][0]["score"].get<double>();
      ++count;
    }
    if (!first) {
      EXPECT_NEAR(row["groups"]["style"]["anime"]["value"].get<double>(), sum / count, 1e-6);
    }
  }
  EXPECT_THAT(run.err, HasSubstr("no image for 1 of 5 prompts"));
  const auto lines = test::lines_of(root_ / "out/scores.csv");
  EXPECT_EQ(lines.size(), 10U);
  EXPECT_EQ(lines.front(), "generator,image,prompt,style,mlp");
  EXPECT_THAT(load_file(root_ / "out/scores.csv"), HasSubstr("\"a \"\"red\"\" car\""));
  EXPECT_THAT(load_file(root_ / "out/scores.csv"), HasSubstr(",nan\n"));
  EXPECT_TRUE(fs::exists(root_ / "out/bench.json"));
  EXPECT_THAT(load_file(root_ / "out/bench.html"), HasSubstr("Leaderboard"));
}

TEST_F(BenchCommand, SeveralRewardsAreComparedAndEncodedOnce) {
  ASSERT_EQ(run_line({"train", "--data", data(), "--model", model(), "--head", "linear", "--loss", "mse", "--name",
                      "linear", "--epochs", "1", "--quiet"})
                .code,
            0);
  const LineRun run = bench({"--reward", data() + "/rewards/linear", "--prompts", at("prompts"), "--generator",
                             "one=" + at("images/gen1"), "--generator", "two=" + at("images/gen2")});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["rewards"].size(), 2U);
  ASSERT_EQ(json["agreement"].size(), 1U);
  EXPECT_EQ(json["agreement"][0]["first"], "mlp");
  EXPECT_EQ(json["agreement"][0]["second"], "linear");
  EXPECT_TRUE(json["agreement"][0]["spearman_images"].is_number());
}

TEST_F(BenchCommand, PartisAndDrawBenchsTables) {
  test::write_text(root_ / "parti.tsv",
                   "Prompt\tCategory\tChallenge\tNote\n\"bond\"\tAbstract\tBasic\t\na cat\tAnimals\tBasic\tx\n");
  const BenchPrompts parti = load_bench_prompts(root_ / "parti.tsv");
  EXPECT_THAT(parti.prompts, ElementsAre("\"bond\"", "a cat"));
  ASSERT_EQ(parti.groupings.size(), 2U);
  EXPECT_EQ(parti.groupings[0].name, "category");
  EXPECT_THAT(parti.groupings[1].groups, ElementsAre("Basic"));
  test::write_text(root_ / "drawbench.csv", "Prompts,Category\n\"A red car, parked.\",Colors\nTwo cats.,Counting\n");
  const BenchPrompts draw = load_bench_prompts(root_ / "drawbench.csv");
  EXPECT_THAT(draw.prompts, ElementsAre("A red car, parked.", "Two cats."));
  EXPECT_THAT(draw.groupings.at(0).groups, ElementsAre("Colors", "Counting"));
  test::write_text(root_ / "own.jsonl", "{\"prompt\": \"x\", \"category\": \"c\"}\n\n{\"text\": \"y\"}\n");
  const BenchPrompts own = load_bench_prompts(root_ / "own.jsonl");
  EXPECT_THAT(own.prompts, ElementsAre("x", "y"));
  EXPECT_THAT(own.groupings.at(0).groups, ElementsAre("c", "other"));
  // Files by number among all prompts; two images for one.
  for (const char* name : {"0.png", "00001_0.png", "00001_1.png"}) {
    write_file_atomically(root_ / "flat" / name, noisy_png(7, 32));
  }
  const BenchImages images = find_bench_images(draw, {parse_generator("g=" + at("flat"))});
  ASSERT_EQ(images.images.size(), 3U);
  EXPECT_EQ(images.images[2].prompt, 1U);
  EXPECT_EQ(images.missing[0], 0U);
}

TEST_F(BenchCommand, AManifestNamesFiles) {
  test::write_text(root_ / "m.csv",
                   "generator,image,prompt\nx,images/gen1/anime/00000.png,a girl\ny,images/gen2/anime/00000.png,a "
                   "girl\ny,images/gen2/anime/00001.png,another\n");
  const LineRun run = bench({"--prompts", at("prompts"), "--manifest", at("m.csv")});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_THAT(json.at("generators"), ElementsAre("x", "y"));
  EXPECT_EQ(json["left_out"]["with a prompt that is not the benchmark's"], 1);
  EXPECT_EQ(json["rewards"][0]["leaderboard"][0]["missing"], 4);
}

TEST_F(BenchCommand, BadInputIsOneLine) {
  refused(bench({"--prompts", at("prompts")}), 2, "expected one of --generator");
  refused(bench({"--prompts", at("nowhere.json"), "--images", at("images")}), 1, "nowhere.json");
  refused(bench({"--prompts", at("prompts.xml"), "--images", at("images")}), 2, "--prompts");
  refused(bench({"--prompts", at("prompts"), "--images", at("prompts")}), 1, "--images");
  refused(bench({"--prompts", at("prompts"), "--generator", "a=" + at("images/gen1"), "--generator",
                 "a=" + at("images/gen2")}),
          2, "twice");
  refused(bench({"--prompts", at("prompts"), "--generator", "a=" + at("prompts")}), 1, "generator a");
  test::write_text(root_ / "bad.json", R"(["a", 3])");
  refused(bench({"--prompts", at("bad.json"), "--images", at("images")}), 1, "bad.json");
  test::write_text(root_ / "bad.csv", "words,Category\na,b\n");
  refused(bench({"--prompts", at("bad.csv"), "--images", at("images")}), 1, "expected a column");
  EXPECT_EQ(bench({"--prompts", at("prompts"), "--images", at("images"), "--strict", "--out", at("none")}).code, 1);
  EXPECT_FALSE(fs::exists(root_ / "none"));
}

}  // namespace
}  // namespace imagerank::cli
