// Published scorers by name: their numbers against PyTorch's, the same bits from every command, and what is missing.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "cli/scoring_world.h"
#include "clip/tokenizer.h"
#include "core/npy.h"
#include "serving/scoring_service.h"
#include "support/environment_variable.h"
#include "support/picture.h"
#include "support/python.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

fs::path script() { return test::source_file("tests/reference/published_scorers.py"); }

/// Checkpoints as they are published, in the sizes of the tiny model, in a cache as Hugging Face's tools keep it.
class PublishedScorers : public ScoringWorld {
 protected:
  static void SetUpTestSuite() {
    ScoringWorld::SetUpTestSuite();
    if (!test::has_torch()) return;
    (void)test::run_python(script().string(), {"make", model(), path("published").string()});
    place("yuvalkirstain/PickScore_v1", path("published") / "pickscore");
    place("openai/clip-vit-base-patch32", path("published") / "clip");
    place("xswu/HPSv2", path("published") / "hps");
    const std::vector<std::pair<std::int32_t, std::int32_t>> sizes = {{97, 64}, {64, 131}, {200, 77}, {50, 41}};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const fs::path file = pictures() / fmt::format("shape{}.png", i);
      write_file_atomically(file, test::picture_png(sizes[i].first, sizes[i].second, static_cast<std::uint32_t>(i)));
      files().push_back(file.string());
    }
  }
  static void TearDownTestSuite() {
    files().clear();
    ScoringWorld::TearDownTestSuite();
  }
  static std::vector<std::string>& files() {
    static std::vector<std::string> files;
    return files;
  }
  void SetUp() override {
    if (!test::has_torch()) GTEST_SKIP() << test::kNeedsTorch;
  }

  static std::vector<std::string> prompts() {
    return {"a picture of a thing", "a red car, parked; 2 trees", "Wide & LOW", ""};
  }
  /// By file, from the program.
  static std::map<std::string, double> scores_of(const std::vector<std::string>& reward) {
    std::string text = "image,prompt\n";
    for (std::size_t i = 0; i < files().size(); ++i) text += fmt::format("{},\"{}\"\n", files()[i], prompts()[i]);
    test::write_text(path("table.csv"), text);
    std::vector<std::string> line = {"score", path("table.csv").string(), "--json", "--quiet"};
    line.insert(line.end(), reward.begin(), reward.end());
    const LineRun run = run_line(line);
    EXPECT_EQ(run.code, 0) << run.err;
    std::map<std::string, double> scores;
    const auto json = run.json();
    for (const auto& item : json.at("scores")) scores[item.at("image")] = item.at("score").get<double>();
    return scores;
  }
  static std::vector<double> reference(const std::string& rule, const std::string& folder, const std::string& prefix) {
    const auto cleaning = rule == "pickscore" ? clip::TextCleaning::kHuggingFace : clip::TextCleaning::kOpenAi;
    const auto tokenizer = clip::Tokenizer::load(model(), cleaning);
    nlohmann::json tokens = nlohmann::json::array();
    for (const std::string& prompt : prompts()) tokens.push_back(tokenizer.tokenize(prefix + prompt));
    test::write_text(path("tokens.json"), tokens.dump());
    std::vector<std::string> arguments = {"score", rule, (path("published") / folder).string(),
                                          path("tokens.json").string()};
    arguments.insert(arguments.end(), files().begin(), files().end());
    return nlohmann::json::parse(test::run_python(script().string(), arguments)).get<std::vector<double>>();
  }
  static void expect_equal(const std::map<std::string, double>& ours, const std::vector<double>& theirs) {
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      EXPECT_NEAR(ours.at(files()[i]), theirs[i], 1e-4 * std::max(1.0, std::abs(theirs[i]))) << files()[i];
    }
    EXPECT_GT(std::abs(theirs[0] - theirs[1]), 1e-3) << "the reference tells nothing apart";
  }

  test::EnvironmentVariable hub_{"HF_HUB_CACHE", hub().string()};
  test::EnvironmentVariable heads_{"IMAGERANK_SCORERS", path("heads").string()};
};

TEST_F(PublishedScorers, ClipScoreIsPyTorchs) {
  expect_equal(scores_of({"--reward", "clipscore", "--model", (path("published") / "clip").string()}),
               reference("clipscore", "clip", "A photo depicts "));
}

TEST_F(PublishedScorers, PickScoreIsPyTorchs) {
  // From the folder, since a cache's tiny model has not the 1,024 numbers that the scorer's name promises.
  expect_equal(scores_of({"--reward", "pickscore", "--model", (path("published") / "pickscore").string()}),
               reference("pickscore", "pickscore", ""));
}

TEST_F(PublishedScorers, HpsIsPyTorchsWithAndWithoutAntialiasing) {
  const std::string file = (path("published") / "hps/HPS_v2_compressed.pt").string();
  const std::vector<std::string> reward = {"--reward", "hpsv2", "--model", file, "--tokenizer", model()};
  const auto legacy = scores_of(reward);
  expect_equal(legacy, reference("hpsv2", "hps", ""));
  auto with = reward;
  with.insert(with.end(), {"--hps-antialias", "on"});
  const auto on = scores_of(with);
  expect_equal(on, reference("hpsv2-antialias", "hps", ""));
  EXPECT_NE(legacy, on);
  with.back() = "legacy";
  EXPECT_EQ(scores_of(with), legacy);
}

