#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

#include "cli/command_embed.h"
#include "clip/models.h"
#include "core/npy.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/preprocess.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using ::testing::HasSubstr;

images::Image make_image(std::int32_t width, std::int32_t height, int shade) {
  images::Image image{width, height, {}};
  for (std::int32_t y = 0; y < height; ++y) {
    for (std::int32_t x = 0; x < width; ++x) {
      image.pixels.insert(image.pixels.end(), {static_cast<std::uint8_t>(x * 3), static_cast<std::uint8_t>(y * 2),
                                               static_cast<std::uint8_t>(shade)});
    }
  }
  return image;
}

struct Outcome {
  int code = -1;
  nlohmann::json json;
  std::string notes;
};

Outcome embed(const EmbedOptions& options) {
  std::ostringstream out, err;
  Terminal terminal(out, err, {true, false, false, 2, {}});
  Outcome run;
  run.code = run_embed(options, terminal);
  run.json = nlohmann::json::parse(out.str());
  run.notes = err.str();
  return run;
}

std::string embed_error(const EmbedOptions& options, ErrorCode code) {
  try {
    embed(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

bool is_nan_row(const std::vector<float>& values, std::size_t row, std::size_t dim) {
  for (std::size_t i = row * dim; i < (row + 1) * dim; ++i) {
    if (!std::isnan(values[i])) return false;
  }
  return true;
}

bool is_finite_row(const std::vector<float>& values, std::size_t row, std::size_t dim) {
  for (std::size_t i = row * dim; i < (row + 1) * dim; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

/// A random "tiny" model (64 px, 48 numbers a vector) with a tokenizer, and three images of which one is broken.
class Embed : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_.emplace();
    clip::train_tokenizer(std::vector<std::string>{"a red circle", "two blue squares"}, 520, *folder_ / "tokenizer");
    clip::write_random_model(clip::named_model_config("tiny"), *folder_ / "model", 1, *folder_ / "tokenizer");
    test::write_text(*folder_ / "images" / "a.png", images::encode_png(make_image(80, 64, 10)));
    test::write_text(*folder_ / "images" / "below" / "c.JPG", images::encode_jpeg(make_image(64, 100, 200)));
    test::write_text(*folder_ / "images" / "below" / "note.txt", "no image");
    test::write_text(*folder_ / "broken.png", "no image");
  }
  static void TearDownTestSuite() { folder_.reset(); }
  [[nodiscard]] static std::filesystem::path at(const std::string& name) { return *folder_ / name; }
  [[nodiscard]] EmbedOptions options() const {
    EmbedOptions result;
    result.model = at("model").string();
    result.out = scratch_ / "y.npy";
    return result;
  }
  [[nodiscard]] NpyFile output() const { return NpyFile(scratch_ / "y.npy"); }

  static std::optional<test::TemporaryFolder> folder_;
  test::TemporaryFolder scratch_;
};
std::optional<test::TemporaryFolder> Embed::folder_;

TEST_F(Embed, ImagesAreWhatPreprocessAndPixelsGive) {
  EmbedOptions images = options();
  images.images = {at("images").string()};
  const Outcome run = embed(images);
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(run.json["rows"], 2);
  EXPECT_EQ(run.json["dim"], 48);
  EXPECT_TRUE(run.json["failed"].empty());
  EXPECT_GT(run.json["seconds"], 0.0);
  EXPECT_TRUE(run.json["untrained"]);
  EXPECT_THAT(run.notes, HasSubstr("random weights"));
  const std::vector<float> from_files = output().to_float();
  EXPECT_EQ(output().shape(), (std::vector<std::size_t>{2, 48}));

  std::vector<float> pixels;
  const auto preprocessing = images::load_preprocess_options(at("model"));
  for (const char* name : {"images/a.png", "images/below/c.JPG"}) {
    const std::vector<float> tensor = images::preprocess(images::load_image(at(name)), preprocessing);
    pixels.insert(pixels.end(), tensor.begin(), tensor.end());
  }
  write_npy(scratch_ / "x.npy", pixels, std::array<std::size_t, 4>{2, 3, 64, 64});
  EmbedOptions array = options();
  array.pixels = scratch_ / "x.npy";
  EXPECT_EQ(embed(array).code, 0);
  EXPECT_EQ(output().to_float(), from_files);
}

TEST_F(Embed, ExifOrientationOnRequest) {
  EmbedOptions given = options();
  given.images = {test::testdata("images/exif_6.png").string(), test::testdata("images/exif_1.png").string()};
  EXPECT_EQ(embed(given).code, 0);
  const std::vector<float> stored = NpyFile(given.out).to_float();
  given.exif_orientation = true;
  EXPECT_EQ(embed(given).code, 0);
  const std::vector<float> turned = NpyFile(given.out).to_float();
  const auto dim = static_cast<std::ptrdiff_t>(turned.size() / 2);
  EXPECT_TRUE(std::equal(turned.begin() + dim, turned.end(), stored.begin() + dim));
  EXPECT_FALSE(std::equal(turned.begin(), turned.begin() + dim, stored.begin()));
}

TEST_F(Embed, ABrokenImageIsARowOfNan) {
  test::write_text(scratch_ / "list.txt",
                   at("images/a.png").string() + "\r\n\n" + at("broken.png").string() + "\n" + at("none.png").string());
  EmbedOptions given = options();
  given.images = {"@" + (scratch_ / "list.txt").string(), at("images/a.png").string()};
  given.batch = 3;
  const Outcome run = embed(given);
  EXPECT_EQ(run.code, 0);
  ASSERT_EQ(run.json["rows"], 4);
  ASSERT_EQ(run.json["failed"].size(), 2U);
  EXPECT_EQ(run.json["failed"][0]["item"], at("broken.png").string());
  EXPECT_EQ(run.json["failed"][0]["reason"], "corrupt");
  EXPECT_EQ(run.json["failed"][1]["reason"], "missing");
  const std::vector<float> values = output().to_float();
  EXPECT_TRUE(is_finite_row(values, 0, 48));
  EXPECT_TRUE(is_nan_row(values, 1, 48));
  EXPECT_TRUE(is_nan_row(values, 2, 48));
  for (std::size_t i = 0; i < 48; ++i) EXPECT_NEAR(values[i], values[std::size_t{3} * 48 + i], 1e-4);

  std::filesystem::remove(given.out);
  given.strict = true;
  EXPECT_EQ(embed(given).code, 1);
  EXPECT_FALSE(std::filesystem::exists(given.out));
  given.strict = false;
  given.images = {at("broken.png").string()};
  EXPECT_EQ(embed(given).code, 1) << "all failed";
  EXPECT_FALSE(std::filesystem::exists(given.out));
}

TEST_F(Embed, TextsAndNormalize) {
  test::write_text(scratch_ / "texts.txt", "a red circle\n\ntwo blue squares\r\na red circle");
  EmbedOptions given = options();
  given.texts = scratch_ / "texts.txt";
  EXPECT_EQ(embed(given).json["rows"], 4);
  const std::vector<float> plain = output().to_float();
  EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + 48, plain.begin() + std::ptrdiff_t{3} * 48));
  EXPECT_TRUE(is_finite_row(plain, 1, 48)) << "an empty prompt is a prompt";
  given.normalize = true;
  given.allow_untrained = true;
  EXPECT_EQ(embed(given).notes, "");
  const std::vector<float> normal = output().to_float();
  for (std::size_t row = 0; row < 4; ++row) {
    double length = 0.0, plain_length = 0.0, product = 0.0;
    for (std::size_t i = row * 48; i < (row + 1) * 48; ++i) {
      length += static_cast<double>(normal[i]) * static_cast<double>(normal[i]);
      plain_length += static_cast<double>(plain[i]) * static_cast<double>(plain[i]);
      product += static_cast<double>(normal[i]) * static_cast<double>(plain[i]);
    }
    EXPECT_NEAR(length, 1.0, 1e-6);
    EXPECT_NEAR(product / std::sqrt(plain_length), 1.0, 1e-6);
  }
}

TEST_F(Embed, JsonLinesAndTruncation) {
  std::string longest = "a";
  for (int i = 0; i < 100; ++i) longest += " circle";
  test::write_text(scratch_ / "texts.jsonl",
                   "{\"text\": \"a red circle\"}\n{\"prompt\": 1}\n{\"text\": \"" + longest + "\"}\n");
  EmbedOptions given = options();
  given.texts = scratch_ / "texts.jsonl";
  const Outcome run = embed(given);
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(run.json["rows"], 3);
  EXPECT_EQ(run.json["truncated"], 1);
  ASSERT_EQ(run.json["failed"].size(), 1U);
  EXPECT_THAT(run.json["failed"][0]["item"].get<std::string>(), HasSubstr("texts.jsonl:2"));
  EXPECT_TRUE(is_nan_row(output().to_float(), 1, 48));
  EXPECT_TRUE(is_finite_row(output().to_float(), 2, 48));
}

/// int64 tokens as a .npy file.
void write_tokens(const std::filesystem::path& path, const std::vector<std::int64_t>& tokens, std::size_t rows) {
  std::string bytes = npy_header(NpyType::kInt64, std::array<std::size_t, 2>{rows, tokens.size() / rows});
  bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(std::int64_t));
  test::write_text(path, bytes);
}

