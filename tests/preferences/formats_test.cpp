#include "images/encode.h"
#include "preferences/import_world.h"
#include "preferences/json_records.h"

namespace imagerank::preferences {
namespace {

using FormatsTest = ImportWorld;

TEST_F(FormatsTest, PickapicV0CsvReadsQuotesAndLineEnds) {
  const auto rankings =
      text("r.csv",
           "\xEF\xBB\xBFranking_id,created_at,user_id,image_1_uid,image_2_uid,image_3_uid,image_4_uid,"
           "best_image_uid,prompt\r\n"
           "1,2023-01-02 03:04:05,9,a,b,c,d,b,\"a \"\"cat\"\",\nthen a dog\"\r\n"
           "2,2023-01-02 03:04:06,9,a,b,,,none,caf\xC3\xA9\r\n"
           "3,,9,a,b,c,d,,no choice\r\n");
  const ImportCounts counts = import("pickapic-v0", {rankings});
  EXPECT_EQ(counts.rankings, 2);
  EXPECT_EQ(counts.ties, 1);
  EXPECT_EQ(counts.skipped, Skipped({{"no_choice_recorded", 1}}));
  const auto rows = rankings_by_prompt();
  ASSERT_TRUE(rows.contains("a \"cat\",\nthen a dog"));
  EXPECT_EQ(rows.at("a \"cat\",\nthen a dog").best_image_uid, "b");
  EXPECT_EQ(rows.at("a \"cat\",\nthen a dog").created_at, "2023-01-02 03:04:05");
  EXPECT_EQ(rows.at("caf\xC3\xA9").image_uids, std::vector<std::string>({"a", "b"}));
}

TEST_F(FormatsTest, CsvAndParquetOfTheSameRowsAreTheSame) {
  const std::string rows =
      "SELECT * FROM (VALUES (1, TIMESTAMP '2023-01-02 03:04:05.5', 9, 'a', 'b', 'c', 'd', 'b', 'cat'), (2, NULL, "
      "NULL, "
      "'a', 'b', 'c', 'e', 'none', NULL)) t(ranking_id, created_at, user_id, image_1_uid, image_2_uid, image_3_uid, "
      "image_4_uid, best_image_uid, prompt)";
  import("pickapic-v0", {write("r.parquet", rows)});
  const auto before = snapshot();
  workspace::Database().write_csv(rows, folder_ / "r.csv");
  const ImportCounts counts = import("pickapic-v0", {folder_ / "r.csv"});
  EXPECT_EQ(counts.added_rankings, 0);
  EXPECT_TRUE(counts.skipped.empty());
  EXPECT_EQ(snapshot(), before);
}

/// Nineteen columns as pickapic_v1 has them; jpg columns hold what DuckDB's read_blob reads.
std::string pickapic_row(int id, const std::string& images, const std::string& labels, const std::string& more,
                         bool labelled = true) {
  return fmt::format(
      "SELECT true AS are_different, 'x' AS best_image_uid, 'a fox' AS caption, '2023-01-01' AS created_at, {} AS "
      "has_label, {}, {}, 'sd15' AS model_0, 'sdxl' AS model_1, {}::BIGINT AS ranking_id, 7::BIGINT AS user_id, "
      "4::BIGINT AS num_example_per_prompt, 0::BIGINT AS __index_level_0__, {}",
      labelled, images, labels, id, more);
}

TEST_F(FormatsTest, PickapicWritesEmbeddedImages) {
  images::Image picture{3, 2, std::vector<std::uint8_t>(18, 90)};
  const std::string png = images::encode_png(picture);
  picture.pixels.assign(18, 200);
  test::write_text(folder_ / "zero.bin", png);
  test::write_text(folder_ / "one.bin", images::encode_jpeg(picture));
  test::write_text(folder_ / "bad.bin", "no picture");
  const auto blob = [&](const char* name) {
    return fmt::format("(SELECT content FROM read_blob('{}'))", (folder_ / name).string());
  };
  const auto uids = [](const char* a, const char* b) {
    return fmt::format(
        "'{0}' AS image_0_uid, 'https://x/{0}.png' AS image_0_url, '{1}' AS image_1_uid, "
        "'https://x/{1}.png' AS image_1_url",
        a, b);
  };
  const auto bytes = [&](const char* a, const char* b) {
    return fmt::format("{} AS jpg_0, {} AS jpg_1", blob(a), blob(b));
  };
  const std::string rows =
      pickapic_row(1, uids("u0", "u1"), "1.0 AS label_0, 0.0 AS label_1", bytes("zero.bin", "one.bin")) +
      " UNION ALL " + pickapic_row(1, uids("u0", "u2"), "0.5, 0.5", bytes("zero.bin", "bad.bin")) + " UNION ALL " +
      pickapic_row(2, uids("u1", "u3"), "0.0, 1.0", fmt::format("{}, NULL", blob("one.bin"))) + " UNION ALL " +
      pickapic_row(3, uids("u1", "u4"), "0.0, 1.0", fmt::format("{}, NULL", blob("one.bin")), false) + " UNION ALL " +
      pickapic_row(4, uids("../u", "u4"), "0.0, 1.0", fmt::format("{}, NULL", blob("zero.bin")));
  const auto file = write("validation_unique-00000-of-00001.parquet", rows);
  for (int round = 0; round < 2; ++round) {
    const ImportCounts counts = import("pickapic", {file});
    EXPECT_EQ(counts.rankings, 3);
    EXPECT_EQ(counts.ties, 1);
    EXPECT_EQ(counts.added_rankings, round == 0 ? 3 : 0);
    // The ranking and the image of the uid that would climb out of the folder; u2's bytes, each time anew.
    EXPECT_EQ(counts.skipped, Skipped({{"embedded_not_an_image", 1}, {"no_label", 1}, {"unsafe_uid", 2}}));
  }
  EXPECT_EQ(texts("SELECT best_image_uid FROM rankings WHERE ranking_id LIKE '2-%'"), std::vector<std::string>({"u3"}));
  EXPECT_EQ(count("SELECT count(*) FROM rankings WHERE official_split = 'validation_unique' AND weight = 0.25 AND "
                  "prompt = 'a fox' AND user_id = '7' AND dataset = 'pickapic'"),
            3);
  std::map<std::string, workspace::Image> stored;
  for (const workspace::Image& image : workspace_.load_images()) stored[image.image_uid] = image;
  ASSERT_EQ(stored.size(), 5U);
  EXPECT_EQ(stored["u0"].status, "ok");
  EXPECT_EQ(stored["u0"].path, workspace::Workspace::image_path("u0", ".png").string());
  EXPECT_EQ(load_file(workspace_.resolve(stored["u0"])), png);
  EXPECT_EQ(stored["u0"].width, 3);
  EXPECT_EQ(stored["u0"].height, 2);
  EXPECT_EQ(stored["u0"].sha256.size(), 64U);
  EXPECT_EQ(stored["u1"].path, workspace::Workspace::image_path("u1", ".jpg").string());
  EXPECT_EQ(stored["u0"].model, "sd15");
  EXPECT_EQ(stored["u3"].model, "sdxl");
  for (const char* uid : {"u2", "u3", "u4"}) {
    EXPECT_EQ(stored[uid].status, "");
    EXPECT_EQ(stored[uid].url, fmt::format("https://x/{}.png", uid));
  }
}

TEST_F(FormatsTest, ImageFilesOfAnImportThatWasKilledAreMadeAgain) {
  const std::string png = images::encode_png({1, 1, {1, 2, 3}});
  test::write_text(folder_ / "a.bin", png);
  const auto path = workspace_.root() / workspace::Workspace::image_path("a", ".png");
  // Killed while writing: an older file under its name, half of another, of a process that is gone; no table.
  std::filesystem::create_directories(path.parent_path());
  test::write_text(path, "older");
  const auto half = path.parent_path() / ".b.png.tmp-999999999-1";
  test::write_text(half, "hal");
  import("pickapic",
         {write("w.parquet", fmt::format("SELECT 1 AS ranking_id, 'p' AS caption, 'a' AS image_0_uid, 'b' AS "
                                         "image_1_uid, 1.0 AS label_0, 0.0 AS label_1, content AS jpg_0, "
                                         "content AS jpg_1 FROM read_blob('{}')",
                                         (folder_ / "a.bin").string()))});
  EXPECT_EQ(load_file(path), png);
  EXPECT_FALSE(std::filesystem::exists(half));
  EXPECT_EQ(count("SELECT count(*) FROM images WHERE status = 'ok'"), 2);
}

TEST_F(FormatsTest, PickapicWithoutImagesThenWith) {
  const auto row = [](const std::string& more) {
    return "SELECT 1 AS ranking_id, 'p' AS caption, 'a' AS image_0_uid, 'http://x/a' AS image_0_url, 'b' AS "
           "image_1_uid, "
           "'http://x/b' AS image_1_url, 1.0 AS label_0, 0.0 AS label_1, 'test' AS split" +
           more;
  };
  import("pickapic", {write("n.parquet", row(""))});
  EXPECT_EQ(count("SELECT count(*) FROM images WHERE status = ''"), 2);
  test::write_text(folder_ / "a.bin", images::encode_png({1, 1, {1, 2, 3}}));
  const std::string blob = fmt::format("(SELECT content FROM read_blob('{}'))", (folder_ / "a.bin").string());
  const ImportCounts counts =
      import("pickapic", {write("w.parquet", row(fmt::format(", {} AS jpg_0, NULL::BLOB AS jpg_1", blob)))});
  EXPECT_EQ(counts.added_images, 0);
  EXPECT_EQ(texts("SELECT image_uid FROM images WHERE status = 'ok' AND path <> '' AND url = 'http://x/a'"),
            std::vector<std::string>({"a"}));
  EXPECT_EQ(texts("SELECT official_split FROM rankings"), std::vector<std::string>({"test"}));
}

TEST_F(FormatsTest, ARowOfASmallerSplitIsTheSameRow) {
  const std::string row =
      "SELECT 1 AS ranking_id, 'p' AS caption, 'a' AS image_0_uid, 'b' AS image_1_uid, 1.0 AS label_0, 0.0 AS label_1";
  const ImportCounts counts =
      import("pickapic", {write("test-00000-of-00001.parquet", row), write("test_unique-00000-of-00001.parquet", row)});
  EXPECT_EQ(counts.rankings, 1);
  EXPECT_TRUE(counts.skipped.empty());
  EXPECT_EQ(texts("SELECT official_split FROM rankings"), std::vector<std::string>({"test_unique"}));
}

TEST_F(FormatsTest, Hpdv2TrainAndTest) {
  const auto train = text("train.json", R"([
    {"human_preference": [0, 1], "prompt": "a cat", "file_path": ["x/1.jpg", "x/2.jpg"]},
    {"human_preference": [1, 0], "prompt": "a cat", "file_path": ["x/1.jpg", "x/2.jpg"]},
    {"human_preference": [1, 0], "prompt": "a cat", "file_path": ["x/1.jpg", "x/2.jpg"]},
    {"human_preference": 1, "prompt": "a dog", "file_path": ["1.jpg", "../2.jpg"]},
    {"human_preference": 5, "prompt": "a hen", "file_path": ["1.jpg", "2.jpg"]}])");
  const auto test = text("test.json", R"([
    {"prompt": "three", "image_path": ["a.jpg", "b.jpg", "c.jpg"], "rank": [1.5, 1.5, 3.0]},
    {"prompt": "votes", "image_path": ["a.jpg", "b.jpg"], "rank": [1.5, 1.5],
     "raw_annotations": [{"rank": [2, 1], "user_hash": "u1"}, {"rank": [1, 2], "user_hash": "u2"}]},
    {"prompt": "short", "image_path": ["a.jpg", "b.jpg"], "rank": [1]}])");
  const ImportCounts counts = import("hpdv2", {train, test});
  EXPECT_EQ(counts.rankings, 6);
  EXPECT_EQ(counts.ties, 1);
  EXPECT_EQ(counts.skipped, Skipped({{"ranks_do_not_match", 2}, {"unsafe_uid", 2}}));
  // The same two images, three times judged: three rankings.
  EXPECT_EQ(count("SELECT count(*) FROM rankings WHERE prompt = 'a cat' AND official_split = 'train'"), 3);
  EXPECT_EQ(count("SELECT count(*) FROM rankings WHERE prompt = 'a cat' AND best_image_uid = image_uids[1]"), 2);
  const auto rows = rankings_by_prompt();
  EXPECT_EQ(rows.at("three").ranks, std::vector<std::int32_t>({1, 1, 2}));
  EXPECT_EQ(rows.at("three").best_image_uid, std::nullopt);
  EXPECT_EQ(rows.at("three").official_split, "test");
  EXPECT_EQ(texts("SELECT user_id FROM rankings WHERE prompt = 'votes' AND best_image_uid = image_uids[2]"),
            std::vector<std::string>({"u1"}));
  EXPECT_EQ(texts("SELECT path FROM images WHERE image_uid IN (SELECT image_uids[1] FROM rankings WHERE prompt = 'a "
                  "cat')"),
            std::vector<std::string>({(folder_ / "x/1.jpg").string()}));
  const auto before = snapshot();
  EXPECT_EQ(import("hpdv2", {train, test}).added_rankings, 0);
  EXPECT_EQ(snapshot(), before);
}

