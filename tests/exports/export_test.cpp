#include "exports/export.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/atomic_file.h"
#include "core/half.h"
#include "core/npy.h"
#include "core/tar.h"
#include "exports/rows.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::exports {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using workspace::Workspace;

/// The files of a tar archive, every header's checksum and magic checked.
std::vector<std::pair<std::string, std::string>> read_tar(const std::filesystem::path& path) {
  const std::string bytes = load_file(path);
  EXPECT_EQ(bytes.size() % 512, 0U);
  std::vector<std::pair<std::string, std::string>> files;
  std::size_t at = 0;
  while (at + 512 <= bytes.size() && bytes[at] != '\0') {
    const std::string header = bytes.substr(at, 512);
    EXPECT_EQ(header.substr(257, 8), std::string("ustar\00000", 8));
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
    EXPECT_EQ(std::stoul(header.substr(148, 6), nullptr, 8), sum);
    const std::size_t size = std::stoul(header.substr(124, 11), nullptr, 8);
    files.emplace_back(header.c_str(), bytes.substr(at + 512, size));
    at += 512 + (size + 511) / 512 * 512;
  }
  EXPECT_EQ(bytes.size() - at, 1024U);
  return files;
}

/// Four images: a and b with files, c with a path that leads nowhere, d not fetched.
class ExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_text(folder_ / "w/images/a.png", "bytes of a");
    test::write_text(folder_ / "w/images/b.JPEG", std::string(600, 'b'));
    database_.write_parquet(
        "SELECT * FROM (VALUES ('a', 'http://x/a', 'images/a.png', '', '', 64::INTEGER, 32::INTEGER, '', 'ok'), "
        "('b', '', 'images/b.JPEG', '', '', 8, 8, '', 'ok'), ('c', '', 'images/c.png', '', '', 0, 0, '', 'ok'), "
        "('d', 'http://x/d', '', '', '', 0, 0, '', '')) "
        "t(image_uid, url, path, model, prompt, width, height, sha256, status)",
        workspace_.table_path("images"));
    database_.write_parquet(
        "SELECT * FROM (VALUES ('b', 'a \"cat\", sitting', 2::INTEGER, 'train'), ('a', 'dog', 0, 'test'), ('c', 'dog', "
        "1, 'train')) t(image_uid, prompt, label, split)",
        workspace_.table_path("points"));
    database_.write_parquet(
        "SELECT * FROM (VALUES ('r1', 'u', 'cat', 'a', 'b', 1.0::DOUBLE, 1.0::DOUBLE, 'train'), "
        "('r2', 'u', 'dog', 'a', 'b', 0.25, 2.0, 'test'), ('r3', 'u', 'cow', 'a', 'b', 0.5, 1.0, 'train'), "
        "('r4', 'u', 'hen', 'c', 'a', 1.0, 1.0, 'train'), ('r5', 'u', 'fox', 'd', 'c', 0.5, 1.0, 'train')) "
        "t(ranking_id, user_id, prompt, image_a, image_b, p_a, weight, split)",
        workspace_.table_path("pairs"));
    workspace::Ranking ranking;
    ranking.ranking_id = "r1";
    ranking.dataset = "test";
    ranking.official_split = "train";
    ranking.prompt = "cat";
    ranking.image_uids = {"b", "a"};
    ranking.best_image_uid = "b";
    workspace::Ranking tie = ranking;
    tie.ranking_id = "r2";
    tie.image_uids = {"a", "d"};
    tie.best_image_uid.reset();
    tie.ranks = {1, 1};
    workspace_.write_rankings({ranking, tie});
  }

  ExportSettings of(const std::string& table) {
    ExportSettings settings;
    settings.table = table;
    return settings;
  }
  [[nodiscard]] std::filesystem::path out(const std::string& name) const { return folder_ / name; }
  std::vector<nlohmann::json> lines(const std::string& name) {
    std::vector<nlohmann::json> objects;
    std::istringstream text(load_file(out(name)));
    for (std::string line; std::getline(text, line);) objects.push_back(nlohmann::json::parse(line));
    return objects;
  }
  std::string absolute(const std::string& path) { return (folder_ / "w" / path).string(); }
  /// What stands in the folder beside the workspace.
  std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    return found;
  }
  template <typename Action>
  void expect_error(ErrorCode code, const std::string& part, Action action) {
    try {
      action();
      ADD_FAILURE() << "expected an error with " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  }
  void write_vectors(const std::string& side, const std::vector<std::string>& keys, const std::vector<float>& values) {
    const auto folder = workspace_.embeddings_dir("tiny");
    std::vector<std::uint16_t> half;
    half.reserve(values.size());
    for (const float value : values) half.push_back(half_from_float(value));
    std::filesystem::create_directories(folder);
    write_npy_half(folder / (side + ".npy"), half, std::array{values.size() / 2, std::size_t{2}});
    std::string rows;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      rows += fmt::format("{}({}::INTEGER, {}, '')", i == 0 ? "" : ", ", i, workspace::sql_literal(keys[i]));
    }
    database_.write_parquet(fmt::format("SELECT * FROM (VALUES {}) t(row, key, content)", rows),
                            folder / (side + ".parquet"));
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_ / "w");
  workspace::Database database_{1};
};

