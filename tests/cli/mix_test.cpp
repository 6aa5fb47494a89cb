// Mixtures of rewards on one encoder and on two.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "cli/scoring_world.h"
#include "clip/model_config.h"
#include "clip/models.h"
#include "imagerank/scorer.h"
#include "serving/scoring_service.h"

namespace imagerank::cli {
namespace {

using ::testing::HasSubstr;

class MixCommand : public ScoringWorld {
 protected:
  static void SetUpTestSuite() {
    ScoringWorld::SetUpTestSuite();
    const auto train = [](const std::string& on, const std::string& head, const std::string& loss,
                          const std::string& name) {
      const LineRun run = run_line({"train", "--data", data(), "--model", on, "--head", head, "--loss", loss, "--name",
                                    name, "--epochs", "1", "--quiet"});
      ASSERT_EQ(run.code, 0) << run.err;
    };
    train(model(), "linear", "mse", "linear");
    clip::write_random_model(clip::named_model_config("tiny"), path("second"), 9, model());
    ASSERT_EQ(
        run_line({"encode", "--data", data(), "--model", path("second").string(), "--allow-untrained", "--quiet"}).code,
        0);
    train(path("second").string(), "mlp", "bt", "other");
    const LineRun one = mix({"mlp=2", "linear=-0.5"}, "one");
    ASSERT_EQ(one.code, 0) << one.err;
    const LineRun two = mix({"mlp=0.5", "other=0.25", "linear"}, "two");
    ASSERT_EQ(two.code, 0) << two.err;
  }
  static LineRun mix(const std::vector<std::string>& rewards, const std::string& name) {
    std::vector<std::string> line = {"mix", "--data", data(), "--name", name, "--json"};
    for (const std::string& reward : rewards) line.insert(line.end(), {"--reward", reward});
    return run_line(line);
  }
  static std::string rewards(const std::string& name) { return data() + "/rewards/" + name; }
  static double score(const std::string& reward, const std::string& image, const std::string& prompt) {
    const LineRun run = run_line({"rank", "--reward", rewards(reward), "--prompt", prompt, image, "--json", "--quiet"});
    EXPECT_EQ(run.code, 0) << run.err;
    return run.json()["scores"][0]["score"].get<double>();
  }
};

TEST_F(MixCommand, IsTheWeightedSumOfStandardisedScores) {
  for (const std::string name : {"one", "two"}) {
    const auto record = nlohmann::json::parse(load_file(rewards(name) + "/reward.json"));
    for (int i = 0; i < 3; ++i) {
      double sum = 0.0;
      for (const auto& term : record.at("terms")) {
        const std::string other = std::filesystem::path(term.at("reward").get<std::string>()).filename().string();
        sum += term.at("weight").get<double>() *
               (score(other, picture(i), "a prompt") - term.at("mean").get<double>()) /
               term.at("standard_deviation").get<double>();
      }
      EXPECT_NEAR(score(name, picture(i), "a prompt"), sum, 1e-5) << name;
    }
  }
}

TEST_F(MixCommand, IsUsedLikeAnyOther) {
  const LineRun eval = run_line({"eval", "--data", data(), "--reward", "two", "--bootstrap", "0", "--json", "--quiet"});
  ASSERT_EQ(eval.code, 0) << eval.err;
  EXPECT_TRUE(eval.json()["metrics"]["pair_accuracy_strict_micro"]["value"].is_number());
  const LineRun compare = run_line({"compare", "--data", data(), "one", "two", "mlp", "--bootstrap", "0", "--json"});
  ASSERT_EQ(compare.code, 0) << compare.err;
  EXPECT_EQ(compare.json()["rewards"].size(), 3U);
  // A mixture of mixtures.
  ASSERT_EQ(mix({"one=1", "two=1"}, "nested").code, 0);
  EXPECT_TRUE(std::isfinite(score("nested", picture(0), "x")));
}

TEST_F(MixCommand, TheServerGivesTheSameBits) {
  serving::ScoringService service({{"two", rewards("two")}, {"mlp", rewards("mlp")}, {"other", rewards("other")}}, {},
                                  {});
  const serving::Results results = answer_of(service, {{{load_file(picture(2)), "a prompt"}}, {2, 0, 1}});
  ASSERT_FALSE(results.front().failure);
  EXPECT_EQ(double{results.front().scores[0]}, score("other", picture(2), "a prompt"));
  EXPECT_EQ(double{results.front().scores[1]}, score("two", picture(2), "a prompt"));
  EXPECT_EQ(double{results.front().scores[2]}, score("mlp", picture(2), "a prompt"));
  EXPECT_EQ(service.counts().images_encoded, 2U);  // once for each of two encoders
}

TEST_F(MixCommand, BadInputIsOneLine) {
  refused(mix({"mlp=heavy"}, "bad"), 2, "REWARD=WEIGHT");
  refused(mix({"mlp=0"}, "bad"), 2, "other than 0");
  refused(mix({"nobody=1"}, "bad"), 1, "nobody");
  refused(mix({"mlp=1"}, "../bad"), 2, "--name");
  refused(mix({"mlp=1"}, "pickscore"), 2, "pickscore");
  EXPECT_FALSE(std::filesystem::exists(rewards("bad")));
  // A record that was edited.
  const auto broken = [&](const std::string& name, const std::string& from, const std::string& to) {
    std::string text = load_file(rewards("one") + "/reward.json");
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, from.size(), to);
    write_file_atomically(rewards(name) + "/reward.json", text);
  };
  broken("no_weight", "\"weight\"", "\"wait\"");
  refused(run_line({"rank", "--reward", rewards("no_weight"), "--prompt", "x", picture(0)}), 1, "terms: expected");
  broken("itself", "../mlp", "../itself");
  refused(run_line({"rank", "--reward", rewards("itself"), "--prompt", "x", picture(0)}), 1, "does one hold itself");
  broken("orphan", "../mlp", "../gone");
  refused(run_line({"rank", "--reward", rewards("orphan"), "--prompt", "x", picture(0)}), 1, "gone");
}

}  // namespace
}  // namespace imagerank::cli
