// What fine-tuning reads: weighted images, and pairs that a reward chose.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "exports/export.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::exports {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using workspace::Workspace;

/// Three images with files (a, b, c), one without (d); five points and three pairs.
class WeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a.png", "b.jpg", "c.png"}) {
      test::write_text(folder_ / (std::string("w/images/") + name), std::string("bytes of ") + name);
    }
    database_.write_parquet(
        "SELECT * FROM (VALUES ('a', 'images/a.png'), ('b', 'images/b.jpg'), ('c', 'images/c.png'), ('d', '')) "
        "t(image_uid, path) CROSS JOIN (SELECT '' AS url, '' AS model, '' AS prompt, 8::INTEGER AS width, 8::INTEGER "
        "AS height, '' AS sha256, 'ok' AS status)",
        workspace_.table_path("images"));
    database_.write_parquet(
        "SELECT * FROM (VALUES ('a', 'a \"cat\"', 2::INTEGER, 'train'), ('b', 'dog', 0, 'train'), ('c', 'dog', 1, "
        "'train'), ('a', 'dog', 1, 'train'), ('d', 'dog', 1, 'train')) t(image_uid, prompt, label, split)",
        workspace_.table_path("points"));
    database_.write_parquet(
        "SELECT * FROM (VALUES ('r1', 'u', 'dog', 'a', 'b', 1.0::DOUBLE, 1.0::DOUBLE, 'train'), "
        "('r2', 'u', 'dog', 'b', 'c', 0.75, 1.0, 'train'), ('r3', 'u', 'cow', 'a', 'b', 1.0, 1.0, 'train')) "
        "t(ranking_id, user_id, prompt, image_a, image_b, p_a, weight, split)",
        workspace_.table_path("pairs"));
  }
  static ExportSettings of(const std::string& table) {
    ExportSettings settings;
    settings.table = table;
    return settings;
  }
  std::vector<nlohmann::json> lines(const fs::path& path) {
    std::vector<nlohmann::json> objects;
    for (const std::string& line : test::lines_of(path)) objects.push_back(nlohmann::json::parse(line));
    return objects;
  }

  test::TemporaryFolder folder_;
  Workspace workspace_ = Workspace::create(folder_ / "w");
  workspace::Database database_{1};
  std::vector<ScoredPrompt> scores_ = {
      {"a", "a \"cat\"", 2.0}, {"b", "dog", -1.0}, {"c", "dog", 0.5}, {"d", "dog", 9.0}};
};

TEST_F(WeightsTest, WeightsAreTheirDefinitions) {
  WeightSettings settings;
  settings.reward = "mine";
  settings.beta = 2.0;
  settings.threshold = 0.5;
  const auto counts = export_weights(workspace_, of("points"), settings, scores_, folder_ / "out", {});
  EXPECT_EQ(counts.rows, 3);
  const std::map<std::string, std::int64_t> skipped = {{"missing_image", 1}, {"no_score", 1}};
  EXPECT_EQ(counts.skipped, skipped);
  const auto rows = lines(folder_ / "out/metadata.jsonl");
  ASSERT_EQ(rows.size(), 3U);
  const double z = (std::exp(4.0) + std::exp(-2.0) + std::exp(1.0)) / 3.0;
  double sum = 0.0;
  for (const auto& row : rows) {
    const double reward = row.at("reward");
    EXPECT_NEAR(row.at("weight_exp").get<double>(), std::exp(2.0 * reward) / z, 1e-12);
    EXPECT_EQ(row.at("weight_sparse").get<double>(), reward >= 0.5 ? 1.0 : 0.0);
    EXPECT_EQ(row.at("weight_mix").get<double>(), reward);
    EXPECT_EQ(row.at("source"), "model");
    sum += row.at("weight_exp").get<double>();
    // The file beside metadata.jsonl is the image.
    const fs::path file = folder_ / "out" / row.at("file_name").get<std::string>();
    EXPECT_TRUE(fs::is_symlink(file));
    EXPECT_THAT(load_file(file), HasSubstr("bytes of " + row.at("image_uid").get<std::string>()));
  }
  EXPECT_NEAR(sum, 3.0, 1e-12);
  // The same rows as Parquet, and kohya's captions.
  const auto table = database_.query(fmt::format("SELECT file_name, text, weight_exp FROM read_parquet('{}')",
                                                 (folder_ / "out/weights.parquet").string()));
  ASSERT_EQ(table.row_count, rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(table.columns[0].text[i], rows[i].at("file_name"));
    EXPECT_EQ(table.columns[1].text[i], rows[i].at("text"));
    EXPECT_EQ(table.columns[2].real[i], rows[i].at("weight_exp").get<double>());
  }
  const auto captions = nlohmann::json::parse(load_file(folder_ / "out/meta_cap.json"));
  EXPECT_EQ(captions.size(), 3U);
  EXPECT_EQ(captions.at((folder_ / "out" / rows[0].at("file_name").get<std::string>()).string()).at("caption"),
            rows[0].at("text"));
  EXPECT_THAT(load_file(folder_ / "out/README.md"), HasSubstr("Not measured"));
}

TEST_F(WeightsTest, LargeRewardsDoNotOverflow) {
  for (ScoredPrompt& row : scores_) row.score *= 1000.0;
  WeightSettings settings;
  settings.beta = 3.0;
  export_weights(workspace_, of("points"), settings, scores_, folder_ / "out", {});
  double sum = 0.0;
  for (const auto& row : lines(folder_ / "out/metadata.jsonl")) sum += row.at("weight_exp").get<double>();
  EXPECT_NEAR(sum, 3.0, 1e-9);
}

