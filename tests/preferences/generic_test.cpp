#include "preferences/import_world.h"

namespace imagerank::preferences {
namespace {

class GenericTest : public ImportWorld {
 protected:
  static ImportOptions columns(std::map<std::string, std::string> map) {
    ImportOptions options;
    options.columns = std::move(map);
    return options;
  }
};

TEST_F(GenericTest, RankingsWithListsFromEveryContainer) {
  const auto jsonl =
      text("r.jsonl",
           "{\"ranking_id\": 7, \"prompt\": \"p\", \"image_uids\": [\"a\", \"b\", \"c\"], \"ranks\": [2, 1, "
           "2.5], \"weight\": 2, \"extra\": {\"x\": [1]}}\n"
           "{\"ranking_id\": 8, \"prompt\": \"q\", \"image_uids\": [\"a\", \"b\"], \"ranks\": [1, 1]}\n"
           "{\"ranking_id\": 9, \"prompt\": \"r\", \"image_uids\": [\"a\", \"b\"], \"ranks\": [1, 2], "
           "\"weight\": \"much\"}\n");
  ImportOptions same;
  same.dataset = "mine";
  const ImportCounts counts = import("jsonl", {jsonl}, same);
  EXPECT_EQ(counts.rankings, 2);
  EXPECT_EQ(counts.ties, 1);
  EXPECT_EQ(counts.skipped, Skipped({{"bad_weight", 1}}));
  EXPECT_EQ(counts.ignored_columns, std::vector<std::string>({"extra"}));
  const auto rows = rankings_by_prompt();
  EXPECT_EQ(rows.at("p").ranks, std::vector<std::int32_t>({2, 1, 3}));
  EXPECT_EQ(rows.at("p").best_image_uid, "b");
  EXPECT_EQ(rows.at("p").weight, 2.0);
  EXPECT_EQ(rows.at("p").dataset, "mine");
  const auto before = snapshot();
  import("csv",
         {text("r.csv", "ranking_id,prompt,image_uids,ranks,weight\n7,p,\"['a', 'b', 'c']\",\"[2, 1, 2.5]\",2\n")},
         same);
  import("parquet",
         {write("r.parquet",
                "SELECT 7 AS ranking_id, 'p' AS prompt, ['a', 'b', 'c'] AS image_uids, [2, 1, "
                "2.5] AS ranks, 2 AS weight")},
         same);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(GenericTest, ChosenAndRejectedByAMap) {
  const auto file = text("dpo.csv",
                         "caption,img_w,img_l,who,part\nfox,https://x/a.png,https://x/b.png,u1,train\n"
                         "fox,https://x/a.png,https://x/b.png,u1,train\nhen,pics/a.png,../b.png,u2,test\n");
  const auto map = columns(
      {{"prompt", "caption"}, {"chosen", "img_w"}, {"rejected", "img_l"}, {"user_id", "who"}, {"split", "part"}});
  const ImportCounts counts = import("csv", {file}, map);
  EXPECT_EQ(counts.rankings, 2);  // two equal votes are two
  EXPECT_EQ(counts.skipped, Skipped({{"unsafe_uid", 2}}));
  EXPECT_EQ(count("SELECT count(*) FROM rankings WHERE best_image_uid = image_uids[1] AND user_id = 'u1' AND "
                  "official_split = 'train' AND dataset = 'csv'"),
            2);
  EXPECT_EQ(count("SELECT count(*) FROM images WHERE url LIKE 'https://x/%' AND image_uid LIKE 'url-%'"), 2);
  EXPECT_EQ(texts("SELECT path FROM images WHERE url = ''"),
            std::vector<std::string>({(folder_ / "pics/a.png").string()}));
  EXPECT_EQ(import("csv", {file}, map).added_rankings, 0);
}

TEST_F(GenericTest, ImageColumnsAndBest) {
  const auto file =
      write("r.parquet",
            "SELECT * FROM (VALUES (1.0::DOUBLE, 'p', 'a', 'b', 'c', 'c'), (2, 'q', 'a', 'b', NULL, 'tie'), "
            "(NULL, 'r', 'a', 'b', NULL, 'b'), (4, 's', 'a', 'b', NULL, NULL)) t(ranking_id, prompt, "
            "image_1, image_2, image_3, winner)");
  const ImportCounts counts = import("parquet", {file}, columns({{"best", "winner"}}));
  EXPECT_EQ(counts.rankings, 2);
  EXPECT_EQ(counts.skipped, Skipped({{"no_choice_recorded", 1}, {"no_ranking_id", 1}}));
  EXPECT_EQ(texts("SELECT ranking_id FROM rankings ORDER BY ranking_id"), std::vector<std::string>({"1", "2"}));
  EXPECT_EQ(rankings_by_prompt().at("q").best_image_uid, std::nullopt);
}

TEST_F(GenericTest, RatingsAndImages) {
  const auto file = text("s.csv",
                         "image_uid,prompt,user_id,aspect,score,url\na,p,u,aesthetic,0.5,http://x/a\n"
                         "a,p,u,aesthetic,0.75,http://x/a\nb,p,u,,3,http://x/b\nc,p,u,,nan,http://x/c\n");
  const ImportCounts counts = import("csv", {file});
  EXPECT_EQ(counts.ratings, 2);
  EXPECT_EQ(counts.images, 3);
  EXPECT_EQ(counts.skipped, Skipped({{"bad_score", 1}, {"rating_twice", 1}}));
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'a' AND score = 0.5 AND aspect = 'aesthetic'"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM ratings WHERE image_uid = 'b' AND score = 3 AND aspect = 'overall'"), 1);
  EXPECT_EQ(import("csv", {file}).added_ratings, 0);
}

TEST_F(GenericTest, WhatIsMissingIsNamed) {
  const auto refused = [&](const std::string& header, const std::vector<std::string>& parts,
                           const ImportOptions& options = {}, ErrorCode code = ErrorCode::kCorruptData) {
    expect_refused("csv", {text("m.csv", header + "\n1,2,3\n")}, code, parts, options);
  };
  refused("a,b,c", {"expected rankings", "found columns a, b, c", "--columns"});
  refused("chosen,b,c", {"expected a column rejected", "--columns rejected=NAME"});
  refused("prompt,image_1,image_2", {"expected a column best or ranks"});
  refused("prompt,best,c", {"expected a column image_uids or image_1, image_2"});
  refused("chosen,rejected,c", {"expected a column prompt"});
  refused("score,b,c", {"expected a column image_uid"});
  refused("a,b,c", {"expected a column 'z' (for best)", "a, b, c"}, columns({{"best", "z"}}));
  refused("a,b,c", {"--columns", "ranking_id", "'vote'"}, columns({{"vote", "a"}}), ErrorCode::kInvalidArgument);
  refused("a,a,c", {"'a' twice"});
}

}  // namespace
}  // namespace imagerank::preferences