TEST_F(Embed, TokensEqualTheirText) {
  const auto tokenizer = clip::Tokenizer::load(at("model"));
  const std::int64_t end = tokenizer.end_of_text();
  const std::vector<std::int32_t> ids = tokenizer.tokenize("a red circle");
  std::vector<std::int64_t> tokens(ids.begin(), ids.end());
  const std::size_t length = tokens.size();
  tokens.insert(tokens.end(), length, 1);                         // no end of text
  tokens.insert(tokens.end(), {tokenizer.start_of_text(), end});  // short, padded
  tokens.resize(3 * length, end);
  write_tokens(scratch_ / "x.npy", tokens, 3);
  EmbedOptions given = options();
  given.tokens = scratch_ / "x.npy";
  const Outcome run = embed(given);
  EXPECT_EQ(run.code, 0);
  ASSERT_EQ(run.json["failed"].size(), 1U);
  EXPECT_EQ(run.json["failed"][0]["item"], "row 1");
  const std::vector<float> values = output().to_float();
  EXPECT_TRUE(is_nan_row(values, 1, 48));
  test::write_text(scratch_ / "texts.txt", "a red circle\n\n");
  EmbedOptions text = options();
  text.texts = scratch_ / "texts.txt";
  ASSERT_EQ(embed(text).code, 0);
  const std::vector<float> expected = output().to_float();
  for (std::size_t i = 0; i < 48; ++i) {
    EXPECT_NEAR(values[i], expected[i], 1e-4);
    EXPECT_NEAR(values[2 * 48 + i], expected[48 + i], 1e-4);
  }
}

