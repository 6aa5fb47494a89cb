#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "cli/small_world.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

/// The small world, smooth enough to be hashed, with i00001-0 again as i00002-0 (the same bytes) and as i00002-1 (a
/// JPEG, scaled).
void make_world_with_duplicates(const std::filesystem::path& data) {
  make_small_world(data, 3);
  const auto workspace = workspace::Workspace::open(data);
  auto images = workspace.load_images();
  const auto write = [&](workspace::Image& row, const std::string& bytes) {
    row.sha256 = sha256_hex(bytes);
    write_file_atomically(data / row.path, bytes, false);
  };
  const auto picture = [&](std::size_t seed) {
    const std::string bytes = noisy_png(static_cast<std::uint32_t>(seed), 8);
    return images::resize_bicubic(images::decode_image(std::as_bytes(std::span(bytes))), 128, 96);
  };
  for (std::size_t i = 0; i < images.size(); ++i) write(images[i], images::encode_png(picture(i)));
  write(images[8], images::encode_png(picture(4)));
  write(images[9], images::encode_jpeg(images::resize_bicubic(picture(4), 200, 160), 60));
  images[11].status = "http_404";
  workspace.write_images(images);
}

TEST(DuplicatesCommand, PrintsForPeople) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_world_with_duplicates(data);
  const LineRun run = run_line({"duplicates", "--data", data, "--perceptual", "--threads", "2"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, R"(images      11 with a file
            1 without: left out
exact       1 group of 2 images, 1 beyond the first of each
            group 1, 2 images
              i00001-0
              i00002-0
pictures    11 hashed, 0 featureless, 0 failed; 0 known before
alike       1 group of 3 images, 2 beyond the first of each
            group 2, 3 images
              i00001-0
              i00002-0
              i00002-1
rankings    0 with one image twice
            1 with images that look alike
leak        no points or pairs yet: run `imagerank label`, then this again
what to do  `label` goes by uids: no --split keeps duplicates on one side. Give each
            image the uid of its group's first (--csv FILE) in the rankings and
            `import` them anew; then --split image or component does.
)");
}

TEST(DuplicatesCommand, JsonAndCsv) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w", csv = folder / "groups.csv";
  make_world_with_duplicates(data);
  ASSERT_EQ(run_line({"label", "--data", data, "--split", "official"}).code, 2) << "the world has no official split";
  auto plain = run_line({"duplicates", "--data", data, "--json"}).json();
  EXPECT_TRUE(plain["perceptual"].is_null());
  EXPECT_EQ(plain["images"], 11);
  EXPECT_EQ(plain["exact"], nlohmann::json({{"groups", 1}, {"images", 2}, {"extra", 1}, {"rankings", 0}}));
  EXPECT_EQ(plain["leak"],
            nlohmann::json(
                {{"test_images", nullptr}, {"exact_test_in_train", nullptr}, {"perceptual_test_in_train", nullptr}}));

  ASSERT_EQ(run_line({"label", "--data", data, "--split", "prompt", "--test", "0.3", "--validation", "0"}).code, 0);
  const std::vector<std::string> line = {"duplicates", "--data", data, "--perceptual", "--csv", csv, "--json"};
  auto found = run_line(line).json();
  const auto& perceptual = found["perceptual"];
  EXPECT_EQ(perceptual["hashed"], 11);
  EXPECT_EQ(perceptual["featureless"], 0);
  EXPECT_EQ(perceptual["failed"], nlohmann::json::object());
  EXPECT_EQ(perceptual["groups"], 1);
  EXPECT_EQ(perceptual["images"], 3);
  EXPECT_EQ(perceptual["extra"], 2);
  EXPECT_EQ(perceptual["decoded"], 11);
  // One prompt is the test split; the group's images stand under the second and third prompt.
  double exact = 0.0, alike = 0.0;
  std::string test_prompt;
  for (const auto& point : workspace::Workspace::open(data).load_points())
    if (point.split == "test") test_prompt = point.prompt;
  if (test_prompt == "a picture of number 1") exact = alike = 1.0 / 4.0;
  if (test_prompt == "a picture of number 2") {
    exact = 1.0 / 4.0;
    alike = 2.0 / 4.0;
  }
  EXPECT_EQ(found["leak"]["test_images"], 4);
  EXPECT_EQ(found["leak"]["exact_test_in_train"], exact) << test_prompt;
  EXPECT_EQ(found["leak"]["perceptual_test_in_train"], alike) << test_prompt;
  const auto lines = test::lines_of(csv);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0], "image_uid,group,kind,distance");
  EXPECT_EQ(lines[2], "i00002-0,1,exact,0");
  EXPECT_EQ(lines[3], "i00001-0,2,perceptual,0");

  found = run_line(line).json();
  EXPECT_EQ(found["perceptual"]["decoded"], 0);
  EXPECT_EQ(found["perceptual"]["cached"], 11);
}