TEST_F(FormatsTest, Hpdv3VotesBecomeWeights) {
  const auto file = text("all.json", R"([
    {"prompt": "p1", "choice_dist": [12, 4], "confidence": 0.9, "path1": "i/a.jpg", "path2": "i/b.jpg",
     "model1": "m1", "model2": "m2"},
    {"prompt": "p2", "choice_dist": null, "confidence": null, "path1": "i/a.jpg", "path2": "i/c.jpg",
     "model1": "m1", "model2": "m3"},
    {"prompt": "p3", "choice_dist": [3, 3], "confidence": 0.5, "path1": "i/c.jpg", "path2": "i/b.jpg",
     "model1": "m3", "model2": "m2"}])");
  const ImportCounts counts = import("hpdv3", {file});
  EXPECT_EQ(counts.rankings, 3);
  EXPECT_EQ(counts.images, 3);
  EXPECT_EQ(counts.ties, 1);
  const auto rows = rankings_by_prompt();
  EXPECT_DOUBLE_EQ(rows.at("p1").weight, 0.75);
  EXPECT_EQ(rows.at("p1").best_image_uid, rows.at("p1").image_uids[0]);
  EXPECT_DOUBLE_EQ(rows.at("p2").weight, 1.0);
  EXPECT_EQ(rows.at("p3").best_image_uid, std::nullopt);
  EXPECT_EQ(texts("SELECT model FROM images ORDER BY path"), std::vector<std::string>({"m1", "m2", "m3"}));
  EXPECT_EQ(import("hpdv3", {file}).added_rankings, 0);
}

