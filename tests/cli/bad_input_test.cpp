// What goes in broken comes out as one clear line, exit 1 or 2, and leaves nothing half done.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/npy.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Arguments = std::vector<std::string>;

/// One line on standard error that names the command and everything in `named`; nothing on standard output.
void expect_one_line(const LineRun& run, const Arguments& arguments, int code, const std::vector<std::string>& named) {
  const std::string line = fmt::format("{}", fmt::join(arguments, " "));
  EXPECT_EQ(run.code, code) << line << "\n" << run.err;
  EXPECT_EQ(run.out, "") << line;
  std::string error = run.err;
  while (error.starts_with("warning: ")) error.erase(0, error.find('\n') + 1);  // what a reader must know anyhow
  EXPECT_EQ(std::ranges::count(error, '\n'), 1) << line << "\n" << run.err;
  EXPECT_THAT(error, StartsWith("imagerank " + arguments.front() + ": ")) << line;
  for (const std::string& name : named) EXPECT_THAT(error, HasSubstr(name)) << line;
}

/// The same, and the folder is as it was before.
void expect_refused(const Arguments& arguments, int code, const std::vector<std::string>& named,
                    const std::filesystem::path& unchanged) {
  const auto before = final_files(unchanged);
  expect_one_line(run_line(arguments), arguments, code, named);
  EXPECT_EQ(final_files(unchanged), before) << fmt::format("{}", fmt::join(arguments, " "));
}

/// Every command that reads a workspace, with options that would do if the workspace did.
std::vector<Arguments> commands_on(const std::string& data, const std::string& model) {
  return {{"label", "--data", data},
          {"fetch", "--data", data},
          {"encode", "--data", data, "--model", model, "--allow-untrained"},
          {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "m"},
          {"eval", "--data", data, "--reward", "m"},
          {"compare", "--data", data, "m"}};
}

void cut_file(const std::filesystem::path& path, std::size_t keep) { std::filesystem::resize_file(path, keep); }

/// PickaPic-rankings as published: what `import` reads.
void write_rankings_file(const std::filesystem::path& path, int rows) {
  workspace::Database database;
  database.write_parquet(
      fmt::format("SELECT i AS ranking_id, 'u' || (i % 7) AS user_id, 'prompt ' || (i // 3) AS prompt, "
                  "'a' || i AS image_1_uid, 'b' || i AS image_2_uid, 'c' || i AS image_3_uid, 'd' || i AS image_4_uid, "
                  "CASE WHEN i % 4 = 0 THEN 'none' ELSE 'b' || i END AS best_image_uid, "
                  "TIMESTAMP '2023-01-01 00:00:00' + INTERVAL (i) SECOND AS created_at FROM range({}) t(i)",
                  rows),
      path);
}

TEST(BadInput, AMissingFileOrFolder) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string none = folder / "none";
  const std::string model = folder / "model";
  make_small_world(data, 2);
  make_tiny_model(model);
  for (const Arguments& arguments : commands_on(none, model)) expect_refused(arguments, 1, {none}, folder.path());
  for (const Arguments& arguments : {
           Arguments{"import", "pickapic-v0", none, "--data", data},
           Arguments{"encode", "--data", data, "--model", none},
           Arguments{"embed", "--model", none, "--texts", none, "--out", folder / "x.npy"},
           Arguments{"embed", "--model", model, "--texts", none, "--out", folder / "x.npy", "--allow-untrained"},
           Arguments{"embed", "--model", model, "--pixels", none, "--out", folder / "x.npy", "--allow-untrained"},
           Arguments{"preprocess", "--model", none, none, "--out", folder / "x.npy"},
           Arguments{"models", "info", none},
           Arguments{"eval", "--data", data, "--reward", none},
           Arguments{"rank", "--reward", none, "--prompt", "p", none},
           Arguments{"score", "--reward", none, none},
           Arguments{"run", none},
       }) {
    expect_refused(arguments, 1, {none}, folder.path());
  }
  EXPECT_FALSE(std::filesystem::exists(none));
}