TEST_F(Embed, PixelsThatAreNotFinite) {
  std::vector<float> pixels(2 * 3 * 64 * 64, 0.25F);
  pixels[7] = std::numeric_limits<float>::quiet_NaN();
  write_npy(scratch_ / "x.npy", pixels, std::array<std::size_t, 4>{2, 3, 64, 64});
  EmbedOptions given = options();
  given.pixels = scratch_ / "x.npy";
  const Outcome run = embed(given);
  ASSERT_EQ(run.json["failed"].size(), 1U);
  EXPECT_EQ(run.json["failed"][0]["reason"], "not_finite");
  EXPECT_TRUE(is_nan_row(output().to_float(), 0, 48));
  EXPECT_TRUE(is_finite_row(output().to_float(), 1, 48));
}

TEST_F(Embed, EachBadOptionOrFileIsOneClearError) {
  EmbedOptions given = options();
  EXPECT_THAT(embed_error(given, ErrorCode::kInvalidArgument), HasSubstr("one of --images"));
  given.texts = scratch_ / "none.txt";
  EXPECT_THAT(embed_error(given, ErrorCode::kNotFound), HasSubstr("none.txt"));
  test::write_text(given.texts, "");
  EXPECT_THAT(embed_error(given, ErrorCode::kNotFound), HasSubstr("empty"));
  test::write_text(given.texts, "a\n");
  given.text_cleaning = "none";
  EXPECT_THAT(embed_error(given, ErrorCode::kInvalidArgument), HasSubstr("--text-cleaning"));
  given.text_cleaning = "openai";
  EXPECT_EQ(embed_error(given, ErrorCode::kIo), "no error");
  given.precision = "fp16";
  EXPECT_THAT(embed_error(given, ErrorCode::kInvalidArgument), HasSubstr("--precision"));
  given.precision = "int8";
  EXPECT_EQ(embed_error(given, ErrorCode::kIo), "no error");
  given.precision = "fp32";
  given.batch = 4097;
  EXPECT_THAT(embed_error(given, ErrorCode::kInvalidArgument), HasSubstr("--batch"));
  given = options();
  write_npy(scratch_ / "x.npy", std::vector<float>(12), std::array<std::size_t, 4>{1, 3, 2, 2});
  given.pixels = scratch_ / "x.npy";
  EXPECT_THAT(embed_error(given, ErrorCode::kCorruptData),
              HasSubstr("expected floats [N, 3, 64, 64], found [1, 3, 2, 2]"));
  given.pixels.clear();
  given.tokens = scratch_ / "x.npy";
  EXPECT_THAT(embed_error(given, ErrorCode::kCorruptData), HasSubstr("expected integers [N, T]"));
  given = options();
  given.images = {scratch_.path().string()};
  EXPECT_THAT(embed_error(given, ErrorCode::kNotFound), HasSubstr("found none"));
  given.model = "nowhere";
  given.images = {at("images").string()};
  EXPECT_THAT(embed_error(given, ErrorCode::kNotFound), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace imagerank::cli
