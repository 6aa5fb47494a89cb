// ImageReward's model against PyTorch in float64, from image file to score, and files that are not what they say.
#include "blip/cross_encoder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "core/atomic_file.h"
#include "core/safetensors.h"
#include "core/tensor_file.h"
#include "imagerank/error.h"
#include "images/decode.h"
#include "support/picture.h"
#include "support/python.h"
#include "support/test_support.h"

namespace imagerank::blip {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string script() { return test::source_file("tests/reference/image_reward.py").string(); }

class CrossEncoders : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!test::has_torch()) return;
    folder_ = new test::TemporaryFolder;
    (void)test::run_python(script(), {"make", folder_->path().string()});
    const std::vector<std::pair<std::int32_t, std::int32_t>> sizes = {{97, 64}, {64, 131}, {200, 77}, {41, 41}};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      write_file_atomically(picture(i),
                            test::picture_png(sizes[i].first, sizes[i].second, static_cast<std::uint32_t>(i)));
    }
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    if (!test::has_torch()) GTEST_SKIP() << test::kNeedsTorch;
  }
  static fs::path folder() { return folder_->path(); }
  static fs::path picture(std::size_t index) { return folder() / fmt::format("p{}.png", index); }
  static CrossPlace place() { return {folder() / "ImageReward.pt", folder() / "vocab.txt"}; }
  static std::vector<std::string> prompts() {
    std::string beyond;
    for (int i = 0; i < 50; ++i) beyond += "car ";
    return {"a photo of the red car", "Two C\xc3\xa1ts, 猫!", "", "unheard-of words", beyond};
  }
  static std::vector<float> scores(const CrossEncoder& encoder, const fs::path& image,
                                   const std::vector<std::string>& texts) {
    std::vector<CrossPrompt> read;
    for (const std::string& text : texts) read.push_back(encoder.read_prompt(text));
    std::vector<const CrossPrompt*> asked;
    for (const CrossPrompt& prompt : read) asked.push_back(&prompt);
    std::vector<float> result(texts.size());
    encoder.score(images::preprocess(images::load_image(image), encoder.preprocessing()), asked, result);
    return result;
  }
  static void expect_equal_to_reference(const fs::path& model, const std::vector<fs::path>& pictures) {
    const CrossEncoder encoder = CrossEncoder::load({model / "ImageReward.pt", model / "vocab.txt"});
    nlohmann::json rows = nlohmann::json::array();
    std::vector<float> ours;
    for (const fs::path& image : pictures) {
      for (const std::string& prompt : prompts()) rows.push_back({image.string(), prompt});
      const std::vector<float> own = scores(encoder, image, prompts());
      ours.insert(ours.end(), own.begin(), own.end());
    }
    test::write_text(folder() / "rows.json", rows.dump());
    const auto theirs =
        nlohmann::json::parse(test::run_python(script(), {"score", model.string(), (folder() / "rows.json").string()}))
            .get<std::vector<double>>();
    ASSERT_EQ(theirs.size(), ours.size());
    double largest = 0.0, worst = 0.0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double error = std::abs(double{ours[i]} - theirs[i]) / std::max(1.0, std::abs(theirs[i]));
      EXPECT_LT(error, 1e-4) << rows[i];
      worst = std::max(worst, error);
      largest = std::max(largest, std::abs(theirs[i] - theirs[0]));
    }
    EXPECT_GT(largest, 0.05) << "the reference tells nothing apart";
    RecordProperty("largest_error", fmt::format("{}", worst));
    fmt::print("largest error {:.2g}, scores differ by {:.2g}\n", worst, largest);
  }
  /// The line that says what is wrong with the checkpoint after a change.
  static std::string refused(const std::function<void(std::map<std::string, TensorToWrite>&)>& change) {
    const TensorFile file(place().weights);
    std::map<std::string, TensorToWrite> tensors;
    for (const auto& [name, view] : file.tensors()) {
      tensors.emplace(name, TensorToWrite{view.type, view.shape, {view.bytes.begin(), view.bytes.end()}});
    }
    change(tensors);
    write_safetensors(folder() / "changed.pt", tensors);
    return error_of({folder() / "changed.pt", place().vocabulary}, ErrorCode::kCorruptData);
  }
  static std::string error_of(const CrossPlace& at, ErrorCode code) {
    try {
      (void)CrossEncoder::load(at);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "nothing";
  }

 private:
  static inline test::TemporaryFolder* folder_ = nullptr;
};