TEST_F(PublishedScorers, EveryCommandGivesTheSameBits) {
  const std::string clip = (path("published") / "clip").string();
  ASSERT_EQ(run_line({"encode", "--data", data(), "--reward", "clipscore", "--model", clip, "--quiet"}).code, 0);
  const LineRun eval =
      run_line({"eval", "--data", data(), "--reward", "clipscore", "--model", clip, "--bootstrap", "0", "--json"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  const auto scores = scores_of({"--reward", "clipscore", "--model", clip});
  const auto ranked = run_line(
      {"rank", "--reward", "clipscore", "--model", clip, "--prompt", prompts()[1], files()[1], "--json", "--quiet"});
  ASSERT_EQ(ranked.code, 0) << ranked.err;
  EXPECT_EQ(ranked.json()["scores"][0]["score"].get<double>(), scores.at(files()[1]));
  serving::ScoringService service({{"clipscore", "clipscore"}}, {.model = clip, .tokenizer = ""}, {});
  const serving::Results results = answer_of(service, {{{load_file(files()[1]), prompts()[1]}}, {0}});
  EXPECT_EQ(double{results.front().scores.front()}, scores.at(files()[1]));
  // From cached vectors, as eval takes them.
  const LineRun exported = run_line({"export", "--data", data(), "--to", "weights", "--reward", "clipscore", "--model",
                                     clip, "--split", "test", "--out", path("weighted").string(), "--json"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const auto lines = test::lines_of(path("weighted") / "metadata.jsonl");
  ASSERT_FALSE(lines.empty());
  for (std::size_t i = 0; i < std::min<std::size_t>(lines.size(), 4); ++i) {
    const auto row = nlohmann::json::parse(lines[i]);
    const auto alone = run_line({"rank", "--reward", "clipscore", "--model", clip, "--prompt", row.at("text"),
                                 (path("weighted") / row.at("file_name").get<std::string>()).string(), "--json"});
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_EQ(alone.json()["scores"][0]["score"], row.at("reward"));
  }
}

TEST_F(PublishedScorers, APromptBeyondTheContextIsFlagged) {
  std::string prompt;
  for (int i = 0; i < 100; ++i) prompt += "word ";
  const std::string clip = (path("published") / "clip").string();
  const LineRun run = run_line({"rank", "--reward", "clipscore", "--model", clip, "--prompt", prompt, files()[0],
                                (pictures() / "broken.png").string(), "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("truncated"), true);
  EXPECT_EQ(run.json()["scores"][0].at("truncated"), true);
  EXPECT_EQ(run.json().at("failed"), 1);
  EXPECT_TRUE(run.json()["scores"][1].at("score").is_null());
  EXPECT_THAT(run.err, HasSubstr("was cut"));
}

TEST_F(PublishedScorers, WrongWeightsAreOneLine) {
  const auto error_of = [&](std::vector<std::string> line) {
    line.insert(line.end(), {"--prompt", "x", files()[0]});
    line.insert(line.begin(), "rank");
    const LineRun run = run_line(line);
    EXPECT_NE(run.code, 0);
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    return run.err;
  };
  // The tiny model under PickScore's name.
  EXPECT_THAT(error_of({"--reward", "pickscore"}), AllOf(HasSubstr("1024"), HasSubstr("512")));
  // A head's file that holds a whole CLIP, and one that is no checkpoint.
  fs::create_directories(path("heads"));
  const fs::path head = path("heads") / "sac+logos+ava1-l14-linearMSE.pth";
  fs::copy_file(path("published") / "hps/HPS_v2_compressed.pt", head, fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of({"--reward", "aesthetic-v2"}),
              AllOf(HasSubstr("sac+logos+ava1-l14-linearMSE.pth"), HasSubstr("expected a linear head")));
  test::write_text(head, "<!DOCTYPE html> not found");
  EXPECT_THAT(error_of({"--reward", "aesthetic-v2"}), HasSubstr("sac+logos+ava1-l14-linearMSE.pth"));
  fs::remove(head);
  // HPSv2's name on other weights.
  fs::create_directories(path("wrong"));
  const fs::path wrong = path("wrong") / "HPS_v2_compressed.pt";
  test::write_text(wrong, "nothing of the kind");
  EXPECT_THAT(error_of({"--reward", "hpsv2", "--model", wrong.string()}), HasSubstr("HPS_v2_compressed.pt"));
}

/// Without PyTorch too.
class MissingScorers : public ScoringWorld {
 protected:
  test::EnvironmentVariable hub_{"HF_HUB_CACHE", path("empty_hub").string()};
  test::EnvironmentVariable heads_{"IMAGERANK_SCORERS", path("no_heads").string()};
};

TEST_F(MissingScorers, TheLineSaysWhichFileWhereAndWhatPullsIt) {
  const auto error_of = [&](const std::string& reward) {
    const LineRun run = run_line({"rank", "--reward", reward, "--prompt", "x", picture(0)});
    EXPECT_EQ(run.code, 1) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    return run.err;
  };
  const std::string hub = path("empty_hub").string();
  EXPECT_THAT(error_of("pickscore"), AllOf(HasSubstr("model.safetensors of yuvalkirstain/PickScore_v1"), HasSubstr(hub),
                                           HasSubstr("`imagerank models pull pickscore`")));
  EXPECT_THAT(error_of("hpsv2"), AllOf(HasSubstr("HPS_v2_compressed.pt of xswu/HPSv2"), HasSubstr(hub),
                                       HasSubstr("`imagerank models pull hpsv2`")));
  EXPECT_THAT(error_of("hpsv2.1"), HasSubstr("HPS_v2.1_compressed.pt"));
  EXPECT_THAT(error_of("clipscore"), HasSubstr("`imagerank models pull openai/clip-vit-base-patch32`"));
  EXPECT_THAT(error_of("aesthetic-v1"), AllOf(HasSubstr("sa_0_4_vit_l_14_linear.pth"), HasSubstr("no_heads"),
                                              HasSubstr("github.com/LAION-AI/aesthetic-predictor")));
  EXPECT_THAT(error_of("aesthetic-v2"),
              AllOf(HasSubstr("sac+logos+ava1-l14-linearMSE.pth"), HasSubstr("`imagerank models pull aesthetic-v2`")));
  EXPECT_THAT(error_of("pickscor"), HasSubstr("pickscore"));
}

TEST_F(MissingScorers, OtherOptionsAreRefused) {
  const LineRun run = run_line({"rank", "--reward", reward(), "--hps-antialias", "on", "--prompt", "x", picture(0)});
  EXPECT_EQ(run.code, 2) << run.err;
  EXPECT_THAT(run.err, HasSubstr("hpsv2"));
  EXPECT_EQ(run_line({"rank", "--reward", "hpsv2", "--hps-antialias", "maybe", "--prompt", "x", picture(0)}).code, 2);
}

TEST_F(MissingScorers, TheListHasThemAll) {
  const auto json = run_line({"models", "list", "--json"}).json();
  std::vector<std::string> names;
  for (const auto& scorer : json.at("scorers")) {
    names.push_back(scorer.at("name"));
    EXPECT_TRUE(scorer.at("problem").is_string() || names.back() == "clipscore");
  }
  EXPECT_THAT(names, ::testing::ElementsAre("clipscore", "pickscore", "hpsv2", "hpsv2.1", "aesthetic-v1",
                                            "aesthetic-v2", "imagereward"));
}

TEST(AestheticScorers, ByNameAreThePublishedNumbers) {
  IMAGERANK_SHARED_DATA(folder, "real/aesthetic_heads");
  const test::EnvironmentVariable heads("IMAGERANK_SCORERS", folder.string());
  const test::TemporaryFolder out;
  const auto expected = nlohmann::json::parse(load_file(folder / "expected.json"));
  for (const auto& [name, reward] : std::map<std::string, std::string>{{"sac+logos+ava1-l14-linearMSE", "aesthetic-v2"},
                                                                       {"sa_0_4_vit_l_14_linear", "aesthetic-v1"}}) {
    const LineRun run = run_line({"score", "--reward", reward, "--image-embeddings",
                                  (folder / "l14_inputs.npy").string(), "--out", (out / "y.npy").string()});
    ASSERT_EQ(run.code, 0) << run.err;
    const std::vector<float> ours = NpyFile(out / "y.npy").to_float();
    bool found = false;
    for (const auto& [key, values] : expected.items()) {
      if (!key.starts_with(name)) continue;
      found = true;
      ASSERT_EQ(values.size(), ours.size());
      for (std::size_t i = 0; i < ours.size(); ++i) {
        const double want = values[i];
        EXPECT_NEAR(double{ours[i]}, want, 1e-5 * std::abs(want)) << key;
      }
    }
    EXPECT_EQ(found, reward == "aesthetic-v2") << name;  // numbers came with that one only
    const auto info = run_line({"models", "info", reward, "--json"}).json();
    EXPECT_EQ(info["scorer"]["folded"]["dim"], 768);
    EXPECT_EQ(info["scorer"]["folded"]["weight"].size(), 768U);
  }
  // A head under another's name.
  fs::create_directories(out / "heads");
  fs::copy_file(folder / "sa_0_4_vit_b_32_linear.pth", out / "heads/sa_0_4_vit_l_14_linear.pth");
  const test::EnvironmentVariable wrong("IMAGERANK_SCORERS", (out / "heads").string());
  const LineRun run = run_line({"score", "--reward", "aesthetic-v1", "--image-embeddings",
                                (folder / "l14_inputs.npy").string(), "--out", (out / "z.npy").string()});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("of 768 numbers, as its name says"), HasSubstr("512")));
  EXPECT_FALSE(fs::exists(out / "z.npy"));
}

}  // namespace
}  // namespace imagerank::cli
