#include "images/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/fail.h"
#include "core/npy.h"
#include "images/decode.h"
#include "support/test_support.h"

namespace imagerank::images {
namespace {

/// Levels come out as themselves: v = level / 255.
PreprocessOptions plain(int edge, int crop) {
  return {.resize_shortest_edge = edge, .crop_size = crop, .mean = {}, .std = {1.0F, 1.0F, 1.0F}};
}

/// The red plane of a preprocessed image as levels.
std::vector<int> levels(const Image& image, const PreprocessOptions& options) {
  const std::vector<float> tensor = preprocess(image, options);
  std::vector<int> result;
  for (std::size_t i = 0; i < tensor.size() / 3; ++i)
    result.push_back(static_cast<int>(std::lround(tensor[i] * 255.0F)));
  return result;
}

Image columns(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(x + 1));
  }
  return image;
}

PreprocessOptions options_of(const std::string& json) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "preprocessor_config.json", json);
  return load_preprocess_options(folder.path());
}

std::string config_error(const std::string& json) {
  try {
    (void)options_of(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << json;
    return error.what();
  }
  return "accepted";
}

TEST(Preprocess, NormalisesByMeanAndStd) {
  Image image{1, 1, {0, 128, 255}};
  PreprocessOptions options = plain(1, 1);
  options.mean = {0.5F, 0.25F, 0.0F};
  options.std = {0.5F, 0.5F, 2.0F};
  const std::vector<float> tensor = preprocess(image, options);
  ASSERT_EQ(tensor.size(), 3U);
  EXPECT_FLOAT_EQ(tensor[0], -1.0F);
  EXPECT_FLOAT_EQ(tensor[1], (128.0F / 255.0F - 0.25F) / 0.5F);
  EXPECT_FLOAT_EQ(tensor[2], 0.5F);
}

TEST(Preprocess, TheCropRoundsHalvesToEven) {
  // Margins of 1, 3 and 5 columns: Python's round() puts the crop at 0, 2 and 2.
  EXPECT_THAT(levels(columns(3, 2), plain(2, 2)), testing::ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(levels(columns(5, 2), plain(2, 2)), testing::ElementsAre(3, 4, 3, 4));
  EXPECT_THAT(levels(columns(7, 2), plain(2, 2)), testing::ElementsAre(3, 4, 3, 4));
}

TEST(Preprocess, ASmallerImageIsPaddedWithZeros) {
  // 2 x 2 in a crop of 5: one column and row before, two after; of 3: none before, one after.
  EXPECT_THAT(levels(columns(2, 2), plain(2, 5)),
              testing::ElementsAre(0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(levels(columns(2, 2), plain(2, 3)), testing::ElementsAre(1, 2, 0, 1, 2, 0, 0, 0, 0));
  // Wider than the crop, but lower: cut across, padded down.
  EXPECT_THAT(levels(columns(5, 2), plain(2, 3)), testing::ElementsAre(2, 3, 4, 2, 3, 4, 0, 0, 0));
  // The padding is black before it is normalised.
  PreprocessOptions options = plain(2, 3);
  options.mean = {1.0F, 1.0F, 1.0F};
  EXPECT_FLOAT_EQ(preprocess(columns(2, 2), options).back(), -1.0F);
}

TEST(Preprocess, TheLongSideIsTruncated) {
  // 301 x 900 to 224 wide: 224 * 900 / 301 = 669.8 is 669 high.
  const Image image = columns(301, 900);
  const Image resized = resize_bicubic(image, 224, 669);
  const std::vector<float> tensor = preprocess(image, plain(224, 224));
  for (std::size_t x = 0; x < 224; ++x) {
    EXPECT_EQ(std::lround(tensor[x] * 255.0F),
              resized.pixels[(std::size_t{222} * 224 + x) * 3]);  // round(445 / 2) = 222 rows down
  }
}

TEST(Preprocess, EveryExifOrientationAsPillowTurnsIt) {
  const auto expected = nlohmann::json::parse(load_file(test::testdata("images/upright.json")));
  ASSERT_EQ(expected.size(), 11U);
  for (const auto& [name, reference] : expected.items()) {
    SCOPED_TRACE(name);
    const Image image = load_image(test::testdata("images/" + name));
    EXPECT_EQ(image.orientation, reference["orientation"].get<int>());
    const Image turned = upright(image);
    EXPECT_EQ(turned.width, reference["width"].get<int>());
    EXPECT_EQ(turned.height, reference["height"].get<int>());
    EXPECT_EQ(turned.orientation, 1);
    if (name.ends_with(".jpg")) continue;  // rounding is the decoder's
    std::string hex;
    for (const std::uint8_t byte : turned.pixels) hex += fmt::format("{:02x}", byte);
    EXPECT_EQ(hex, reference["rgb"].get<std::string>());
  }
}

TEST(Preprocess, ExifOrientationOnlyOnRequest) {
  Image image = columns(2, 1);
  image.orientation = 3;
  PreprocessOptions options = plain(1, 1);
  EXPECT_THAT(levels(image, options), testing::ElementsAre(1));
  options = plain(1, 2);
  EXPECT_THAT(levels(image, options), testing::ElementsAre(1, 2, 0, 0));
  options.exif_orientation = true;
  EXPECT_THAT(levels(image, options), testing::ElementsAre(2, 1, 0, 0));
  EXPECT_FALSE(options_of("{}").exif_orientation);
  EXPECT_TRUE(options_of(R"({"imagerank_exif_orientation": true})").exif_orientation);
  EXPECT_THAT(config_error(R"({"imagerank_exif_orientation": 6})"), testing::HasSubstr("expected true or false"));
}

TEST(Preprocess, ExtremeShapesWork) {
  EXPECT_EQ(preprocess(columns(1, 20000), plain(224, 224)).size(), 3U * 224 * 224);
  EXPECT_EQ(preprocess(columns(1, 1), plain(224, 224)).size(), 3U * 224 * 224);
  EXPECT_EQ(preprocess(columns(60000, 1), plain(224, 224)).size(), 3U * 224 * 224);
  EXPECT_THROW((void)preprocess(columns(1, 400000), plain(224, 224)), Error);
  EXPECT_THROW((void)preprocess({}, plain(224, 224)), Error);
  EXPECT_THROW((void)preprocess(columns(2, 2), plain(0, 224)), Error);
  EXPECT_THROW((void)preprocess(columns(2, 2), plain(224, 5000)), Error);
}

TEST(Preprocess, EqualToPillowOnTheSharedImages) {
  IMAGERANK_SHARED_DATA(folder, "fixtures/preprocess_224");
  const auto index = nlohmann::json::parse(load_file(folder / "index.json"));
  const NpyFile reference(folder / "expected.npy");
  const std::vector<float> expected = reference.to_float();
  PreprocessOptions options;
  options.resize_shortest_edge = options.crop_size = index["size"];
  options.mean = index["mean"];
  options.std = index["std"];
  const std::size_t plane = static_cast<std::size_t>(options.crop_size) * static_cast<std::size_t>(options.crop_size);
  ASSERT_EQ(expected.size(), index["images"].size() * 3 * plane);
  std::size_t offset = 0;
  for (const std::string name : index["images"]) {
    SCOPED_TRACE(name);
    const std::vector<float> tensor = preprocess(load_image(folder / name), options);
    double worst = 0.0;
    for (std::size_t i = 0; i < tensor.size(); ++i)
      worst =
          std::max(worst, std::abs(double{tensor[i]} - double{expected[offset + i]}) * options.std[i / plane] * 255.0);
    // Exact but for float rounding; a JPEG may differ where another build of the library decoded the reference.
    EXPECT_LE(worst, name.ends_with(".jpg") ? 2.05 : 0.001);
    offset += tensor.size();
  }
}

/// The pattern of tests/testdata/images/make_preprocess.py.
Image pattern(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int noisy = (x * 97 + y * 57 + c * 31 + x * y * 11) % 256;
        const int sharp = (x / 3 + y / 2 + c) % 2 == 0 ? 0 : 255;
        image.pixels.push_back(static_cast<std::uint8_t>((x + y) % 5 < 3 ? noisy : sharp));
      }
    }
  }
  return image;
}

TEST(Preprocess, EveryWayIsWhatTorchAndPillowGive) {
  const auto cases = nlohmann::json::parse(load_file(test::testdata("images/preprocess.json")));
  const std::vector<float> expected = NpyFile(test::testdata("images/preprocess.npy")).to_float();
  ASSERT_EQ(cases.size(), 35U);
  const float* want = expected.data();
  for (const auto& one : cases) {
    SCOPED_TRACE(one.dump());
    PreprocessOptions options = plain(one["size"], one["size"]);
    const std::string how = one["how"];
    if (how.starts_with("longest_edge")) options.resize = Resize::kLongestEdge;
    if (how == "squash") options.resize = Resize::kSquash;
    options.antialias = !how.ends_with("legacy");
    if (how.ends_with("down")) options.crop_rounding = CropRounding::kDown;
    const std::vector<float> tensor = preprocess(pattern(one["width"], one["height"]), options);
    double worst = 0.0;
    for (const float value : tensor) worst = std::max(worst, std::abs(double{value} - double{*want++}));
    EXPECT_LT(worst, how.starts_with("longest_edge") ? 2e-5 : 1e-6);
  }
  EXPECT_EQ(want, expected.data() + expected.size());
}

TEST(Preprocess, ZerosAroundTheLongestEdgeAreBlackBeforeTheyAreNormalised) {
  PreprocessOptions options = plain(4, 4);
  options.resize = Resize::kLongestEdge;
  options.mean = {0.5F, 0.5F, 0.5F};
  const std::vector<float> tensor = preprocess(columns(4, 2), options);  // its longest edge fits already
  EXPECT_FLOAT_EQ(tensor[0], -0.5F);
  EXPECT_FLOAT_EQ(tensor[4], 1.0F / 255.0F - 0.5F);
  EXPECT_FLOAT_EQ(tensor[12], -0.5F);
  EXPECT_EQ(preprocess(columns(1000, 1), options).size(), 3U * 16);
}

TEST(PreprocessConfig, HuggingFacesProcessorsRoundDown) {
  EXPECT_EQ(options_of("{}").crop_rounding, CropRounding::kEven);
  EXPECT_EQ(options_of(R"({"image_processor_type": "CLIPImageProcessor"})").crop_rounding, CropRounding::kDown);
  EXPECT_EQ(options_of(R"({"feature_extractor_type": "CLIPFeatureExtractor"})").crop_rounding, CropRounding::kDown);
}

TEST(PreprocessConfig, SquashAndLongestEdge) {
  const PreprocessOptions squash = options_of(R"({"size": {"height": 96, "width": 96}, "do_center_crop": false})");
  EXPECT_EQ(squash.resize, Resize::kSquash);
  EXPECT_EQ(squash.crop_size, 96);
  EXPECT_EQ(options_of(R"({"size": {"height": 96, "width": 96}, "crop_size": 96})").resize, Resize::kSquash);
  const PreprocessOptions longest = options_of(R"({"imagerank_resize": "longest_edge", "imagerank_antialias": false})");
  EXPECT_EQ(longest.resize, Resize::kLongestEdge);
  EXPECT_FALSE(longest.antialias);
  EXPECT_TRUE(options_of("{}").antialias);
}

TEST(PreprocessConfig, OpenClipsOwn) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& json) {
    test::write_text(folder / "open_clip_config.json", json);
    return load_preprocess_options(folder.path());
  };
  const PreprocessOptions plain_clip = read(R"({"model_cfg": {"vision_cfg": {"image_size": 336}}})");
  EXPECT_EQ(plain_clip.crop_size, 336);
  EXPECT_EQ(plain_clip.resize_shortest_edge, 336);
  EXPECT_EQ(plain_clip.mean, PreprocessOptions{}.mean);
  EXPECT_EQ(plain_clip.crop_rounding, CropRounding::kEven);
  const PreprocessOptions own = read(R"({"model_cfg": {"vision_cfg": {"image_size": 224}}, "preprocess_cfg":
      {"size": [256, 256], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1], "resize_mode": "squash",
       "interpolation": "bicubic"}})");
  EXPECT_EQ(own.crop_size, 256);
  EXPECT_EQ(own.resize, Resize::kSquash);
  EXPECT_THAT(own.std, testing::ElementsAre(0.25F, 0.5F, 1.0F));
  const auto error_of = [&](const std::string& json) {
    try {
      (void)read(json);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(error_of(R"({"preprocess_cfg": {"resize_mode": "longest"}})"),
              testing::HasSubstr("preprocess_cfg: resize_mode: expected shortest or squash, found \"longest\""));
  EXPECT_THAT(error_of(R"({"preprocess_cfg": {"interpolation": "bilinear"}})"), testing::HasSubstr("interpolation"));
  EXPECT_THAT(error_of(R"({"preprocess_cfg": 3})"), testing::HasSubstr("preprocess_cfg: expected an object"));
  EXPECT_THAT(error_of(R"({"model_cfg": {"vision_cfg": {"image_size": [224, 200]}}})"),
              testing::HasSubstr("vision_cfg: image_size: expected"));
}

TEST(PreprocessConfig, BothSpellings) {
  const PreprocessOptions ours =
      options_of(R"({"size": {"shortest_edge": 64}, "crop_size": {"height": 60, "width": 60}, "do_resize": true,
                     "resample": 3, "rescale_factor": 0.00392156862745098, "do_convert_rgb": true,
                     "image_mean": [0.5, 0.25, 0], "image_std": [1, 2, 3]})");
  EXPECT_EQ(ours.resize_shortest_edge, 64);
  EXPECT_EQ(ours.crop_size, 60);
  EXPECT_THAT(ours.mean, testing::ElementsAre(0.5F, 0.25F, 0.0F));
  EXPECT_THAT(ours.std, testing::ElementsAre(1.0F, 2.0F, 3.0F));
  const PreprocessOptions old = options_of(R"({"size": 336, "crop_size": 336})");
  EXPECT_EQ(old.resize_shortest_edge, 336);
  EXPECT_EQ(old.crop_size, 336);
  EXPECT_EQ(old.mean, PreprocessOptions{}.mean);
  const PreprocessOptions raw = options_of(R"({"do_normalize": false, "image_mean": [0.5, 0.5, 0.5]})");
  EXPECT_THAT(raw.mean, testing::Each(0.0F));
  EXPECT_THAT(raw.std, testing::Each(1.0F));
  EXPECT_EQ(raw.crop_size, 224);
}

