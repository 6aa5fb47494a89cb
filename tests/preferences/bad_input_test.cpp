#include <fmt/format.h>

#include "preferences/import_world.h"

namespace imagerank::preferences {
namespace {

class BadInputTest : public ImportWorld {
 protected:
  void SetUp() override {
    good_ = write("good.parquet", ranking("1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'cat'"));
    import("pickapic-v0", {good_});
  }
  static std::string ranking(const std::string& values) {
    return "SELECT * FROM (VALUES (" + values +
           ")) t(ranking_id, created_at, user_id, image_1_uid, image_2_uid, image_3_uid, image_4_uid, best_image_uid, "
           "prompt)";
  }
  /// Refused after a good file too.
  void refused(const std::filesystem::path& file, const std::vector<std::string>& parts,
               const std::string& format = "pickapic-v0") {
    const auto first = format == "pickapic-v0" ? std::vector{good_, file} : std::vector{file};
    expect_refused(format, first, ErrorCode::kCorruptData, parts);
  }

  std::filesystem::path good_;
};

TEST_F(BadInputTest, ParquetCutEmptyOrNone) {
  const std::string bytes = load_file(good_);
  for (const std::size_t size : {bytes.size() - 1, bytes.size() / 2, std::size_t{12}, std::size_t{4}})
    refused(text("cut.parquet", bytes.substr(0, size)), {"expected a Parquet file"});
  refused(text("empty.parquet", ""), {"found an empty one"});
  refused(text("text.parquet", "a,b\n1,2\n"), {"expected a Parquet file"});
  refused(text("zip.csv", "\x1f\x8b\x08 and so on"), {"compressed"});
  // Bytes in the middle lost: the footer is whole, the pages are not.
  std::string holes = bytes;
  std::fill(holes.begin() + 4, holes.begin() + 200, '\0');
  refused(text("holes.parquet", holes), {});
}

TEST_F(BadInputTest, ColumnsMissingOrOfOtherTypes) {
  refused(write("m.parquet", "SELECT 1 AS ranking_id, 'a' AS image_1_uid, 'a' AS best_image_uid, 'p' AS prompt"),
          {"expected a column 'image_2_uid'"});
  refused(write("t.parquet", ranking("1, NULL, 9, [1, 2], 'b', 'c', 'd', 'b', 'cat'")),
          {"'image_1_uid'", "expected text, found INTEGER[]"});
  refused(write("t.parquet", ranking("1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 2.5::DOUBLE")),
          {"'prompt'", "expected text, found DOUBLE"});
  refused(write("t.parquet", "SELECT 'p' AS prompt_id, 'q' AS prompt, 'a' AS image_path, {'x': 1} AS rank"),
          {"'rank'", "expected numbers, found STRUCT"}, "imagerewarddb");
  refused(write("t.parquet", "SELECT 'i' AS id, 'q' AS prompt, 'a' AS generations, [1] AS ranking"),
          {"'generations'", "expected lists, found VARCHAR"}, "imagereward");
  refused(write("t.parquet",
                "SELECT 1 AS ranking_id, 'p' AS caption, 'a' AS image_0_uid, 'b' AS image_1_uid, 1.0 AS "
                "label_0, 0.0 AS label_1, 'text' AS jpg_0"),
          {"'jpg_0'", "expected bytes"}, "pickapic");
}

TEST_F(BadInputTest, TwoFilesOfDifferentKinds) {
  // Each file is read by its own columns: rankings and images go together, foreign tables do not.
  refused(write("foreign.parquet", "SELECT 1 AS x, 2 AS y"), {"found columns x, y"});
  refused(write("v1.parquet",
                "SELECT 1 AS ranking_id, 'p' AS caption, 'a' AS image_0_uid, 'b' AS image_1_uid, 1.0 AS "
                "label_0, 0.0 AS label_1"),
          {"rankings: expected a column 'image_2_uid'"});
  // Another type for the same column is no other schema: ids of texts and of integers are the same ids.
  const ImportCounts counts =
      import("pickapic-v0", {good_, write("s.parquet", ranking("'1', NULL, '9', 'a', 'b', 'c', 'd', 'b', 'cat'"))});
  EXPECT_EQ(counts.rankings, 1);
  EXPECT_TRUE(counts.skipped.empty());
}

TEST_F(BadInputTest, TextThatIsNoUtf8) {
  std::string bytes = load_file(write("u.parquet", ranking("1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'QQQQ'")));
  // The prompt in pages and statistics; compression would hide it.
  workspace::Database().execute(fmt::format("COPY ({}) TO '{}' (FORMAT parquet, COMPRESSION uncompressed)",
                                            ranking("1, NULL, 9, 'a', 'b', 'c', 'd', 'b', 'QQQQ'"),
                                            (folder_ / "u.parquet").string()));
  bytes = load_file(folder_ / "u.parquet");
  ASSERT_NE(bytes.find("QQQQ"), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find("QQQQ", at)) != std::string::npos; ++at)
    bytes.replace(at, 4, "\xff\xfe\xfd\xfc");
  refused(text("u.parquet", bytes), {});
  std::string header =
      "ranking_id,created_at,user_id,image_1_uid,image_2_uid,image_3_uid,image_4_uid,best_image_uid,prompt\n";
  refused(text("u.csv", header + "1,,9,a,b,c,d,b,\xff\xfe\n"), {"u.csv"});
  refused(text("u.json", "[{\"prompt\": \"\xff\xfe\", \"file_path\": [\"a\", \"b\"], \"human_preference\": [1, 0]}]"),
          {"record 1: expected UTF-8"}, "hpdv2");
}

TEST_F(BadInputTest, CsvThatIsNoTable) {
  const std::string header =
      "ranking_id,created_at,user_id,image_1_uid,image_2_uid,image_3_uid,image_4_uid,best_image_uid,prompt\n";
  refused(text("short.csv", header + "1,,9,a,b,c,d,b,x\n2,,9,a\n"),
          {"Line: 3", "Expected Number of Columns: 9 Found: 4"});
  refused(text("long.csv", header + "1,,9,a,b,c,d,b,x,y,z\n"), {"Line: 2"});
  refused(text("open.csv", header + "1,,9,a,b,c,d,b,\"no end\n"), {"Line: 2", "unterminated quote"});
  refused(text("ends.csv", header + "1,,9,a,b,c,d,b,x\r\n2,,9,a,b,c,d,b,x\n"), {"line ends of two kinds"});
  refused(text("nul.csv", std::string("a\0b,c\n1,2\n", 10)), {"other bytes"});
}

TEST_F(BadInputTest, FootersThatLieAboutTheirRows) {
  // 2000 rows: the count is the two bytes a0 1f wherever the footer says it.
  const auto file = folder_ / "many.parquet";
  workspace::Database().execute(fmt::format(
      "COPY (SELECT 'http://x/' || range AS url FROM range(2000)) TO '{}' (FORMAT parquet, COMPRESSION uncompressed)",
      file.string()));
  const std::string bytes = load_file(file);
  std::uint32_t footer = 0;
  std::copy_n(bytes.end() - 8, 4, reinterpret_cast<char*>(&footer));
  const std::size_t start = bytes.size() - 8 - footer;
  std::vector<std::size_t> places;
  for (std::size_t at = start; (at = bytes.find("\xa0\x1f", at)) != std::string::npos; ++at) places.push_back(at);
  ASSERT_GE(places.size(), 3U);  // the file's, the row group's, the column's
  for (const char* lie : {"\xa2\x1f", "\x9e\x1f", "\xa0\x7f", "\xa1\x1f"}) {
    for (const std::size_t place : places) {
      std::string lying = bytes;
      lying.replace(place, 2, lie);
      SCOPED_TRACE(fmt::format("{} {} of {}", place - start, static_cast<int>(lie[1]), places.size()));
      refused(text("lying.parquet", lying), {}, "urls");
    }
    // All together say the same, but not what the pages hold.
    std::string lying = bytes;
    for (const std::size_t place : places) lying.replace(place, 2, lie);
    SCOPED_TRACE("all");
    if (std::string(lie) != "\x9e\x1f") refused(text("lying.parquet", lying), {}, "urls");
  }
}

TEST_F(BadInputTest, JsonThatIsDeepOrBroken) {
  const auto broken = [&](const std::string& content, const std::vector<std::string>& parts) {
    SCOPED_TRACE(content.substr(0, 40));
    refused(text("j.json", content), parts, "imagereward");
    refused(text("j.json", content), parts, "hpdv2");
  };
  const std::string deep(100'000, '[');
  broken(deep, {"record 1", "expected an object, found '['"});
  broken("[{\"prompt\": " + deep + "1" + std::string(100'000, ']') + "}]",
         {"record 1: expected JSON nested up to 64 deep"});
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  broken(objects, {"nested up to 64 deep"});
  broken("", {"empty"});
  broken("[", {"expected ']'"});
  broken("[{]", {"record 1"});
  refused(text("j.json", "[{\"id\": 1} {\"id\": 2}]"), {"record 1: expected ',' or ']'"}, "imagereward");
  broken("[{\"id\": 1e999}]", {"record 1"});
  broken("[1, 2]", {"record 1: expected an object, found '1'"});
  refused(text("j.json", R"([{"id": "1", "prompt": "p", "generations": "a", "ranking": [1]}])"),
          {"record 1: 'generations': expected a list of texts or numbers, found string"}, "imagereward");
  refused(text("j.json", R"([{"id": "1", "prompt": {"a": 1}, "generations": ["a", "b"], "ranking": [1, 2]}])"),
          {"record 1: 'prompt': expected a text or number, found object"}, "imagereward");
  refused(text("j.json", R"([{"prompt": "p", "file_path": [1, 2], "human_preference": [1, 0]}])"),
          {"record 1: 'file_path': expected a list of texts, found number"}, "hpdv2");
  refused(text("j.json", R"([{"prompt": "p"}])"), {"record 1: expected human_preference"}, "hpdv2");
  refused(text("j.json", R"([{"id": "1", "prompt": "p"}])"), {"expected a column 'generations'"}, "imagereward");
}

TEST_F(BadInputTest, RowsThatContradictThemselves) {
  const auto file = text("r.json", R"([
    {"id": "good", "prompt": "p", "generations": ["x/a.webp", "x/b.webp"], "ranking": [1, 2]},
    {"id": "short", "prompt": "p", "generations": ["x/a.webp", "x/b.webp"], "ranking": [1]},
    {"id": "none", "prompt": "p", "generations": ["x/a.webp", "x/b.webp"], "ranking": [1, null]},
    {"id": "word", "prompt": "p", "generations": ["x/a.webp", "x/b.webp"], "ranking": ["one", "two"]},
    {"id": "climbs", "prompt": "p", "generations": ["x/a.webp", "../../etc/b.webp"], "ranking": [1, 2]},
    {"id": "nul", "prompt": "p", "generations": ["x/a.webp", "x/\u0000b.webp"], "ranking": [1, 2]},
    {"id": "root", "prompt": "p", "generations": ["x/a.webp", "/etc/b.webp"], "ranking": [1, 2]},
    {"id": "one", "prompt": "p", "generations": ["x/a.webp"], "ranking": [1]},
    {"id": "good", "prompt": "p", "generations": ["x/a.webp", "x/b.webp"], "ranking": [2, 1]}])");
  const ImportCounts counts = import("imagereward", {file});
  EXPECT_EQ(counts.added_rankings, 1);
  EXPECT_EQ(counts.skipped, Skipped({{"fewer_than_two_images", 1},
                                     {"ranking_id_used_twice", 1},
                                     {"ranks_do_not_match", 3},
                                     {"unsafe_uid", 6}}));  // three rankings, and their three images
  EXPECT_EQ(texts("SELECT ranking_id FROM rankings WHERE dataset = 'imagereward' AND best_image_uid = image_uids[1]"),
            std::vector<std::string>({"good"}));
}

TEST_F(BadInputTest, UidsThatAreNoFileNames) {
  const std::string long_name(201, 'u');
  const auto file =
      write("u.parquet", fmt::format("SELECT * FROM (VALUES ('../a'), ('a' || chr(0)), ('a/b'), ('{}'), ('.'), "
                                     "(''), ('a b'), ('{}')) t(image_uid), (SELECT 'http://x' AS url)",
                                     long_name, long_name.substr(1)));
  const ImportCounts counts = import("pickapic-v0", {file});
  EXPECT_EQ(counts.added_images, 1);
  EXPECT_EQ(counts.skipped, Skipped({{"no_image_uid", 1}, {"unsafe_uid", 6}}));
}

TEST_F(BadInputTest, AnotherAnswerInAnotherImportIsSaid) {
  const auto other = write("o.parquet", ranking("1, NULL, 9, 'a', 'b', 'c', 'd', 'c', 'cat'"));
  const ImportCounts counts = import("pickapic-v0", {other});
  EXPECT_EQ(counts.added_rankings, 0);
  EXPECT_EQ(counts.skipped, Skipped({{"ranking_id_used_twice", 1}}));
  EXPECT_EQ(workspace_.load_rankings().at(0).best_image_uid, "b");
  // Within one import the first file's answer is kept.
  const auto second = workspace::Workspace::create(folder_ / "w2");
  EXPECT_EQ(import_files(second, format_of("pickapic-v0"), {other, good_}, {}, {}).skipped,
            Skipped({{"ranking_id_used_twice", 1}}));
  EXPECT_EQ(second.load_rankings().at(0).best_image_uid, "c");
}

TEST_F(BadInputTest, FilesThatAreNoFiles) {
  expect_refused("pickapic-v0", {folder_ / "none.parquet"}, ErrorCode::kNotFound, {"found nothing"});
  std::filesystem::create_directory(folder_ / "folder");
  expect_refused("pickapic-v0", {folder_ / "folder"}, ErrorCode::kInvalidArgument, {"found a folder"});
  expect_refused("pickapic-v0", {text("j.json", "[]")}, ErrorCode::kCorruptData, {"found JSON"});
}

}  // namespace
}  // namespace imagerank::preferences
