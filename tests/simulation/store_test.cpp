#include "simulation/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "support/test_support.h"

namespace imagerank::simulation {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> hashes(const fs::path& root) {
  std::map<std::string, std::string> result;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      result[fs::relative(entry.path(), root).string()] = sha256_hex(load_file(entry.path()));
    }
  }
  return result;
}

WorldOptions small_world(std::uint64_t seed = 4) {
  WorldOptions options;
  options.rankings = 20;
  options.seed = seed;
  options.image_size = 64;
  return options;
}

void store(const fs::path& root, const WorldOptions& options, int threads = 2) {
  RunContext context;
  context.threads = threads;
  store_world(root, options, make_world(options), context);
}

ErrorCode refusal(const fs::path& root, const WorldOptions& options) {
  try {
    store(root, options);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(root.string()), std::string::npos) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "not refused";
  return ErrorCode::kIo;
}

TEST(StoreWorld, SameSeedSameBytesWhateverTheThreads) {
  const test::TemporaryFolder folder;
  store(folder / "one", small_world(), 1);
  store(folder / "three", small_world(), 3);
  store(folder / "other", small_world(5), 3);
  const auto one = hashes(folder / "one");
  EXPECT_GT(one.size(), 40U);
  EXPECT_EQ(one, hashes(folder / "three"));
  EXPECT_NE(one, hashes(folder / "other"));
}

TEST(StoreWorld, TablesAndFilesAgree) {
  const test::TemporaryFolder folder;
  store(folder.path(), small_world());
  const auto workspace = workspace::Workspace::open(folder.path());
  const auto rankings = workspace.load_rankings();
  EXPECT_EQ(rankings.size(), 20U);
  EXPECT_EQ(workspace.find_truth().size(), make_world(small_world()).truth.size());
  std::set<std::string> extensions;
  std::set<std::int32_t> widths;
  for (const workspace::Image& row : workspace.load_images()) {
    EXPECT_EQ(row.status, "ok");
    EXPECT_EQ(row.sha256, sha256_hex(load_file(workspace.resolve(row))));
    const images::Image image = images::load_image(workspace.resolve(row));
    EXPECT_EQ(image.width, row.width);
    EXPECT_EQ(image.height, row.height);
    EXPECT_FALSE(row.model.empty());
    extensions.insert(fs::path(row.path).extension().string());
    widths.insert(row.width);
  }
  EXPECT_EQ(extensions, (std::set<std::string>{".jpg", ".png"}));
  EXPECT_EQ(widths, (std::set<std::int32_t>{64, 80}));
}

TEST(StoreWorld, CarriesOnAfterACut) {
  const test::TemporaryFolder folder;
  store(folder / "whole", small_world());
  // As a kill leaves it: the claim, some pictures, a damaged one, no tables.
  store(folder / "cut", small_world());
  int removed = 0;
  for (const auto& [name, hash] : hashes(folder / "cut")) {
    const fs::path path = folder.path() / "cut" / name;
    if (path.extension() == ".parquet" || (path.extension() == ".jpg" && removed % 2 == 0)) fs::remove(path);
    if (path.extension() == ".jpg" && removed++ == 1) test::write_text(path, "damaged");
  }
  ASSERT_GT(removed, 10);
  store(folder / "cut", small_world());
  EXPECT_EQ(hashes(folder / "whole"), hashes(folder / "cut"));
}

TEST(StoreWorld, ASecondRunTouchesNoPicture) {
  const test::TemporaryFolder folder;
  store(folder.path(), small_world());
  const fs::path picture = folder.path() / workspace::Workspace::open(folder.path()).load_images().front().path;
  const auto before = fs::last_write_time(picture);
  const auto all = hashes(folder.path());
  store(folder.path(), small_world());
  EXPECT_EQ(fs::last_write_time(picture), before);
  EXPECT_EQ(hashes(folder.path()), all);
}

TEST(StoreWorld, StopsWhenAskedAndLeavesNoTable) {
  const test::TemporaryFolder folder;
  std::stop_source source;
  RunContext context;
  context.threads = 2;
  context.stop = source.get_token();
  context.progress = [&](const Progress& progress) {
    if (progress.done == 10) source.request_stop();
  };
  try {
    store_world(folder.path(), small_world(), make_world(small_world()), context);
    FAIL() << "not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_FALSE(workspace::Workspace::open(folder.path()).has_table("images"));
  EXPECT_FALSE(workspace::Workspace::open(folder.path()).has_table("rankings"));
}

TEST(StoreWorld, RefusesAFolderOfAnotherOrigin) {
  const test::TemporaryFolder folder;
  const auto workspace = workspace::Workspace::create(folder / "imported");
  workspace::Image image;
  image.image_uid = "mine";
  workspace.write_images({image});
  const auto before = hashes(folder / "imported");
  EXPECT_EQ(refusal(folder / "imported", small_world()), ErrorCode::kRefused);
  EXPECT_EQ(hashes(folder / "imported"), before);

  store(folder / "simulated", small_world());
  const auto simulated = hashes(folder / "simulated");
  EXPECT_EQ(refusal(folder / "simulated", small_world(77)), ErrorCode::kRefused);
  EXPECT_EQ(hashes(folder / "simulated"), simulated);

  test::write_text(folder / "odd" / "simulation.json", "{ not json");
  EXPECT_EQ(refusal(folder / "odd", small_world()), ErrorCode::kRefused);
}

TEST(StoreWorld, RefusesToLoseWhatWasAddedSince) {
  const test::TemporaryFolder folder;
  store(folder.path(), small_world());
  const auto workspace = workspace::Workspace::open(folder.path());
  auto rankings = workspace.load_rankings();
  rankings.front().dataset = "votes";
  workspace.write_rankings(rankings);
  EXPECT_EQ(refusal(folder.path(), small_world()), ErrorCode::kRefused);
}

TEST(StoreCaptionSet, OnlyImagesWithTheirCaptions) {
  const test::TemporaryFolder folder;
  CaptionSetOptions options;
  options.captions = 60;
  options.image_size = 64;
  options.hold_out = HoldOut::kOnly;
  const auto pictures = make_caption_set(options);
  store_caption_set(folder.path(), options, pictures, RunContext{});
  const auto workspace = workspace::Workspace::open(folder.path());
  EXPECT_FALSE(workspace.has_table("rankings"));
  const auto images = workspace.load_images();
  ASSERT_EQ(images.size(), 60U);
  std::set<std::string> captions;
  int clean = 0;
  for (const auto& picture : pictures) {
    EXPECT_TRUE(has_held_out(picture.scene));
    captions.insert(picture.prompt);
    clean += picture.quality.is_clean() ? 1 : 0;
  }
  for (const workspace::Image& image : images) EXPECT_TRUE(captions.contains(image.prompt));
  EXPECT_GT(captions.size(), 57U);
  EXPECT_TRUE(clean > 12 && clean < 45) << clean;
}

TEST(StoreCaptionSet, RefusesOptionsOutOfRange) {
  CaptionSetOptions options;
  EXPECT_THROW((void)make_caption_set(options), Error);
  options.captions = 5;
  options.image_size = 3;
  EXPECT_THROW((void)make_caption_set(options), Error);
}

TEST(ParseHoldOut, KnowsItsNames) {
  for (const char* name : {"none", "exclude", "only"}) EXPECT_EQ(name_of(parse_hold_out(name)), name);
  EXPECT_THROW((void)parse_hold_out("some"), Error);
}

}  // namespace
}  // namespace imagerank::simulation
