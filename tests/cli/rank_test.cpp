#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/scoring_world.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

class RankCommand : public ScoringWorld {};

TEST_F(RankCommand, RanksBestFirstAndKeepsBrokenImagesApart) {
  const LineRun run = run_line({"rank", "--reward", reward(), "--prompt", "a picture", picture(0), picture(1),
                                (pictures() / "broken.png").string(), picture(2), "no_such.png", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto scores = run.json().at("scores");
  ASSERT_EQ(scores.size(), 5U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(scores[i].at("rank"), i + 1);
  EXPECT_GE(scores[0].at("score").get<double>(), scores[1].at("score").get<double>());
  EXPECT_GE(scores[1].at("score").get<double>(), scores[2].at("score").get<double>());
  EXPECT_TRUE(scores[3].at("score").is_null());
  EXPECT_EQ(scores[3].at("error"), "corrupt");
  EXPECT_EQ(scores[4].at("error"), "missing");
  EXPECT_EQ(run.json().at("failed"), 2);
}

TEST_F(RankCommand, AnImagesScoreDoesNotDependOnItsCompany) {
  const auto alone =
      run_line({"rank", "--reward", reward(), "--prompt", "a picture", picture(1), "--json", "--quiet"}).json();
  const auto together = run_line({"rank", "--reward", reward(), "--prompt", "a picture", picture(0), picture(1),
                                  picture(2), picture(3), picture(4), "--json", "--quiet"})
                            .json();
  for (const auto& item : together.at("scores")) {
    if (item.at("image") != picture(1)) continue;
    EXPECT_NEAR(item.at("score").get<double>(), alone["scores"][0].at("score").get<double>(), 1e-5);
  }
}

TEST_F(RankCommand, TopCutsTheRanking) {
  const auto all =
      run_line({"rank", "--reward", reward(), "--prompt", "x", picture(0), picture(1), picture(2), "--json", "--quiet"})
          .json();
  const auto top = run_line({"rank", "--reward", "mlp", "--data", data(), "--prompt", "x", picture(0), picture(1),
                             picture(2), "--top", "1", "--json", "--quiet"})
                       .json();
  ASSERT_EQ(top.at("scores").size(), 1U);
  EXPECT_EQ(top["scores"][0], all["scores"][0]);
}

TEST_F(RankCommand, PrintsATable) {
  const LineRun run = run_line({"rank", "--reward", reward(), "--prompt", "x", picture(0), picture(1)});
  EXPECT_NE(run.out.find("rank"), std::string::npos);
  EXPECT_NE(run.out.find("p0.png"), std::string::npos);
  EXPECT_NE(run.out.find("p1.png"), std::string::npos);
}

TEST_F(RankCommand, RefusesAnotherEncoderNamingBoth) {
  const auto other = path("other");
  if (!std::filesystem::exists(other)) {
    std::filesystem::copy(model(), other);
    std::ofstream(other / "preprocessor_config.json", std::ios::app) << "\n";  // another file, another hash
  }
  const LineRun run = run_line({"rank", "--reward", reward(), "--prompt", "x", picture(0), "--model", other.string()});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("tiny-fp32-"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("other-fp32-"), std::string::npos) << run.err;
}

TEST_F(RankCommand, BadInputIsOneLine) {
  const auto refused = [](const LineRun& run, int code, const std::string& part) {
    EXPECT_EQ(run.code, code) << run.err;
    EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
    EXPECT_TRUE(run.out.empty()) << run.out;
  };
  refused(run_line({"rank", "--reward", "no/such", "--prompt", "x", picture(0)}), 1, "no/such");
  refused(run_line({"rank", "--reward", "nobody", "--data", data(), "--prompt", "x", picture(0)}), 1, "nobody");
  refused(run_line({"rank", "--reward", picture(0), "--prompt", "x", picture(0)}), 1, "a published head's file");
  refused(run_line({"rank", "--reward", reward(), "--prompt", "x"}), 2, "IMAGE");
  EXPECT_EQ(run_line({"rank", "--reward", reward(), "--prompt", "x", "gone.png"}).code, 1);
  EXPECT_EQ(run_line({"rank", "--reward", reward(), "--prompt", "x", "gone.png", picture(0), "--strict"}).code, 1);
}

}  // namespace
}  // namespace imagerank::cli
