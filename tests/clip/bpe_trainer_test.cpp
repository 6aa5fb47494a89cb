#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "clip/tokenizer.h"
#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::ElementsAre;

TEST(BpeTrainer, LearnsTheMostFrequentPairsFirst) {
  const test::TemporaryFolder folder;
  // Pairs by words: "ab" 3 of "abc" and 1 of "ab" with its end; worked by hand: b+c</w> and a+b tie at 3, the smaller
  // ids win (a is 64 in CLIP's numbering, b 65), then ab+c</w> stands 3 times; ab</w> stands once and is not learned.
  const std::vector<std::string> texts = {"abc ABC", "abc, ab"};
  train_tokenizer(texts, 600, folder.path());
  const auto json = nlohmann::json::parse(load_file(folder / "tokenizer.json"));
  EXPECT_THAT(json.at("model").at("merges").get<std::vector<std::string>>(), ElementsAre("a b", "ab c</w>"));
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.vocabulary_size(), 512 + 2 + 2);
  EXPECT_THAT(tokenizer.tokenize("abc"), ElementsAre(514, 513, 515));
  EXPECT_EQ(tokenizer.start_of_text(), 514);
  EXPECT_EQ(tokenizer.end_of_text(), 515);
  // Anything at all can be said in bytes.
  EXPECT_EQ(tokenizer.tokenize("\u6f22").size(), 5U);
}

TEST(BpeTrainer, StopsAtTheSizeAskedFor) {
  const test::TemporaryFolder folder;
  const std::vector<std::string> texts(10, "a photo of a red circle beside two blue squares on the grass");
  train_tokenizer(texts, 530, folder.path());
  EXPECT_EQ(Tokenizer::load(folder.path()).vocabulary_size(), 530);
  EXPECT_THROW(train_tokenizer(texts, 513, folder.path()), Error);
}

TEST(BpeTrainer, IsDeterministic) {
  const test::TemporaryFolder first, second;
  const std::vector<std::string> texts = {"un cercle rouge", "zwei \u00e4pfel", "two apples", "two red circles"};
  train_tokenizer(texts, 560, first.path());
  train_tokenizer(texts, 560, second.path());
  EXPECT_EQ(load_file(first / "tokenizer.json"), load_file(second / "tokenizer.json"));
}

TEST(BpeTrainer, ManagesWithoutTexts) {
  const test::TemporaryFolder folder;
  train_tokenizer({}, 600, folder.path());
  EXPECT_EQ(Tokenizer::load(folder.path()).tokenize("ab").size(), 4U);
}

}  // namespace
}  // namespace imagerank::clip