TEST(BadInput, AnEmptyWorkspace) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  make_tiny_model(model);
  std::filesystem::create_directory(data);
  for (const Arguments& arguments : commands_on(data, model)) expect_refused(arguments, 1, {data}, folder.path());
  // The tables are there, without a row.
  const auto workspace = workspace::Workspace::open(data);
  workspace.write_rankings({});
  workspace.write_images({});
  for (const Arguments& arguments : commands_on(data, model)) expect_refused(arguments, 1, {data}, folder.path());
}

TEST(BadInput, WrongColumnsInWhatIsImported) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string file = folder / "wrong.parquet";
  workspace::Database database;
  for (const auto& [columns, missing] : std::vector<std::pair<std::string, std::string>>{
           {"1 AS x, 2 AS y", "image_uid"},
           {"1 AS ranking_id, 'p' AS prompt, 'a' AS image_1_uid, 'b' AS image_2_uid, 'c' AS image_3_uid, 'd' AS "
            "image_4_uid",
            "best_image_uid"},
           {"1 AS ranking_id, 'p' AS prompt, 'a' AS best_image_uid", "image_1_uid"}}) {
    database.write_parquet("SELECT " + columns, file);
    expect_refused({"import", "pickapic-v0", file, "--data", data}, 1, {file, missing, "expected", "found"},
                   folder.path());
  }
}

TEST(BadInput, WrongColumnsInAWorkspace) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  make_small_world(data, 2);
  make_tiny_model(model);
  const auto workspace = workspace::Workspace::open(data);
  workspace::Database database;
  const auto replace = [&](const std::string& table, const std::string& select) {
    database.execute(fmt::format("CREATE OR REPLACE TABLE t AS SELECT * FROM read_parquet({})",
                                 workspace::sql_literal(workspace.table_path(table).string())));
    database.write_parquet(select, workspace.table_path(table));
  };
  replace("rankings", "SELECT * EXCLUDE (prompt) FROM t");
  expect_refused({"label", "--data", data}, 1, {"rankings.parquet", "prompt", "expected", "found none"}, folder.path());
  replace("rankings", "SELECT *, 7 AS prompt FROM t");
  expect_refused({"label", "--data", data}, 1, {"rankings.parquet", "prompt", "expected VARCHAR", "found INTEGER"},
                 folder.path());
  replace("images", "SELECT * REPLACE (image_uid AS image_uid) RENAME (url AS link) FROM t");
  expect_refused({"fetch", "--data", data}, 1, {"images.parquet", "url", "expected"}, folder.path());
}

TEST(BadInput, ATruncatedParquetFile) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  const std::string file = folder / "rankings.parquet";
  make_tiny_model(model);
  write_rankings_file(file, 2000);
  const auto size = std::filesystem::file_size(file);
  for (const std::size_t keep : {size - 1, size - 9, size / 2, std::size_t{5}, std::size_t{0}}) {
    const std::string cut = folder / "cut.parquet";
    std::filesystem::copy_file(file, cut, std::filesystem::copy_options::overwrite_existing);
    cut_file(cut, keep);
    expect_refused({"import", "pickapic-v0", cut, "--data", data}, 1, {cut, "expected", "found"}, folder.path());
  }
  make_small_world(data, 2);
  ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
  const auto workspace = workspace::Workspace::open(data);
  for (const auto& [table, arguments] : std::vector<std::pair<std::string, Arguments>>{
           {"rankings", {"label", "--data", data}},
           {"images", {"fetch", "--data", data}},
           {"images", {"encode", "--data", data, "--model", model, "--allow-untrained"}},
           {"rankings", {"encode", "--data", data, "--model", model, "--allow-untrained"}}}) {
    const std::string whole = load_file(workspace.table_path(table));
    cut_file(workspace.table_path(table), whole.size() - 40);
    expect_refused(arguments, 1, {table + ".parquet", "expected"}, folder.path());
    test::write_text(workspace.table_path(table), whole);
  }
  ASSERT_EQ(run_line({"encode", "--data", data, "--model", model, "--allow-untrained"}).code, 0);
  cut_file(workspace.table_path("points"), 100);
  expect_refused(commands_on(data, model)[3], 1, {"points.parquet", "expected"}, folder.path());
}