TEST_F(ExportTest, PointsAsTheSeedsCsv) {
  const ExportCounts counts = export_csv(workspace_, of("points"), out("p.csv"), {});
  EXPECT_EQ(counts.rows, 3);
  EXPECT_EQ(load_file(out("p.csv")), "image_uid,prompt,label\nb,\"a \"\"cat\"\", sitting\",2\na,dog,0\nc,dog,1\n");
  ExportSettings train = of("points");
  train.split = "train";
  EXPECT_EQ(export_csv(workspace_, train, out("p.csv"), {}).rows, 2);
}

TEST_F(ExportTest, ListsInCsvAreJson) {
  auto rankings = workspace_.load_rankings();
  rankings[0].image_uids = {"quote\"", "back\\slash", "comma, and\nline"};
  workspace_.write_rankings({rankings[0], rankings[1]});
  export_csv(workspace_, of("rankings"), out("r.csv"), {});
  const auto table = database_.query(
      fmt::format("SELECT image_uids, best_image_uid, ranks FROM read_csv({}, all_varchar = true, header = true)",
                  workspace::sql_literal(out("r.csv").string())));
  ASSERT_EQ(table.row_count, 2U);
  EXPECT_EQ(nlohmann::json::parse(table.columns[0].text[0]),
            nlohmann::json({"quote\"", "back\\slash", "comma, and\nline"}));
  EXPECT_EQ(nlohmann::json::parse(table.columns[0].text[1]), nlohmann::json({"a", "d"}));
  EXPECT_TRUE(table.columns[1].null[1]);
  EXPECT_EQ(table.columns[2].text[1], "[1, 1]");
}

TEST_F(ExportTest, AnyTableAsParquet) {
  for (const char* const name : {"rankings", "images", "points", "pairs"}) {
    const ExportCounts counts = export_parquet(workspace_, of(name), out("t.parquet"), {});
    const auto same = database_.query_integer(
        fmt::format("SELECT count(*) FROM (SELECT * FROM read_parquet({}) EXCEPT ALL SELECT * FROM read_parquet({}))",
                    workspace::sql_literal(workspace_.table_path(name).string()),
                    workspace::sql_literal(out("t.parquet").string())));
    EXPECT_EQ(same, 0) << name;
    EXPECT_GT(counts.rows, 0) << name;
  }
}

TEST_F(ExportTest, PairsForDpo) {
  const ExportCounts counts = export_dpo(workspace_, of("pairs"), {}, out("d.jsonl"), {});
  EXPECT_EQ(counts.rows, 2);
  const std::map<std::string, std::int64_t> skipped = {{"missing_image", 1}, {"tie", 2}};
  EXPECT_EQ(counts.skipped, skipped);
  const auto rows = lines("d.jsonl");
  ASSERT_THAT(rows, SizeIs(2));
  const nlohmann::json first = {{"prompt", "cat"},
                                {"chosen", absolute("images/a.png")},
                                {"rejected", absolute("images/b.JPEG")},
                                {"chosen_uid", "a"},
                                {"rejected_uid", "b"},
                                {"p", 1.0},
                                {"weight", 1.0},
                                {"split", "train"},
                                {"ranking_id", "r1"}};
  EXPECT_EQ(rows[0], first);
  EXPECT_EQ(rows[1]["chosen_uid"], "b");  // p_a 0.25: b is preferred, at 0.75
  EXPECT_EQ(rows[1]["chosen"], absolute("images/b.JPEG"));
  EXPECT_EQ(rows[1]["p"], 0.75);
  EXPECT_EQ(rows[1]["weight"], 2.0);
}

