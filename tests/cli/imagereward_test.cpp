// ImageReward by name, in every command that takes a reward: PyTorch's numbers, the same bits everywhere, and what is
// missing.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "cli/scoring_world.h"
#include "core/npy.h"
#include "imagerank/error.h"
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

std::string script() { return test::source_file("tests/reference/image_reward.py").string(); }

class ImageReward : public ScoringWorld {
 protected:
  static void SetUpTestSuite() {
    if (!test::has_torch()) return;
    ScoringWorld::SetUpTestSuite();
    (void)test::run_python(script(), {"make", path("published").string()});
    fs::create_directories(path("weights"));
    fs::create_directories(path("words"));
    fs::rename(path("published") / "ImageReward.pt", path("weights") / "ImageReward.pt");
    fs::rename(path("published") / "vocab.txt", path("words") / "vocab.txt");
    place("THUDM/ImageReward", path("weights"));
    place("google-bert/bert-base-uncased", path("words"));
    const std::vector<std::pair<std::int32_t, std::int32_t>> sizes = {{97, 64}, {64, 131}, {200, 77}};
    for (std::uint32_t i = 0; i < sizes.size(); ++i) {
      write_file_atomically(shape(i), test::picture_png(sizes[i].first, sizes[i].second, i));
    }
  }
  static void TearDownTestSuite() {
    if (test::has_torch()) ScoringWorld::TearDownTestSuite();
  }
  void SetUp() override {
    if (!test::has_torch()) GTEST_SKIP() << test::kNeedsTorch;
    hub_.emplace("HF_HUB_CACHE", hub().string());
    heads_.emplace("IMAGERANK_SCORERS", path("scorers").string());
  }
  static fs::path shape(std::uint32_t index) { return pictures() / fmt::format("shape{}.png", index); }
  static LineRun imagereward(const std::string& command, std::vector<std::string> more) {
    more.insert(more.begin(), {command, "--reward", "imagereward"});
    return run_line(more);
  }
  static double score(const std::string& reward, const fs::path& image, const std::string& prompt) {
    const LineRun run = run_line({"rank", "--reward", reward, "--prompt", prompt, image.string(), "--json", "--quiet"});
    EXPECT_EQ(run.code, 0) << run.err;
    return run.json()["scores"][0]["score"].get<double>();
  }
  /// The workspace, scored.
  static void encode() {
    const LineRun run = run_line({"encode", "--data", data(), "--reward", "imagereward", "--quiet"});
    ASSERT_EQ(run.code, 0) << run.err;
  }

 private:
  std::optional<test::EnvironmentVariable> hub_, heads_;
};

TEST_F(ImageReward, ScoresAreThoseOfPyTorch) {
  std::string beyond = "car";
  for (int i = 0; i < 40; ++i) beyond += " red car";
  const std::vector<std::pair<fs::path, std::string>> rows = {{shape(0), "a photo of the red car"},
                                                              {shape(1), "a photo of the red car"},
                                                              {shape(0), "Two C\xc3\xa1ts, 猫!"},
                                                              {shape(2), ""},
                                                              {shape(0), beyond}};
  std::string table = "image,prompt\n";
  nlohmann::json asked = nlohmann::json::array();
  for (const auto& [image, prompt] : rows) {
    table += fmt::format("{},\"{}\"\n", image.string(), prompt);
    asked.push_back({image.string(), prompt});
  }
  table += fmt::format("{},anything\n", (pictures() / "broken.png").string());
  test::write_text(path("table.csv"), table);
  test::write_text(path("rows.json"), asked.dump());
  const LineRun run =
      imagereward("score", {path("table.csv").string(), "--out", path("scores.npy").string(), "--json", "--quiet"});
  ASSERT_EQ(run.code, 0) << run.err;
  const std::vector<float> ours = NpyFile(path("scores.npy")).to_float();
  fs::create_directories(path("both"));
  for (const char* file : {"weights/ImageReward.pt", "words/vocab.txt"}) {
    fs::copy(path(file), path("both"), fs::copy_options::overwrite_existing);
  }
  const auto theirs =
      nlohmann::json::parse(test::run_python(script(), {"score", path("both").string(), path("rows.json").string()}));
  ASSERT_EQ(ours.size(), rows.size() + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double expected = theirs[i];
    EXPECT_NEAR(double{ours[i]}, expected, 1e-4 * std::max(1.0, std::abs(expected))) << rows[i].second;
  }
  EXPECT_GT(std::abs(theirs[0].get<double>() - theirs[1].get<double>()), 1e-2) << "the reference tells nothing apart";
  EXPECT_TRUE(std::isnan(ours.back())) << "nothing stands in for a broken image";
  EXPECT_EQ(run.json().at("failed"), 1);
  EXPECT_EQ(run.json().at("truncated"), 1);
  EXPECT_EQ(run.json()["failures"][0].at("reason"), "corrupt");
}