TEST_F(FormatsTest, ImageRewardTestHasItsPublishedPairs) {
  IMAGERANK_SHARED_DATA(file, "real/imagereward/test.json");
  const ImportCounts counts = import("imagereward", {file});
  EXPECT_EQ(counts.rankings, 466);
  EXPECT_EQ(counts.images, 2720);
  EXPECT_TRUE(counts.skipped.empty());
  const std::string pairs = R"(
    FROM (SELECT ranks, unnest(range(1, len(ranks) + 1)) AS i FROM rankings) a,
         LATERAL (SELECT unnest(range(a.i + 1, len(a.ranks) + 1)) AS j) b WHERE ranks[i] )";
  EXPECT_EQ(count("SELECT count(*)" + pairs + "<> ranks[j]"), 6399);
  EXPECT_EQ(count("SELECT count(*)" + pairs + "= ranks[j]"), 831);
  // The best image is the only one of rank 1, where there is one.
  EXPECT_EQ(
      count("SELECT count(*) FROM rankings WHERE (best_image_uid IS NULL) <> (len(list_filter(ranks, x -> x = 1)) "
            "<> 1)"),
      0);
  EXPECT_EQ(count("SELECT count(*) FROM rankings WHERE best_image_uid IS NOT NULL AND "
                  "ranks[list_position(image_uids, best_image_uid)] <> 1"),
            0);
  EXPECT_EQ(import("imagereward", {file}).added_rankings, 0);
}

