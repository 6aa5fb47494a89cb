#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/command_pretrain.h"
#include "clip/encoder.h"
#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "images/encode.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using ::testing::HasSubstr;

/// 24 pictures in four colours, one of them broken.
class PretrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto workspace = workspace::Workspace::create(data_.path());
    const std::vector<std::string> names = {"red", "green", "blue", "grey"};
    for (int i = 0; i < 24; ++i) {
      images::Image picture{20, 16, std::vector<std::uint8_t>(std::size_t{20} * 16 * 3, 40)};
      for (std::size_t k = 0; k < picture.pixels.size(); ++k) {
        if (static_cast<int>(k % 3) == i % 4) picture.pixels[k] = static_cast<std::uint8_t>(180 + i);
      }
      workspace::Image row;
      row.image_uid = "image" + std::to_string(i);
      row.path = row.image_uid + ".png";
      row.status = "ok";
      prompts_.push_back("a " + names[static_cast<std::size_t>(i % 4)] + " picture");
      write_file_atomically(data_ / row.path, i == 5 ? "broken" : images::encode_png(picture));
      rows_.push_back(row);
    }
    options_.data = data_.path();
    options_.out = out_ / "model";
    options_.steps = 3;
    options_.batch = 8;
    options_.image_size = 16;
    options_.width = options_.text_width = 32;
    options_.layers = options_.text_layers = 1;
    options_.dim = 16;
    options_.vocabulary = 530;
  }
  void write_images(bool with_prompts) {
    for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i].prompt = with_prompts ? prompts_[i] : "";
    workspace::Workspace::open(data_.path()).write_images(rows_);
  }
  nlohmann::json run() {
    std::ostringstream out, errors;
    Terminal::Options settings;
    settings.json = true;
    settings.threads = 2;
    Terminal terminal(out, errors, settings);
    EXPECT_EQ(run_pretrain(options_, terminal), 0);
    errors_ = errors.str();
    return nlohmann::json::parse(out.str());
  }

  test::TemporaryFolder data_, out_;
  std::vector<workspace::Image> rows_;
  std::vector<std::string> prompts_;
  PretrainOptions options_;
  std::string errors_;
};

TEST_F(PretrainCommand, MakesAFolderThatTheEncoderLoads) {
  write_images(true);
  const auto result = run();
  EXPECT_EQ(result.at("steps"), 3);
  EXPECT_EQ(result.at("pairs"), 23);
  EXPECT_EQ(result.at("failed"), 1);
  EXPECT_GT(result.at("seconds").get<double>(), 0.0);
  EXPECT_GT(result.at("loss").get<double>(), 0.0);
  EXPECT_TRUE(result.at("retrieval").is_null());
  EXPECT_THAT(errors_, HasSubstr("image5.png"));
  for (const char* name :
       {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors", "pretrain.json"}) {
    EXPECT_TRUE(std::filesystem::exists(options_.out / name)) << name;
  }
  const clip::Encoder encoder = clip::Encoder::load(options_.out.string(), {});
  EXPECT_EQ(encoder.dim(), 16U);
  EXPECT_EQ(encoder.image_size(), 16U);
  EXPECT_EQ(encoder.embed_texts(prompts_).values.size(), prompts_.size() * 16);
}

TEST_F(PretrainCommand, TheSameCommandAgainDoesNothingAnotherIsRefused) {
  write_images(true);
  const auto first = run();
  const auto written = std::filesystem::last_write_time(options_.out / "model.safetensors");
  EXPECT_EQ(run(), first);
  EXPECT_EQ(std::filesystem::last_write_time(options_.out / "model.safetensors"), written);
  options_.seed = 9;
  EXPECT_THROW(run(), Error);
  options_.overwrite = true;
  EXPECT_EQ(run().at("options").at("seed"), 9);
}

TEST_F(PretrainCommand, FallsBackOnTheWinnersOfRankings) {
  write_images(false);
  std::vector<workspace::Ranking> rankings;
  for (int i = 0; i < 4; ++i) {
    workspace::Ranking ranking;
    ranking.ranking_id = std::to_string(i);
    ranking.prompt = prompts_[static_cast<std::size_t>(i)];
    ranking.image_uids = {"image" + std::to_string(i), "image6"};
    if (i < 3) ranking.best_image_uid = "image" + std::to_string(i);
    rankings.push_back(ranking);
  }
  workspace::Workspace::open(data_.path()).write_rankings(rankings);
  EXPECT_EQ(run().at("pairs"), 3);
}

TEST_F(PretrainCommand, SaysWhatIsMissing) {
  write_images(false);
  EXPECT_THROW(run(), Error);
  options_.data = data_ / "nothing";
  EXPECT_THROW(run(), Error);
  EXPECT_FALSE(std::filesystem::exists(options_.out / "model.safetensors"));
}

TEST_F(PretrainCommand, RetrievalNeedsAWholeGroup) {
  write_images(true);
  options_.eval_data = data_.path();
  EXPECT_THROW(run(), Error);  // 23 pairs, groups of 64
}

}  // namespace
}  // namespace imagerank::cli
