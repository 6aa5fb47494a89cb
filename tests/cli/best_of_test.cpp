// rank --best-of: trees and tables of candidates, chosen files, contact sheets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/candidates.h"
#include "cli/scoring_world.h"
#include "images/decode.h"

namespace imagerank::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BestOf : public ImageTree {
 protected:
  /// Folders p1, p2 and p10 of three images each; one of p2's is broken; p3 is empty.
  void SetUp() override {
    ImageTree::SetUp();
    for (const std::string folder : {"p1", "p2", "p10"}) {
      for (std::uint32_t i = 0; i < 3; ++i) {
        write_image(folder + "/c" + std::to_string(i) + ".png", static_cast<std::uint32_t>(folder.size()) * 100 + i);
      }
    }
    write_broken_image("p2/c1.png");
    fs::create_directories(root_ / "p3");
    test::write_text(root_ / "prompts.txt", "one car\ntwo <cars>\nnothing\nten cars\n");
    for (const char* name : {"chosen", "links", "copies"}) fs::remove_all(path(name));
  }
  static LineRun best_of(const fs::path& place, const std::vector<std::string>& more = {}) {
    return run_with_reward({"rank", "--best-of", place.string()}, more);
  }
};

TEST_F(BestOf, EachPromptHasItsBest) {
  const LineRun run = best_of(root_, {"--top", "2", "--copy", path("copies").string()});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto json = run.json();
  EXPECT_EQ(json.at("prompts"), 3);
  EXPECT_EQ(json.at("images"), 9);
  EXPECT_EQ(json.at("failed"), 1);
  EXPECT_EQ(json.at("empty"), 1);
  EXPECT_EQ(json.at("files"), 6);
  EXPECT_EQ(json["groups"][1].at("prompt"), "two <cars>");
  EXPECT_EQ(json["groups"][2].at("key"), "p10");  // as numbers: after p2
  EXPECT_EQ(json["groups"][2].at("prompt"), "ten cars");
  const auto& broken = json["groups"][1]["scores"][2];
  EXPECT_TRUE(broken.at("score").is_null());
  EXPECT_EQ(broken.at("error"), "corrupt");
  EXPECT_EQ(broken.at("chosen"), false);
  // The same numbers as a plain rank gives.
  const auto plain = run_line({"rank", "--reward", reward(), "--prompt", "one car", (root_ / "p1/c0.png").string(),
                               (root_ / "p1/c1.png").string(), (root_ / "p1/c2.png").string(), "--json", "--quiet"})
                         .json();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(json["groups"][0]["scores"][i]["score"], plain["scores"][i]["score"]);
    EXPECT_EQ(json["groups"][0]["scores"][i]["image"], plain["scores"][i]["image"]);
  }
  const auto lines = test::lines_of(path("copies") / "metadata.jsonl");
  ASSERT_EQ(lines.size(), 6U);
  const auto first = nlohmann::json::parse(lines.front());
  EXPECT_EQ(first.at("file_name"), "p1-1.png");
  EXPECT_EQ(first.at("text"), "one car");
  EXPECT_EQ(load_file(path("copies") / "p1-1.png"), load_file(plain["scores"][0]["image"].get<std::string>()));
}

TEST_F(BestOf, FilesMayBeLinks) {
  const LineRun run = best_of(root_, {"--link", path("links").string()});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(fs::is_symlink(path("links") / "p1.png"));
  EXPECT_TRUE(fs::exists(path("links") / "p10.png"));
  const LineRun again = best_of(root_, {"--link", path("links").string()});
  EXPECT_EQ(again.code, 2);  // nothing is written over
  EXPECT_THAT(again.err, HasSubstr("links"));
}

TEST_F(BestOf, SheetsShowTheChosen) {
  const fs::path png = path("sheet.png"), html = path("sheet.html");
  const LineRun run = best_of(root_, {"--top", "2", "--sheet", png.string(), "--sheet", html.string()});
  ASSERT_EQ(run.code, 0) << run.err;
  const images::Image sheet = images::load_image(png);
  EXPECT_EQ(sheet.width, 2 * 200 + 8);
  EXPECT_EQ(sheet.height, 3 * 248 + 8);
  const std::string page = load_file(html);
  EXPECT_THAT(page, HasSubstr("two &lt;cars&gt;"));
  EXPECT_THAT(page, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_EQ(page.find("http-equiv=\"refresh\""), std::string::npos);
  EXPECT_EQ(page.find("src=\"http"), std::string::npos);
}

TEST_F(BestOf, PromptsComeInSeveralForms) {
  const auto prompts_of = [&](const LineRun& run) {
    EXPECT_EQ(run.code, 0) << run.err;
    std::vector<std::string> prompts;
    const auto json = run.json();
    for (const auto& group : json.at("groups")) prompts.push_back(group.at("prompt"));
    return prompts;
  };
  fs::remove(root_ / "prompts.txt");
  test::write_text(root_ / "prompts.jsonl",
                   "{\"folder\": \"p10\", \"prompt\": \"ten\"}\n{\"folder\": \"p1\", \"prompt\": \"one\"}\n"
                   "{\"folder\": \"p2\", \"prompt\": \"two\"}\n{\"folder\": \"p3\", \"prompt\": \"three\"}\n");
  EXPECT_THAT(prompts_of(best_of(root_)), ElementsAre("one", "two", "ten"));
  fs::remove(root_ / "prompts.jsonl");
  for (const std::string folder : {"p1", "p2", "p3", "p10"}) {
    test::write_text(root_ / folder / "prompt.txt", "in " + folder);
  }
  EXPECT_THAT(prompts_of(best_of(root_)), ElementsAre("in p1", "in p2", "in p10"));
  test::write_text(root_ / "list.csv", "prompt,image\na,p1/c0.png\nb,p2/c0.png\na,p1/c1.png\n");
  EXPECT_THAT(prompts_of(best_of(root_ / "list.csv")), ElementsAre("a", "b"));
}

TEST_F(BestOf, BadInputIsOneLine) {
  test::write_text(root_ / "prompts.txt", "one\n");
  refused(best_of(root_), 1, "a prompt for each of 4 folders, found 1");
  test::write_text(root_ / "prompts.txt", "1\n2\n3\n4\n");
  refused(best_of(path("nowhere")), 1, "found nothing");
  refused(best_of(root_, {"--copy", path("a").string(), "--link", path("b").string()}), 2, "--link");
  refused(best_of(root_, {"--sheet", "sheet.pdf"}), 2, ".png or .html");
  refused(best_of(root_, {picture(0)}), 2, "IMAGE");
  refused(best_of(root_, {"--prompt", "x"}), 2, "--best-of");
  refused(run_line({"rank", "--reward", reward(), "--prompt", "x", picture(0), "--sheet", "a.png"}), 2, "--sheet");
  refused(run_line({"rank", "--reward", reward(), picture(0)}), 2, "--prompt");
  EXPECT_EQ(best_of(root_, {"--strict", "--copy", path("chosen").string()}).code, 1);
  EXPECT_FALSE(fs::exists(path("chosen")));
}

TEST(NaturalOrder, DigitsAreNumbers) {
  EXPECT_TRUE(natural_less("a2", "a10"));
  EXPECT_FALSE(natural_less("a10", "a2"));
  EXPECT_TRUE(natural_less("00009", "00010"));
  EXPECT_TRUE(natural_less("a", "a1"));
  EXPECT_FALSE(natural_less("a1", "a1"));
  EXPECT_TRUE(natural_less("a01", "a1") != natural_less("a1", "a01"));
}

}  // namespace
}  // namespace imagerank::cli