TEST_F(FormatsTest, ImageRewardDbPerImageGroupAndPair) {
  const std::string rows =
      "SELECT * FROM (VALUES ('img/b.webp', 'p-1', 'a hill', 2, 5, 4, 6), ('img/a.webp', 'p-1', 'a hill', 1, 7, 7, 7), "
      "('img/c.webp', 'p-1', 'a hill', 2, 4, 4, NULL)) t(image_path, prompt_id, prompt, rank, overall_rating, "
      "image_text_alignment_rating, fidelity_rating)";
  const ImportCounts counts = import("imagerewarddb", {write("metadata-train.parquet", rows)});
  EXPECT_EQ(counts.rankings, 1);
  EXPECT_EQ(counts.images, 3);
  EXPECT_EQ(counts.ratings, 8);
  EXPECT_EQ(counts.skipped, Skipped({{"bad_score", 1}}));
  const auto ranking = workspace_.load_rankings().at(0);
  EXPECT_EQ(ranking.ranking_id, "p-1");
  EXPECT_EQ(ranking.official_split, "train");
  EXPECT_EQ(ranking.ranks, std::vector<std::int32_t>({1, 2, 2}));
  EXPECT_EQ(ranking.best_image_uid, ranking.image_uids[0]);
  EXPECT_EQ(count(fmt::format("SELECT count(*) FROM ratings WHERE image_uid = '{}' AND aspect = 'image_text_alignment' "
                              "AND score = 7 AND prompt = 'a hill'",
                              ranking.image_uids[0])),
            1);
  const auto again = text("train_1.json", R"([{"image_path": "img/b.webp", "prompt_id": "p-1", "prompt": "a hill",
    "rank": 2, "overall_rating": 5, "image_text_alignment_rating": 4, "fidelity_rating": 6},
    {"image_path": "img/a.webp", "prompt_id": "p-1", "prompt": "a hill", "rank": 1}])");
  ImportCounts same = import("imagerewarddb", {again});
  EXPECT_EQ(same.added_ratings, 0);
  EXPECT_EQ(same.skipped["ranking_id_used_twice"], 1);  // it has two of the three images
  const ImportCounts pair =
      import("imagerewarddb", {write("pair.parquet",
                                     "SELECT 'p-2' AS prompt_id, 'x' AS prompt, 'img/d.webp' AS img_better, "
                                     "'img/e.webp' AS img_worse")});
  EXPECT_EQ(pair.added_rankings, 1);
  const ImportCounts group =
      import("imagerewarddb", {write("group.parquet",
                                     "SELECT 'p-3' AS prompt_id, 'y' AS prompt, ['img/f.webp', 'img/g.webp'] "
                                     "AS image_path, [2, 1] AS rank, [3, 4] AS overall_rating")});
  EXPECT_EQ(group.added_rankings, 1);
  EXPECT_EQ(group.added_ratings, 2);
}