TEST_F(WeightsTest, PretrainingRowsStandBesideTheOthers) {
  test::write_text(folder_ / "pre/x.png", "a photograph");
  test::write_text(folder_ / "pre/list.csv", "image,prompt\nx.png,\"a photo, of a hen\"\ngone.png,nothing\n");
  WeightSettings settings;
  settings.pretrain = folder_ / "pre/list.csv";
  settings.pretrain_weight = 0.25;
  settings.copy = true;
  const auto counts = export_weights(workspace_, of("points"), settings, scores_, folder_ / "out", {});
  EXPECT_EQ(counts.rows, 4);
  EXPECT_EQ(counts.skipped.at("missing_pretrain_image"), 1);
  const auto row = lines(folder_ / "out/metadata.jsonl").back();
  EXPECT_EQ(row.at("source"), "pretrain");
  EXPECT_EQ(row.at("text"), "a photo, of a hen");
  EXPECT_TRUE(row.at("reward").is_null());
  EXPECT_EQ(row.at("weight_mix"), 0.25);
  const fs::path file = folder_ / "out" / row.at("file_name").get<std::string>();
  EXPECT_FALSE(fs::is_symlink(file));
  EXPECT_EQ(load_file(file), "a photograph");
}

TEST_F(WeightsTest, TheCardHoldsTheReportsEvidence) {
  WeightSettings settings;
  settings.reward = "mine";
  settings.report =
      R"({"verdict": "better than chance | not more", "warnings": ["interval spans chance: 50 %"],
          "metrics": {"pair_accuracy_strict_micro": {"value": 0.7125, "low": 0.66, "high": 0.76}},
          "baselines": {"clip_cosine": {"pair_accuracy_strict_micro": {"value": 0.55, "low": null, "high": null}}}})";
  export_weights(workspace_, of("points"), settings, scores_, folder_ / "out", {});
  const std::string card = load_file(folder_ / "out/README.md");
  EXPECT_THAT(card, HasSubstr("0.7125 (0.66 to 0.76)"));
  EXPECT_THAT(card, HasSubstr("| clip_cosine | 0.55 |"));
  EXPECT_THAT(card, HasSubstr("Warning: interval spans chance"));
  EXPECT_THAT(card, Not(HasSubstr("chance | not")));
  settings.report = "[1, 2]";
  try {
    export_weights(workspace_, of("points"), settings, scores_, folder_ / "other", {});
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(error.what(), HasSubstr("--report"));
  }
  EXPECT_FALSE(fs::exists(folder_ / "other"));
}

TEST_F(WeightsTest, ARewardChoosesAboveAMargin) {
  scores_.push_back({"a", "dog", 0.75});
  DpoSettings dpo;
  dpo.scores = scores_;
  dpo.margin = 1.6;
  const auto counts = export_dpo(workspace_, of("pairs"), dpo, folder_ / "d.jsonl", {});
  EXPECT_EQ(counts.rows, 1);  // a over b by 1.75; c over b by 1.5 only; r3 has no scores
  const std::map<std::string, std::int64_t> skipped = {{"below_margin", 1}, {"no_score", 1}};
  EXPECT_EQ(counts.skipped, skipped);
  dpo.margin = 1.0;
  export_dpo(workspace_, of("pairs"), dpo, folder_ / "d.jsonl", {});
  const auto rows = lines(folder_ / "d.jsonl");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].at("chosen_uid"), "c");  // people chose b
  EXPECT_EQ(rows[1].at("p"), 0.25);
  EXPECT_EQ(rows[1].at("chosen_score"), 0.5);
  EXPECT_EQ(rows[1].at("rejected_score"), -1.0);
}

TEST_F(WeightsTest, AMarginOfPeopleIsOfTheirShares) {
  DpoSettings dpo;
  dpo.margin = 0.75;
  const auto counts = export_dpo(workspace_, of("pairs"), dpo, folder_ / "d.jsonl", {});
  EXPECT_EQ(counts.rows, 2);
  EXPECT_EQ(counts.skipped.at("below_margin"), 1);  // 0.75 against 0.25
}

TEST_F(WeightsTest, PairsAsPickapicHasThem) {
  export_dpo(workspace_, of("pairs"), {}, folder_ / "d.parquet", {});
  const std::string from = fmt::format("read_parquet('{}')", (folder_ / "d.parquet").string());
  const auto table = database_.query(
      "SELECT decode(jpg_0) AS jpg_0, decode(jpg_1) AS jpg_1, label_0, label_1, caption, has_label, ranking_id, prompt "
      "FROM " +
      from + " ORDER BY ranking_id");
  ASSERT_EQ(table.row_count, 3U);
  EXPECT_EQ(table.column("jpg_0").text[0], "bytes of a.png");
  EXPECT_EQ(table.column("jpg_1").text[0], "bytes of b.jpg");
  EXPECT_EQ(table.column("label_0").real[1], 1.0);
  EXPECT_EQ(table.column("label_1").real[1], 0.0);
  EXPECT_EQ(table.column("caption").text[0], "dog");
  bool has_blob = false;
  for (const auto& [name, type] : database_.describe(from)) has_blob = has_blob || (name == "jpg_0" && type == "BLOB");
  EXPECT_TRUE(has_blob);
}

}  // namespace
}  // namespace imagerank::exports