TEST_F(ImageReward, RanksAndFlagsWhatWasCut) {
  std::string beyond;
  for (int i = 0; i < 40; ++i) beyond += "car ";
  const LineRun run = imagereward("rank", {"--prompt", beyond, shape(0).string(), shape(1).string(),
                                           (pictures() / "broken.png").string(), "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json.at("truncated"), true);
  EXPECT_THAT(run.err, AllOf(HasSubstr("was cut"), HasSubstr("never trained")));
  EXPECT_GE(json["scores"][0].at("score").get<double>(), json["scores"][1].at("score").get<double>());
  EXPECT_TRUE(json["scores"][2].at("score").is_null());
  EXPECT_THAT(json.at("encoder").get<std::string>(), testing::StartsWith("imagereward-fp32-"));
  // The best of each prompt's candidates, with the same bits.
  for (const char* folder : {"p1", "p2"}) {
    fs::create_directories(path("candidates") / folder);
    for (std::uint32_t i = 0; i < 2; ++i) {
      fs::copy(shape(i), path("candidates") / folder / fmt::format("{}.png", i), fs::copy_options::overwrite_existing);
    }
  }
  test::write_text(path("candidates") / "prompts.txt", "a red car\na cat\n");
  const LineRun best = imagereward("rank", {"--best-of", path("candidates").string(), "--json", "--quiet"});
  ASSERT_EQ(best.code, 0) << best.err;
  const auto chosen = best.json();
  ASSERT_EQ(chosen.at("groups").size(), 2U);
  for (const auto& group : chosen.at("groups")) {
    for (const auto& item : group.at("scores")) {
      EXPECT_EQ(item.at("score"), score("imagereward", item.at("image").get<std::string>(), group.at("prompt")));
    }
  }
}

TEST_F(ImageReward, BatchesOrderAndThreadsChangeNothing) {
  std::string table = "image,prompt\n";
  for (int i = 0; i < 24; ++i) table += fmt::format("{},number {}\n", shape(i % 3).string(), i % 4);
  test::write_text(path("many.csv"), table);
  std::vector<std::vector<float>> found;
  for (const char* threads : {"1", "3"}) {
    const LineRun run = imagereward(
        "score", {path("many.csv").string(), "--out", path("many.npy").string(), "--threads", threads, "--quiet"});
    ASSERT_EQ(run.code, 0) << run.err;
    found.push_back(NpyFile(path("many.npy")).to_float());
  }
  EXPECT_EQ(found[0], found[1]);
  for (int i = 12; i < 24; ++i)
    EXPECT_EQ(found[0][static_cast<std::size_t>(i)], found[0][static_cast<std::size_t>(i - 12)]);
  EXPECT_EQ(double{found[0][5]}, score("imagereward", shape(2), "number 1"));
}

TEST_F(ImageReward, BenchHasItBesideOthers) {
  test::write_text(path("prompts.txt"), "a red car\na cat\n");
  for (const char* generator : {"one", "two"}) {
    fs::create_directories(path("generated") / generator);
    for (std::uint32_t i = 0; i < 2; ++i) {
      fs::copy(shape(i + (generator[0] == 't' ? 1 : 0)), path("generated") / generator / fmt::format("{}.png", i),
               fs::copy_options::overwrite_existing);
    }
  }
  const LineRun run = imagereward("bench", {"--reward", reward(), "--prompts", path("prompts.txt").string(), "--images",
                                            path("generated").string(), "--bootstrap", "0", "--json", "--quiet"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json["rewards"][0].at("name"), "imagereward");
  EXPECT_EQ(json.at("agreement").size(), 1U);
  for (const auto& row : json["rewards"][0].at("leaderboard")) {
    const fs::path folder = path("generated") / row.at("generator").get<std::string>();
    const double mean =
        (score("imagereward", folder / "0.png", "a red car") + score("imagereward", folder / "1.png", "a cat")) / 2.0;
    EXPECT_NEAR(row["mean"].at("value").get<double>(), mean, 1e-12);
  }
}

TEST_F(ImageReward, AWorkspaceKeepsItsScores) {
  const fs::path image = fs::path(data()) / workspace::Workspace::image_path("i00003-1", ".png");
  const fs::path away = path("away.png");
  fs::rename(image, away);
  const std::vector<std::string> line = {"encode", "--data", data(), "--reward", "imagereward", "--json", "--quiet"};
  LineRun run = run_line(line);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("pairs"), 119);
  EXPECT_EQ(run.json().at("encoded"), 119);
  EXPECT_EQ(run.json().at("failed"), 1);
  EXPECT_EQ(run.json()["failures"][0].at("item"), "i00003-1");
  fs::rename(away, image);
  run = run_line(line);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json().at("pairs"), 120);
  EXPECT_EQ(run.json().at("encoded"), 1) << "the others have theirs";
  EXPECT_EQ(run.json().at("cached"), 119);
  EXPECT_TRUE(broken_files(data()).empty());
  const fs::path folder = fs::path(data()) / "embeddings" / run.json().at("encoder").get<std::string>();
  EXPECT_EQ(NpyFile(folder / "pair.npy").type(), NpyType::kFloat32);
  EXPECT_FALSE(fs::exists(folder / "image.npy"));
}

TEST_F(ImageReward, EvalAndCompareReadThem) {
  encode();
  const LineRun eval = imagereward("eval", {"--data", data(), "--bootstrap", "100", "--json", "--quiet"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  const auto report = eval.json();
  EXPECT_TRUE(report["metrics"]["pair_accuracy_strict_micro"]["value"].is_number());
  EXPECT_TRUE(report["metrics"]["accuracy"]["value"].is_null()) << "a utility is on no label's scale";
  EXPECT_TRUE(report["baselines"]["clip_cosine"]["pair_accuracy_strict_micro"]["value"].is_null()) << "no vectors";
  EXPECT_TRUE(report["baselines"]["majority"]["pair_accuracy_strict_micro"]["value"].is_number());
  const LineRun compare =
      run_line({"compare", "--data", data(), "imagereward", "mlp", "--bootstrap", "100", "--json", "--quiet"});
  ASSERT_EQ(compare.code, 0) << compare.err;
  EXPECT_EQ(compare.json()["rewards"].size(), 2U);
  const LineRun probes =
      imagereward("eval", {"--data", data(), "--bootstrap", "0", "--probes", "3", "--json", "--quiet"});
  ASSERT_EQ(probes.code, 0) << probes.err;
  EXPECT_EQ(probes.json()["probes"].at("images"), 3);
}

TEST_F(ImageReward, ExportsHaveTheSameBits) {
  encode();
  const LineRun exported = imagereward("export", {"--data", data(), "--to", "weights", "--split", "test", "--out",
                                                  path("weighted").string(), "--json", "--quiet"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const auto lines = test::lines_of(path("weighted") / "metadata.jsonl");
  ASSERT_GE(lines.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto row = nlohmann::json::parse(lines[i]);
    EXPECT_EQ(row.at("reward"),
              score("imagereward", path("weighted") / row.at("file_name").get<std::string>(), row.at("text")));
  }
  const LineRun dpo = imagereward(
      "export", {"--data", data(), "--to", "dpo", "--out", path("dpo.parquet").string(), "--json", "--quiet"});
  ASSERT_EQ(dpo.code, 0) << dpo.err;
  EXPECT_GT(dpo.json().at("rows").get<int>(), 0);
}

TEST_F(ImageReward, AMixtureHoldsIt) {
  encode();
  for (const auto& [name, rewards] : std::map<std::string, std::vector<std::string>>{
           {"first", {"imagereward=2", "mlp=-0.5"}}, {"last", {"mlp=0.5", "imagereward"}}}) {
    std::vector<std::string> line = {"mix", "--data", data(), "--name", name, "--quiet"};
    for (const std::string& reward : rewards) line.insert(line.end(), {"--reward", reward});
    const LineRun mixed = run_line(line);
    ASSERT_EQ(mixed.code, 0) << mixed.err;
    const std::string folder = data() + "/rewards/" + name;
    const auto record = nlohmann::json::parse(load_file(folder + "/reward.json"));
    double sum = 0.0;
    for (const auto& term : record.at("terms")) {
      const std::string place = term.at("reward");
      sum += term.at("weight").get<double>() *
             (score(place == "imagereward" ? place : reward(), shape(0), "a red car") - term.at("mean").get<double>()) /
             term.at("standard_deviation").get<double>();
    }
    EXPECT_NEAR(score(folder, shape(0), "a red car"), sum, 1e-5) << name;
    const LineRun eval =
        run_line({"eval", "--data", data(), "--reward", name, "--bootstrap", "0", "--json", "--quiet"});
    ASSERT_EQ(eval.code, 0) << eval.err;
    EXPECT_TRUE(eval.json()["metrics"]["pair_accuracy_strict_micro"]["value"].is_number());
  }
}

TEST_F(ImageReward, TheServerGivesTheSameBits) {
  serving::ScoringService service({{"imagereward", "imagereward"}, {"mlp", reward()}}, {}, {});
  EXPECT_EQ(service.rewards()[0].dim, 0U);
  serving::Work work;
  for (std::uint32_t i = 0; i < 3; ++i) {
    for (const char* prompt : {"a red car", "a cat"}) work.items.push_back({load_file(shape(i)), prompt});
  }
  work.items.push_back({"no image", "a cat"});
  work.rewards = {1, 0};
  const serving::Results results = answer_of(service, work);
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_FALSE(results[i].failure) << results[i].failure->detail;
    const std::string prompt = *work.items[i].prompt;
    EXPECT_EQ(double{results[i].scores[1]}, score("imagereward", shape(static_cast<std::uint32_t>(i / 2)), prompt));
    EXPECT_EQ(double{results[i].scores[0]}, score(reward(), shape(static_cast<std::uint32_t>(i / 2)), prompt));
  }
  EXPECT_TRUE(results[6].failure);
  EXPECT_TRUE(std::isnan(results[6].scores[1]));
  EXPECT_EQ(answer_of(service, work)[0].scores, results[0].scores) << "from the cache";
  serving::Work vectors;
  vectors.items.push_back({load_file(shape(0)), std::nullopt});
  vectors.rewards = {0};
  vectors.vectors = true;
  try {
    (void)service.submit(vectors, [](serving::Results&&) {});
    ADD_FAILURE() << "it gave vectors";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("has no vectors"));
  }
}

TEST_F(ImageReward, WhatItCannotDoIsOneLine) {
  refused(imagereward("score", {"--image-embeddings", "x.npy", "--text-embeddings", "y.npy"}), 2,
          "score image files instead");
  refused(imagereward("encode", {"--data", data(), "--device", "cuda"}), 2, "expected cpu");
  refused(imagereward("export", {"--to", "onnx", "--out", path("graphs").string()}), 1, "has no vectors");
  refused(imagereward("eval", {"--data", data(), "--model", path("nowhere").string()}), 1,
          "expected ImageReward.pt at");
  refused(imagereward("rank", {"--prompt", "x", "--hps-antialias", "on", picture(0)}), 2, "expected hpsv2");
  // A CLIP under its name, a page under its name, and a vocabulary of another model.
  fs::create_directories(path("wrong"));
  fs::copy(fs::path(model()) / "model.safetensors", path("wrong") / "ImageReward.pt",
           fs::copy_options::overwrite_existing);
  refused(imagereward("rank", {"--prompt", "x", "--model", path("wrong").string(), picture(0)}), 1,
          "expected ImageReward's checkpoint");
  test::write_text(path("wrong") / "ImageReward.pt", "<!DOCTYPE html> not found");
  refused(imagereward("rank", {"--prompt", "x", "--model", path("wrong").string(), picture(0)}), 1, "ImageReward.pt");
  test::write_text(path("wrong") / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
  refused(imagereward("rank", {"--prompt", "x", "--tokenizer", path("wrong").string(), picture(0)}), 1,
          "expected the 400 tokens");
}

TEST_F(ImageReward, ModelsKnowsIt) {
  const LineRun info = run_line({"models", "info", "imagereward", "--json"});
  ASSERT_EQ(info.code, 0) << info.err;
  const auto scorer = info.json().at("scorer");
  EXPECT_TRUE(scorer.at("problem").is_null()) << scorer;
  EXPECT_EQ(scorer.at("weights"), "ImageReward.pt");
  EXPECT_TRUE(scorer.at("dim").is_null()) << "it has no vectors";
  EXPECT_EQ(scorer.at("vocabulary"), "vocab.txt");
  EXPECT_EQ(scorer.at("rule"), "image and prompt together");
}

TEST_F(ImageReward, MissingFilesAreNamed) {
  const auto line = [&] { return imagereward("rank", {"--prompt", "x", picture(0)}); };
  {
    const test::EnvironmentVariable none("HF_HUB_CACHE", path("empty_hub").string());
    refused(line(), 1,
            "expected its encoder's weights, ImageReward.pt of THUDM/ImageReward, in " + path("scorers").string() +
                " or " + path("empty_hub").string() + ", found none; `imagerank models pull imagereward` brings them");
    fs::create_directories(path("scorers"));
    fs::copy(path("weights") / "ImageReward.pt", path("scorers"), fs::copy_options::overwrite_existing);
    refused(line(), 1, "expected its vocabulary, vocab.txt of google-bert/bert-base-uncased");
    // Both put there by hand.
    fs::copy(path("words") / "vocab.txt", path("scorers"), fs::copy_options::overwrite_existing);
    EXPECT_EQ(line().code, 0);
  }
  fs::remove_all(path("scorers"));
}

}  // namespace
}  // namespace imagerank::cli