TEST(DuplicatesCommand, FilesThatDoNotDecodeAreCountedAndAllOfThemAreAnError) {
  const test::TemporaryFolder folder;
  const std::filesystem::path data = folder / "w";
  make_small_world(data, 1);
  const auto images = workspace::Workspace::open(data).load_images();
  const std::vector<std::string> line = {"duplicates", "--data", data, "--perceptual", "--json"};
  test::write_text(data / images[2].path, "no image");
  LineRun run = run_line(line);
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.json()["perceptual"]["failed"], nlohmann::json({{"corrupt", 1}}));
  EXPECT_EQ(run.json()["perceptual"]["examples"]["corrupt"]["image_uid"], images[2].image_uid);
  EXPECT_EQ(run.json()["perceptual"]["hashed"], 3);
  for (const auto& image : images) test::write_text(data / image.path, "no image");
  std::filesystem::remove(data / "fingerprints.parquet");
  run = run_line(line);
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.json()["perceptual"]["failed"], nlohmann::json({{"corrupt", 4}}));
  EXPECT_EQ(run.json()["perceptual"]["hashed"], 0);
}

TEST(DuplicatesCommand, UsageAndDataErrorsAreOneLine) {
  const test::TemporaryFolder folder;
  const std::string data = folder / "w";
  make_small_world(data, 1);
  const std::array<std::vector<std::string>, 5> lines = {
      {{"duplicates"},
       {"duplicates", "--data", data, "--distance", "4"},
       {"duplicates", "--data", data, "--perceptual", "--distance", "17"},
       {"duplicates", "--data", data, "--perceptual", "--distance", "-1"},
       {"duplicates", "--data", data, "--perceptual", "--distance", "near"}}};
  for (const auto& line : lines) {
    const LineRun run = run_line(line);
    EXPECT_EQ(run.code, 2) << run.err;
    EXPECT_EQ(std::ranges::count(run.err, '\n'), 1) << run.err;
    EXPECT_TRUE(run.out.empty());
    EXPECT_FALSE(std::filesystem::exists(data + "/fingerprints.parquet"));
  }
  const test::TemporaryFolder empty;
  const LineRun run = run_line({"duplicates", "--data", empty.path()});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("no images.parquet; run `imagerank import"), std::string::npos) << run.err;
  EXPECT_EQ(run_line({"duplicates", "--data", data, "--csv", "/dev/null/x.csv"}).code, 1);
}

/// The real photographs, and each of them again as a JPEG of quality 50 and as a picture of 256 x 256.
TEST(DuplicatesCommand, RealPhotographsAndTheirCopies) {
  IMAGERANK_SHARED_DATA(source, "real/avt/images");
  const test::TemporaryFolder folder;
  const auto workspace = workspace::Workspace::create(folder / "w");
  std::vector<workspace::Image> rows;
  const auto add = [&](const std::string& uid, const std::filesystem::path& path, const std::string& bytes) {
    workspace::Image row;
    row.image_uid = uid;
    row.path = path;
    row.status = "ok";
    row.sha256 = sha256_hex(bytes);
    rows.push_back(std::move(row));
  };
  std::size_t photographs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    const std::string uid = entry.path().stem();
    const images::Image image = images::load_image(entry.path());
    add(uid, entry.path(), load_file(entry.path()));
    const std::string again = images::encode_jpeg(image, 50);
    const std::string smaller = images::encode_jpeg(images::resize_bicubic(image, 256, 256), 75);
    test::write_text(folder / (uid + "-again"), again);
    test::write_text(folder / (uid + "-smaller"), smaller);
    add(uid + "-again", folder / (uid + "-again"), again);
    add(uid + "-smaller", folder / (uid + "-smaller"), smaller);
    ++photographs;
  }
  workspace.write_images(rows);
  const auto found = run_line({"duplicates", "--data", workspace.root(), "--perceptual", "--json"}).json();
  EXPECT_EQ(found["exact"]["groups"], 0);
  EXPECT_EQ(found["perceptual"]["hashed"], 3 * photographs);
  EXPECT_EQ(found["perceptual"]["groups"], photographs) << "each with its copies, no two together";
  EXPECT_EQ(found["perceptual"]["images"], 3 * photographs);
}

}  // namespace
}  // namespace imagerank::cli