/// A PNG whose header claims another size; its checksums are right.
std::string lying_png(std::uint32_t width, std::uint32_t height) {
  const auto checksum = [](std::string_view bytes) {
    std::uint32_t crc = 0xffffffffU;
    for (const char c : bytes) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
    }
    return ~crc;
  };
  const auto put = [](std::string& text, std::size_t at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i)
      text[at + static_cast<std::size_t>(i)] = static_cast<char>((value >> (24 - 8 * i)) & 0xffU);
  };
  std::string png = noisy_png(1, 16);
  put(png, 16, width);
  put(png, 20, height);
  put(png, 29, checksum(std::string_view(png).substr(12, 17)));
  return png;
}

TEST(BadInput, APngThatLiesAboutItsSize) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  make_tiny_model(model);
  make_small_world(data, 3);
  auto images = workspace::Workspace::open(data).load_images();
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> lies = {
      {0x7fffffff, 0x7fffffff}, {30000, 30000}, {16, 64}, {17, 16}, {0, 16}};
  Arguments files;
  for (std::size_t i = 0; i < lies.size(); ++i) {
    const auto path = std::filesystem::path(data) / images[i].path;
    test::write_text(path, lying_png(lies[i].first, lies[i].second));
    files.push_back(path);
  }
  files.push_back(std::filesystem::path(data) / images[lies.size()].path);

  const LineRun encoded = run_line({"encode", "--data", data, "--model", model, "--allow-untrained", "--json"});
  ASSERT_EQ(encoded.code, 0) << encoded.err;
  EXPECT_EQ(encoded.json()["failed"], lies.size());
  EXPECT_EQ(encoded.json()["images"], 12 - lies.size());
  for (std::size_t i = 0; i < lies.size(); ++i) EXPECT_THAT(encoded.out, HasSubstr(images[i].image_uid));

  const std::string out = folder / "x.npy";
  Arguments arguments = {"preprocess", "--model", model, "--out", out, "--json"};
  arguments.insert(arguments.end(), files.begin(), files.end());
  const LineRun preprocessed = run_line(arguments);
  ASSERT_EQ(preprocessed.code, 0) << preprocessed.err;
  EXPECT_EQ(preprocessed.json()["failed"].size(), lies.size());
  const std::vector<float> pixels = NpyFile(out).to_float();
  const std::size_t each = pixels.size() / files.size();
  for (std::size_t i = 0; i < files.size(); ++i) EXPECT_EQ(std::isnan(pixels[i * each]), i < lies.size()) << i;

  // All of them broken: exit 1, and no output under its final name.
  arguments.pop_back();
  arguments[4] = folder / "none.npy";
  const LineRun all = run_line(arguments);
  EXPECT_EQ(all.code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "none.npy"));
}