TEST(PreprocessConfig, WhatIsNotSupportedIsNamed) {
  using testing::HasSubstr;
  EXPECT_THAT(config_error(R"({"resample": 2})"), HasSubstr("resample: expected 3 (bicubic), found 2"));
  EXPECT_THAT(config_error(R"({"size": {"height": 224, "width": 200}})"), HasSubstr("size: expected"));
  EXPECT_THAT(config_error(R"({"size": {"height": 224, "width": 224}, "crop_size": 200})"),
              HasSubstr("crop_size: expected the size that images are squashed to, found 200"));
  EXPECT_THAT(config_error(R"({"imagerank_resize": "longest"})"), HasSubstr("imagerank_resize: expected"));
  EXPECT_THAT(config_error(R"({"size": {"shortest_edge": 224, "longest_edge": 300}})"), HasSubstr("size: expected"));
  EXPECT_THAT(config_error(R"({"size": 0})"), HasSubstr("size: expected"));
  EXPECT_THAT(config_error(R"({"size": 1e30})"), HasSubstr("size: expected"));
  EXPECT_THAT(config_error(R"({"size": 99999999999})"), HasSubstr("size: expected"));
  EXPECT_THAT(config_error(R"({"size": "224"})"), HasSubstr("found \"224\""));
  EXPECT_THAT(config_error(R"({"crop_size": {"height": 224, "width": 200}})"), HasSubstr("crop_size: expected"));
  EXPECT_THAT(config_error(R"({"do_resize": false})"), HasSubstr("do_resize: expected true, found false"));
  EXPECT_THAT(config_error(R"({"do_center_crop": false})"), HasSubstr("do_center_crop"));
  EXPECT_THAT(config_error(R"({"do_rescale": false})"), HasSubstr("do_rescale"));
  EXPECT_THAT(config_error(R"({"do_normalize": "yes"})"), HasSubstr("do_normalize: expected true or false"));
  EXPECT_THAT(config_error(R"({"rescale_factor": 1})"), HasSubstr("rescale_factor"));
  EXPECT_THAT(config_error(R"({"image_mean": [0.5, 0.5]})"), HasSubstr("image_mean: expected three numbers"));
  EXPECT_THAT(config_error(R"({"image_std": [0.5, 0.5, 0]})"), HasSubstr("image_std: expected three numbers above 0"));
  EXPECT_THAT(config_error("[1, 2]"), HasSubstr("preprocessor_config.json: expected a JSON object"));
  EXPECT_THAT(config_error("{\"size\": 2"), HasSubstr("expected a JSON object"));
  const test::TemporaryFolder folder;
  try {
    (void)load_preprocess_options(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

}  // namespace
}  // namespace imagerank::images