TEST_F(ExportTest, TextsOfPairsAreEscaped) {
  const std::string prompt = "a \"caf\xc3\xa9\", back\\slash\nnew line";
  database_.write_parquet(fmt::format("SELECT 'r' AS ranking_id, 'u' AS user_id, {} AS prompt, 'a' AS image_a, 'b' AS "
                                      "image_b, 0.1::DOUBLE AS p_a, 1.0::DOUBLE AS weight, 'train' AS split",
                                      workspace::sql_literal(prompt)),
                          workspace_.table_path("pairs"));
  export_dpo(workspace_, of("pairs"), {}, out("d.jsonl"), {});
  const auto rows = lines("d.jsonl");
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0]["prompt"], prompt);
  EXPECT_EQ(rows[0]["p"], 0.9);
}

TEST_F(ExportTest, PairsWithoutFilesAreKeptOnRequest) {
  ExportSettings settings = of("pairs");
  settings.allow_missing = true;
  const ExportCounts counts = export_dpo(workspace_, settings, {}, out("d.jsonl"), {});
  EXPECT_EQ(counts.rows, 3);
  const std::map<std::string, std::int64_t> skipped = {{"tie", 2}};
  EXPECT_EQ(counts.skipped, skipped);
  EXPECT_TRUE(lines("d.jsonl")[2]["chosen"].is_null());
  EXPECT_EQ(lines("d.jsonl")[2]["chosen_uid"], "c");
}

TEST_F(ExportTest, WhatLeavesNothingWritesNothing) {
  std::filesystem::remove_all(folder_ / "w/images");
  expect_error(ErrorCode::kNotFound, "missing_image: 3",
               [&] { export_dpo(workspace_, of("pairs"), {}, out("d.jsonl"), {}); });
  expect_error(ErrorCode::kNotFound, "missing_image: 3",
               [&] { export_webdataset(workspace_, of("points"), out("shards"), {}); });
  ExportSettings other = of("points");
  other.split = "validation";
  expect_error(ErrorCode::kNotFound, "'validation'", [&] { export_csv(workspace_, other, out("p.csv"), {}); });
  EXPECT_THAT(names(), ElementsAre("w"));
}

TEST_F(ExportTest, PointsAsWebDataset) {
  const ExportCounts counts = export_webdataset(workspace_, of("points"), out("shards"), {});
  EXPECT_EQ(counts.rows, 2);
  EXPECT_EQ(counts.files, 1);
  const std::map<std::string, std::int64_t> skipped = {{"missing_image", 1}};
  EXPECT_EQ(counts.skipped, skipped);
  const auto files = read_tar(out("shards") / "00000.tar");
  ASSERT_THAT(files, SizeIs(6));
  EXPECT_EQ(files[0], std::pair(std::string("000000000.jpg"), std::string(600, 'b')));
  EXPECT_EQ(files[1], std::pair(std::string("000000000.txt"), std::string("a \"cat\", sitting")));
  EXPECT_EQ(files[2].first, "000000000.json");
  const nlohmann::json row = {{"image_uid", "b"}, {"prompt", "a \"cat\", sitting"}, {"label", 2}, {"split", "train"}};
  EXPECT_EQ(nlohmann::json::parse(files[2].second), row);
  EXPECT_EQ(files[3], std::pair(std::string("000000001.png"), std::string("bytes of a")));
}

TEST_F(ExportTest, RankingsAsWebDataset) {
  ExportSettings settings = of("rankings");
  settings.allow_missing = true;
  settings.shard_size = 1;
  const ExportCounts counts = export_webdataset(workspace_, settings, out("shards"), {});
  EXPECT_EQ(counts.rows, 2);
  EXPECT_EQ(counts.files, 2);
  const auto first = read_tar(out("shards") / "00000.tar");
  ASSERT_THAT(first, SizeIs(4));
  EXPECT_EQ(first[0].first, "000000000.0.jpg");
  EXPECT_EQ(first[1], std::pair(std::string("000000000.1.png"), std::string("bytes of a")));
  EXPECT_EQ(nlohmann::json::parse(first[3].second)["best_image_uid"], "b");
  const auto second = read_tar(out("shards") / "00001.tar");
  ASSERT_THAT(second, SizeIs(3));
  EXPECT_EQ(second[0].first, "000000001.0.png");
  const auto row = nlohmann::json::parse(second[2].second);
  EXPECT_TRUE(row["best_image_uid"].is_null());
  EXPECT_EQ(row["ranks"], nlohmann::json({1, 1}));
  EXPECT_EQ(row["image_uids"], nlohmann::json({"a", "d"}));
  settings.allow_missing = false;
  EXPECT_EQ(export_webdataset(workspace_, settings, out("strict"), {}).skipped["missing_image"], 1);
}