TEST_F(CrossEncoders, ScoresArePyTorchs) {
  expect_equal_to_reference(folder(), {picture(0), picture(1), picture(2), picture(3)});
}

TEST_F(CrossEncoders, ScoresArePyTorchsAtThePublishedSize) {
  if (std::getenv("IMAGERANK_FULL_SIZE") == nullptr) {  // NOLINT(concurrency-mt-unsafe): nothing sets it
    GTEST_SKIP() << "needs 8 GB of memory, 2 GB of disk and a few minutes; IMAGERANK_FULL_SIZE=1 runs it";
  }
  const test::TemporaryFolder full;
  (void)test::run_python(script(), {"make", full.path().string(), "full"});
  expect_equal_to_reference(full.path(), {picture(0), picture(1)});
}

TEST_F(CrossEncoders, NothingElseChangesAScore) {
  const CrossEncoder encoder = CrossEncoder::load(place());
  const std::vector<float> alone = {scores(encoder, picture(0), {prompts()[0]}).front(),
                                    scores(encoder, picture(0), {prompts()[1]}).front(),
                                    scores(encoder, picture(1), {prompts()[0]}).front()};
  EXPECT_NE(alone[0], alone[1]);
  EXPECT_NE(alone[0], alone[2]);
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back(fmt::format("word{} red car {}", i % 7, i));
  many.push_back(prompts()[1]);
  many.push_back(prompts()[0]);
  const std::vector<float> together = scores(encoder, picture(0), many);
  EXPECT_EQ(together[40], alone[1]);
  EXPECT_EQ(together[41], alone[0]);
  std::vector<std::jthread> threads;
  std::vector<float> found(4);
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = scores(encoder, picture(i % 2), {prompts()[0]}).front(); });
  }
  threads.clear();
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], i % 2 == 0 ? alone[0] : alone[2]);
}

TEST_F(CrossEncoders, AnOverlongPromptIsCutAndFlagged) {
  const CrossEncoder encoder = CrossEncoder::load(place());
  const CrossPrompt cut = encoder.read_prompt(prompts()[4]);
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.tokens.size(), 35U);
  EXPECT_EQ(cut.tokens.front(), encoder.read_prompt("").tokens.front());
  EXPECT_EQ(cut.tokens.back(), encoder.read_prompt("").tokens.back());
  std::string fits;
  for (int i = 0; i < 33; ++i) fits += "car ";
  EXPECT_FALSE(encoder.read_prompt(fits).truncated);
  EXPECT_TRUE(encoder.read_prompt(fits + "!").truncated);
}

TEST_F(CrossEncoders, TheNameFollowsWeightsAndVocabulary) {
  const std::string name = cross_encoder_name(place());
  EXPECT_THAT(name, testing::StartsWith("imagereward-fp32-"));
  EXPECT_EQ(CrossEncoder::load(place()).name(), name);
  EXPECT_TRUE(CrossEncoder::load(place()).untrained()) << "random numbers";
  fs::create_directories(folder() / "other");
  fs::copy_file(place().weights, folder() / "other/ImageReward.pt", fs::copy_options::overwrite_existing);
  std::string text = load_file(place().vocabulary);
  EXPECT_EQ(cross_encoder_name({folder() / "other/ImageReward.pt", place().vocabulary}), name);
  text.replace(text.find("picture"), 7, "painting");
  test::write_text(folder() / "other/vocab.txt", text);
  EXPECT_NE(cross_encoder_name({place().weights, folder() / "other/vocab.txt"}), name);
}

