#include "serving/answers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace imagerank::serving {
namespace {

using nlohmann::json;

json scores(const RewardInfo& info, bool ranked = false) {
  Results results(5);
  results[0].scores = {3.0F};
  results[1].scores = {7.0F};
  results[2].scores = {NAN};
  results[2].failure = {"item 2", "corrupt", "no image"};
  results[3].scores = {5.0F};
  results[4].scores = {-1.0F};
  // Items 0, 1, 2 and 4 share a prompt; 3 is alone.
  ScoreRequest request;
  request.work.rewards = {0};
  request.groups = {0, 0, 0, 3, 0};
  return json::parse(score_answer(request, {info}, ranked, results).body)["scores"];
}

TEST(ScoreAnswer, ProbabilitiesAreAmongTheImagesOfAPrompt) {
  RewardInfo info;
  info.temperature = 4.0;
  const json given = scores(info);
  const double first = std::exp(0.75), second = std::exp(1.75), last = std::exp(-0.25);
  const double sum = first + second + last;
  EXPECT_NEAR(given[0]["probability"].get<double>(), first / sum, 1e-12);
  EXPECT_NEAR(given[1]["probability"].get<double>(), second / sum, 1e-12);
  EXPECT_TRUE(given[2]["probability"].is_null());
  EXPECT_TRUE(given[3]["probability"].is_null());
  EXPECT_NEAR(given[4]["probability"].get<double>(), last / sum, 1e-12);
}

TEST(ScoreAnswer, WithoutACalibrationThereAreNone) {
  for (const json& item : scores({})) EXPECT_TRUE(item["probability"].is_null());
}

TEST(ScoreAnswer, ScoresFarApartAreNoMatter) {
  RewardInfo info;
  info.temperature = 1e-3;
  const json given = scores(info, true);
  EXPECT_EQ(given[0]["index"], 1);
  EXPECT_EQ(given[0]["probability"], 1.0);
}

}  // namespace
}  // namespace imagerank::serving