TEST_F(ExportTest, ImagesInShardsAreReadWhereTheyLie) {
  const std::filesystem::path shard = folder_ / "w/images/shards/00000.tar";
  TarWriter tar(shard);
  const std::string bytes(600, 'b');
  tar.add("a.json", "{}");
  const TarMember member{"b.jpg", tar.add("b.jpg", bytes), bytes.size()};
  tar.finish();
  std::filesystem::remove(folder_ / "w/images/b.JPEG");
  auto images = workspace_.load_images();
  images[1].path = tar_part_path("images/shards/00000.tar", member, ".jpg");
  images[2].path = tar_part_path("images/shards/00000.tar", {"c.jpg", 512, 1 << 20}, ".jpg");  // beyond the end
  workspace_.write_images(images);
  const ExportCounts counts = export_webdataset(workspace_, of("points"), out("shards"), {});
  EXPECT_EQ(counts.rows, 2);
  EXPECT_EQ(counts.skipped, (std::map<std::string, std::int64_t>{{"missing_image", 1}}));
  EXPECT_EQ(read_tar(out("shards") / "00000.tar")[0], std::pair(std::string("000000000.jpg"), bytes));
  EXPECT_EQ(counts.in_shards, 0) << "copied";
  const ExportCounts pairs = export_dpo(workspace_, of("pairs"), {}, out("d.jsonl"), {});
  EXPECT_EQ(load_file(lines("d.jsonl")[0]["rejected"].get<std::string>()), bytes);
  const auto in_shard = [](const nlohmann::json& pair) {
    return pair["chosen_uid"] == "b" || pair["rejected_uid"] == "b";
  };
  EXPECT_EQ(pairs.in_shards, std::ranges::count_if(lines("d.jsonl"), in_shard));
  EXPECT_GT(pairs.in_shards, 0);
  write_vectors("image", {"a", "b"}, {3.0F, 4.0F, 0.0F, 2.0F});
  write_vectors("text", {"dog", "a \"cat\", sitting"}, {1.0F, 0.0F, 0.0F, -5.0F});
  EXPECT_EQ(export_clip_retrieval(workspace_, "tiny", of("points"), out("clip"), {}).in_shards, 1);
}

TEST_F(ExportTest, TheSameDataGivesTheSameBytes) {
  export_webdataset(workspace_, of("points"), out("one"), {});
  export_webdataset(workspace_, of("points"), out("two"), {});
  EXPECT_EQ(load_file(out("one") / "00000.tar"), load_file(out("two") / "00000.tar"));
}

TEST_F(ExportTest, AFolderThatIsThereIsReplacedOnRequestOnly) {
  test::write_text(out("shards") / "mine.txt", "keep");
  expect_error(ErrorCode::kInvalidArgument, "--overwrite",
               [&] { export_webdataset(workspace_, of("points"), out("shards"), {}); });
  EXPECT_EQ(load_file(out("shards") / "mine.txt"), "keep");
  ExportSettings settings = of("points");
  settings.overwrite = true;
  export_webdataset(workspace_, settings, out("shards"), {});
  EXPECT_FALSE(std::filesystem::exists(out("shards") / "mine.txt"));
  EXPECT_TRUE(std::filesystem::exists(out("shards") / "00000.tar"));
  EXPECT_THAT(names(), ElementsAre("shards", "w"));
}

TEST_F(ExportTest, AStopLeavesNothingBehind) {
  std::stop_source source;
  RunContext context;
  context.stop = source.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.stage == "export") source.request_stop();
  };
  expect_error(ErrorCode::kCancelled, "stopped",
               [&] { export_webdataset(workspace_, of("points"), out("shards"), context); });
  EXPECT_THAT(names(), ElementsAre("w"));
}