TEST_F(FormatsTest, ImageRewardDbWritesEmbeddedImages) {
  test::write_text(folder_ / "a.bin", images::encode_png({1, 1, {1, 2, 3}}));
  const std::string row =
      "SELECT {{'bytes': content, 'path': '{0}.webp'}} AS image, 'p' AS prompt_id, 'q' AS prompt, {1} "
      "AS rank FROM read_blob('{2}')";
  const std::string blob = (folder_ / "a.bin").string();
  import("imagerewarddb", {write("i.parquet", fmt::format(fmt::runtime(row), "a", 1, blob) + " UNION ALL " +
                                                  fmt::format(fmt::runtime(row), "b", 2, blob))});
  EXPECT_EQ(count("SELECT count(*) FROM images WHERE status = 'ok' AND path LIKE 'images/%.png'"), 2);
}

TEST_F(FormatsTest, UrlsOneALineOrATable) {
  const auto lines = text("u.txt", "# mine\nhttps://x/a.png\r\n\nhttps://x/b.png?c=1,2\ta \"red\" fox\nnot a url\n");
  const ImportCounts counts = import("urls", {lines});
  EXPECT_EQ(counts.images, 2);
  EXPECT_EQ(counts.rankings, 0);
  EXPECT_EQ(counts.skipped, Skipped({{"bad_url", 1}}));
  EXPECT_EQ(texts("SELECT prompt FROM images WHERE url = 'https://x/b.png?c=1,2'"),
            std::vector<std::string>({"a \"red\" fox"}));
  const auto table = text("u.csv", "TEXT,URL,width\n\"a, b\",https://x/a.png,3\nc,https://x/d.png,4\n");
  const ImportCounts more = import("urls", {table});
  EXPECT_EQ(more.added_images, 1);
  EXPECT_EQ(more.ignored_columns, std::vector<std::string>({"width"}));
  EXPECT_EQ(import("urls", {write("u.parquet", "SELECT 'https://x/e.png' AS url")}).added_images, 1);
}

TEST_F(FormatsTest, SeveralFilesAndPatterns) {
  for (int i = 0; i < 3; ++i) write(fmt::format("part-{}.parquet", i), fmt::format("SELECT 'http://x/{}' AS url", i));
  EXPECT_EQ(import("urls", {folder_ / "part-*.parquet", folder_ / "part-1.parquet"}).images, 3);
  EXPECT_THROW(import("urls", {folder_ / "none-*.parquet"}), Error);
}

TEST_F(FormatsTest, FormatsAreListed) {
  EXPECT_THROW(static_cast<void>(format_of("laion")), Error);
  for (const Format& format : formats()) EXPECT_EQ(format_of(format.name).name, format.name);
}

}  // namespace
}  // namespace imagerank::preferences