TEST_F(CrossEncoders, WhatIsMissingIsNamed) {
  const std::string missing = refused([](auto& tensors) {
    tensors.erase("blip.visual_encoder.blocks.1.attn.qkv.bias");
    tensors.erase("blip.text_encoder.encoder.layer.0.crossattention.self.key.weight");
    tensors.erase("mlp.layers.4.weight");
  });
  EXPECT_THAT(missing, AllOf(HasSubstr("'blip.visual_encoder.blocks.1.attn.qkv.bias' [576]"),
                             HasSubstr("'blip.text_encoder.encoder.layer.0.crossattention.self.key.weight' [128, 192]"),
                             HasSubstr("'mlp.layers.4.weight' [64, 128]"), HasSubstr("found no such tensor")));
  // A text side without cross-attention is another model.
  EXPECT_THAT(refused([](auto& tensors) {
                std::erase_if(
                    tensors, [](const auto& entry) { return entry.first.find("crossattention") != std::string::npos; });
              }),
              HasSubstr("crossattention.output.LayerNorm.weight"));
  EXPECT_THAT(refused([](auto& tensors) {
                tensors["blip.text_encoder.encoder.layer.1.output.dense.bias"] =
                    float_tensor(std::vector<float>(7), {7});
              }),
              HasSubstr("expected [128] as the rest of it says, found [7]"));
  EXPECT_THAT(refused([](auto& tensors) { tensors["mlp.layers.7.bias"] = float_tensor(std::vector<float>{NAN}, {1}); }),
              HasSubstr("expected finite numbers"));
  EXPECT_THAT(refused([](auto& tensors) {
                tensors["blip.visual_encoder.pos_embed"] = float_tensor(std::vector<float>(24 * 192), {1, 24, 192});
              }),
              HasSubstr("found 24 tokens"));
}

TEST_F(CrossEncoders, OtherFilesAreRefused) {
  test::write_text(folder() / "page.pt", "<!DOCTYPE html> not found");
  EXPECT_THAT(error_of({folder() / "page.pt", place().vocabulary}, ErrorCode::kCorruptData), HasSubstr("page.pt"));
  write_safetensors(folder() / "head.pt", {{"layers.0.weight", float_tensor(std::vector<float>(8), {1, 8})}});
  EXPECT_THAT(error_of({folder() / "head.pt", place().vocabulary}, ErrorCode::kCorruptData),
              AllOf(HasSubstr("expected ImageReward's checkpoint"), HasSubstr("found 1 tensors")));
  EXPECT_THAT(error_of({folder() / "none.pt", place().vocabulary}, ErrorCode::kNotFound), HasSubstr("none.pt"));
  test::write_text(folder() / "short.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
  EXPECT_THAT(error_of({place().weights, folder() / "short.txt"}, ErrorCode::kCorruptData),
              AllOf(HasSubstr("expected the 400 tokens"), HasSubstr("found 6")));
}

TEST_F(CrossEncoders, AConfigThatSaysOtherwiseIsRefused) {
  fs::create_directories(folder() / "configured");
  const CrossPlace at{folder() / "configured/ImageReward.pt", place().vocabulary};
  fs::copy_file(place().weights, at.weights, fs::copy_options::overwrite_existing);
  const fs::path config = folder() / "configured/med_config.json";
  test::write_text(config, R"({"num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12})");
  EXPECT_NO_THROW((void)CrossEncoder::load(at));
  test::write_text(config, R"({"num_attention_heads": 4})");
  EXPECT_THAT(error_of(at, ErrorCode::kCorruptData), HasSubstr("num_attention_heads: expected 2"));
  test::write_text(config, R"({"hidden_act": "relu"})");
  EXPECT_THAT(error_of(at, ErrorCode::kCorruptData), HasSubstr("found \"relu\""));
}

}  // namespace
}  // namespace imagerank::blip