TEST_F(ExportTest, VectorsForClipRetrieval) {
  write_vectors("image", {"a", "b"}, {3.0F, 4.0F, 0.0F, 2.0F});
  write_vectors("text", {"dog", "a \"cat\", sitting", "unused"}, {1.0F, 0.0F, 0.0F, -5.0F, 7.0F, 7.0F});
  const ExportCounts counts = export_clip_retrieval(workspace_, "tiny", of("points"), out("clip"), {});
  EXPECT_EQ(counts.rows, 2);
  const std::map<std::string, std::int64_t> skipped = {{"no_image_vector", 1}};
  EXPECT_EQ(counts.skipped, skipped);
  const NpyFile images(out("clip") / "img_emb/img_emb_0.npy");
  EXPECT_EQ(images.type(), NpyType::kFloat16);
  EXPECT_THAT(images.shape(), ElementsAre(2U, 2U));
  const auto values = images.to_float();  // b first, as in the table
  EXPECT_EQ(values[0], 0.0F);
  EXPECT_EQ(values[1], 1.0F);
  EXPECT_NEAR(values[2], 0.6F, 1e-3);
  EXPECT_NEAR(values[3], 0.8F, 1e-3);
  EXPECT_THAT(NpyFile(out("clip") / "text_emb/text_emb_0.npy").to_float(), ElementsAre(0.0F, -1.0F, 1.0F, 0.0F));
  const auto metadata = database_.query(
      fmt::format("SELECT image_path, caption, image_uid, url, width, height, split FROM read_parquet({})",
                  workspace::sql_literal((out("clip") / "metadata/metadata_0.parquet").string())));
  ASSERT_EQ(metadata.row_count, 2U);
  EXPECT_THAT(metadata.columns[0].text, ElementsAre(absolute("images/b.JPEG"), absolute("images/a.png")));
  EXPECT_THAT(metadata.columns[1].text, ElementsAre("a \"cat\", sitting", "dog"));
  EXPECT_THAT(metadata.columns[6].text, ElementsAre("train", "test"));
  EXPECT_EQ(export_clip_retrieval(workspace_, "tiny", of("points"), out("again"), {}).rows, 2);
  expect_error(ErrorCode::kNotFound, "no_text_vector: 2",
               [&] { export_clip_retrieval(workspace_, "tiny", of("rankings"), out("none"), {}); });
  EXPECT_FALSE(std::filesystem::exists(out("none")));
}

TEST_F(ExportTest, BrokenVectorsAreNamed) {
  expect_error(ErrorCode::kNotFound, "imagerank encode",
               [&] { export_clip_retrieval(workspace_, "tiny", of("points"), out("clip"), {}); });
  write_vectors("image", {"a", "b", "c"}, {3.0F, 4.0F});  // one row for three keys
  write_vectors("text", {"dog"}, {1.0F, 0.0F});
  expect_error(ErrorCode::kCorruptData, "image.npy",
               [&] { export_clip_retrieval(workspace_, "tiny", of("points"), out("clip"), {}); });
  EXPECT_THAT(names(), ElementsAre("w"));
}

TEST_F(ExportTest, TablesThatDoNotFitAreNamed) {
  expect_error(ErrorCode::kInvalidArgument, "'nonsense'",
               [&] { export_csv(workspace_, of("nonsense"), out("x"), {}); });
  expect_error(ErrorCode::kNotFound, "perturb", [&] { export_csv(workspace_, of("perturbed"), out("x"), {}); });
  expect_error(ErrorCode::kInvalidArgument, "pairs", [&] { export_dpo(workspace_, of("points"), {}, out("x"), {}); });
  expect_error(ErrorCode::kInvalidArgument, "points or rankings",
               [&] { export_webdataset(workspace_, of("pairs"), out("x"), {}); });
  ExportSettings split = of("images");
  split.split = "train";
  expect_error(ErrorCode::kInvalidArgument, "--split", [&] { export_csv(workspace_, split, out("x"), {}); });
  ExportSettings shards = of("points");
  shards.shard_size = 0;
  expect_error(ErrorCode::kInvalidArgument, "--shard-size",
               [&] { export_webdataset(workspace_, shards, out("x"), {}); });
  EXPECT_THAT(names(), ElementsAre("w"));
}

}  // namespace
}  // namespace imagerank::exports
