#include "images/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command_preprocess.h"
#include "core/fail.h"
#include "core/npy.h"
#include "images/decode.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PreprocessCommand : public testing::Test {
 protected:
  void SetUp() override {
    test::write_text(folder_ / "preprocessor_config.json", R"({"size": 8, "crop_size": 8, "resample": 3})");
    options_.model = folder_.path().string();
    options_.out = folder_ / "x.npy";
  }
  void add(const std::string& name) { options_.images.push_back(test::testdata("images/" + name)); }
  int run() {
    std::ostringstream out;
    std::ostringstream err;
    Terminal::Options terminal_options;
    terminal_options.json = true;
    terminal_options.threads = 2;
    Terminal terminal(out, err, terminal_options);
    const int code = run_preprocess(options_, terminal);
    result_ = nlohmann::json::parse(out.str());
    errors_ = err.str();
    return code;
  }
  /// Row `index` of the file written, [3, 8, 8].
  [[nodiscard]] std::vector<float> row(std::size_t index) const {
    const std::vector<float> all = NpyFile(options_.out).to_float();
    return {all.begin() + static_cast<std::ptrdiff_t>(index * 192),
            all.begin() + static_cast<std::ptrdiff_t>((index + 1) * 192)};
  }

  test::TemporaryFolder folder_;
  PreprocessOptions options_;
  nlohmann::json result_;
  std::string errors_;
};

TEST_F(PreprocessCommand, WritesOneRowAnImageInOrder) {
  for (const char* name : {"rgb.jpg", "rgb_8.png", "lossless.webp", "rgb.gif"}) add(name);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(result_["images"], 4);
  EXPECT_EQ(result_["size"], 8);
  EXPECT_TRUE(result_["failed"].empty());
  EXPECT_EQ(errors_, "");
  const NpyFile file(options_.out);
  EXPECT_EQ(file.type(), NpyType::kFloat32);
  EXPECT_THAT(file.shape(), ElementsAre(4, 3, 8, 8));
  const images::PreprocessOptions settings = images::load_preprocess_options(folder_.path());
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(row(i), images::preprocess(images::load_image(options_.images[i]), settings)) << i;
}

TEST_F(PreprocessCommand, ExifOrientationOnRequestOrByTheConfig) {
  add("exif_6.png");
  EXPECT_EQ(run(), 0);
  images::PreprocessOptions settings = images::load_preprocess_options(folder_.path());
  const images::Image image = images::load_image(options_.images[0]);
  const std::vector<float> stored = row(0);
  EXPECT_EQ(stored, images::preprocess(image, settings));
  settings.exif_orientation = true;
  options_.exif_orientation = true;
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(row(0), images::preprocess(image, settings));
  EXPECT_NE(row(0), stored);
  options_.exif_orientation = false;
  test::write_text(folder_ / "preprocessor_config.json",
                   R"({"size": 8, "crop_size": 8, "imagerank_exif_orientation": true})");
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(row(0), images::preprocess(image, settings));
}

TEST_F(PreprocessCommand, ABrokenImageIsARowOfNan) {
  add("rgb_8.png");
  add("broken/cut.jpg");
  add("none.png");
  add("broken/too_many_pixels.png");
  add("rgb.jpg");
  EXPECT_EQ(run(), 0);
  ASSERT_EQ(result_["failed"].size(), 3U);
  EXPECT_EQ(result_["failed"][0]["reason"], "corrupt");
  EXPECT_EQ(result_["failed"][0]["item"], options_.images[1].string());
  EXPECT_THAT(result_["failed"][0]["detail"].get<std::string>(), HasSubstr("JPEG does not decode"));
  EXPECT_EQ(result_["failed"][1]["reason"], "missing");
  EXPECT_EQ(result_["failed"][2]["reason"], "too_large");
  for (std::size_t i = 0; i < 5; ++i) {
    const bool broken = i >= 1 && i <= 3;
    for (const float value : row(i)) ASSERT_EQ(std::isnan(value), broken) << i;
  }
}

TEST_F(PreprocessCommand, StrictOrNothingLeftIsAnError) {
  add("rgb_8.png");
  add("broken/page.html");
  options_.strict = true;
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(errors_, HasSubstr("1 of 2 images failed"));
  EXPECT_FALSE(std::filesystem::exists(options_.out));
  options_.strict = false;
  options_.images.erase(options_.images.begin());
  EXPECT_EQ(run(), 1);
  EXPECT_EQ(result_["failed"].size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(options_.out));
}

TEST_F(PreprocessCommand, MoreImagesThanOneBatch) {
  for (int i = 0; i < 300; ++i) add(i % 2 == 0 ? "rgb_8.png" : "grey_8.png");
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(NpyFile(options_.out).shape(), ElementsAre(300, 3, 8, 8));
  EXPECT_EQ(row(298), row(0));
  EXPECT_EQ(row(299), row(1));
  EXPECT_NE(row(0), row(1));
}

TEST_F(PreprocessCommand, AModelWithoutAUsableConfigIsAnError) {
  add("rgb_8.png");
  test::write_text(folder_ / "preprocessor_config.json", R"({"resample": 2})");
  EXPECT_THROW(run(), Error);
  options_.model = (folder_ / "none").string();
  EXPECT_THROW(run(), Error);
  EXPECT_FALSE(std::filesystem::exists(options_.out));
}

}  // namespace
}  // namespace imagerank::cli