TEST(BadInput, AnOptionOutOfRange) {
  const TemporaryFolder folder;
  const std::string data = folder / "w";
  const std::string model = folder / "model";
  make_small_world(data, 20);
  make_tiny_model(model);
  ASSERT_EQ(run_line({"label", "--data", data}).code, 0);
  ASSERT_EQ(run_line({"encode", "--data", data, "--model", model, "--allow-untrained"}).code, 0);
  const LineRun trained = run_line(
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "m", "--epochs", "1"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::string rankings = folder / "r.parquet";
  write_rankings_file(rankings, 3);
  const std::vector<Arguments> tries = {
      {"label", "--data", data, "--test", "1.5"},
      {"label", "--data", data, "--test", "-0.1"},
      {"label", "--data", data, "--test", "0.7", "--validation", "0.5"},
      {"label", "--data", data, "--test", "nan"},
      {"label", "--data", data, "--labels", "four"},
      {"label", "--data", data, "--split", "by-mood"},
      {"label", "--data", data, "--seed", "-1"},
      {"label", "--data", data, "--threads", "0"},
      {"label"},
      {"fetch", "--data", data, "--concurrency", "0"},
      {"fetch", "--data", data, "--concurrency", "many"},
      {"fetch", "--data", data, "--retries", "-2"},
      {"fetch", "--data", data, "--timeout", "0"},
      {"fetch", "--data", data, "--max-bytes", "0"},
      {"fetch", "--data", data, "--no-such-option"},
      {"coverage", "--data", data, "--min-group", "-1"},
      {"coverage", "--data", data, "--top", "few"},
      {"import", "laion", rankings, "--data", data},
      {"import", "pickapic-v0", "--data", data},
      {"simulate", "--data", data, "--rankings", "0"},
      {"simulate", "--data", data, "--noise", "-1"},
      {"encode", "--data", data, "--model", model, "--precision", "fp64"},
      {"encode", "--data", data, "--model", model, "--device", "abacus"},
      {"encode", "--data", data, "--model", model, "--batch", "0"},
      {"preprocess", "--model", model, "--out", folder / "x.npy"},
      {"train", "--data", data, "--model", model, "--head", "oracle", "--loss", "mse", "--name", "m"},
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "luck", "--name", "m"},
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "m", "--epochs", "0"},
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "m", "--batch", "0"},
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "m", "--lr", "-1"},
      {"train", "--data", data, "--model", model, "--head", "mlp", "--loss", "mse", "--name", "../m"},
      {"eval", "--data", data, "--reward", "m", "--split", "exam"},
      {"models", "random", "huge", "--out", folder / "m"},
      {"eval", "--data", data, "--reward", "m", "--bootstrap", "-5"},
      {"rank", "--reward", "m", "--prompt", "p", "--top", "-1", "x.png"},
      {"fetch", "--data", data, "--max-bytes", "-1"},
      {"encode", "--data", data, "--model", model, "--batch", "-1"},
      {"simulate", "--data", data, "--seed", "-1"},
  };
  for (const Arguments& arguments : tries) expect_refused(arguments, 2, {}, folder.path());
}

TEST(BadInput, NamesTheOptionWhatWasExpectedAndWhatWasFound) {
  const TemporaryFolder folder;
  make_small_world(folder / "w", 2);
  const std::string data = folder / "w";
  for (const auto& [arguments, named] : std::vector<std::pair<Arguments, std::vector<std::string>>>{
           {{"label", "--data", data, "--split", "by-mood"}, {"expected", "prompt", "by-mood"}},
           {{"label", "--data", data, "--test", "1.5"}, {"test", "expected", "1.5"}},
           {{"coverage", "--data", data, "--min-group", "-1"}, {"--min-group", "expected 0 or more", "found -1"}},
           {{"fetch", "--data", data, "--concurrency", "0"}, {"concurrency", "expected 1 to 1024", "found 0"}},
           {{"import", "laion", data, "--data", data}, {"expected", "pickapic-v0", "laion"}},
           {{"simulate", "--data", data, "--noise", "-1"}, {"noise", "0", "100", "-1"}}}) {
    expect_one_line(run_line(arguments), arguments, 2, named);
  }
}

TEST(BadInput, AnUnknownCommandIsUsage) {
  for (const Arguments& arguments : {Arguments{}, Arguments{"frobnicate"}, Arguments{"--no-such-option"}}) {
    const LineRun run = run_line(arguments);
    EXPECT_EQ(run.code, 2);
    EXPECT_EQ(run.out, "");
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
  }
}

TEST(BadInput, AnUntrainedEncoderIsRefusedUnlessAskedFor) {
  const TemporaryFolder folder;
  make_small_world(folder / "w", 2);
  make_tiny_model(folder / "model");
  expect_refused({"encode", "--data", folder / "w", "--model", folder / "model"}, 1, {"--allow-untrained"},
                 folder.path());
}

}  // namespace
}  // namespace imagerank::cli
