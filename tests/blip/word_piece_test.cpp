// BERT's uncased WordPiece: cases worked by hand, and a reference in Python.
#include "blip/word_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "imagerank/error.h"
#include "support/python.h"
#include "support/test_support.h"

namespace imagerank::blip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Words : public testing::Test {
 protected:
  static std::filesystem::path vocabulary() {
    static const test::TemporaryFolder folder;
    static bool written = false;
    if (!written) {
      test::write_text(
          folder / "vocab.txt",
          "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nred\ncar\n##s\ncafe\n,\n!\n猫\n車\n\xcf\x82\n"
          "a\n##\xcf\x82\n##b\n-\nfi\n");
      written = true;
    }
    return folder / "vocab.txt";
  }
  static std::vector<std::int64_t> tokens(const std::string& text) {
    std::vector<std::int64_t> ids = WordPiece(vocabulary()).tokenize(text);
    EXPECT_EQ(ids.front(), 2);
    EXPECT_EQ(ids.back(), 3);
    return {ids.begin() + 1, ids.end() - 1};
  }
  static std::string refused(const std::string& vocabulary) {
    const test::TemporaryFolder folder;
    test::write_text(folder / "vocab.txt", vocabulary);
    try {
      (void)WordPiece(folder / "vocab.txt");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
      return error.what();
    }
    return "nothing";
  }
};

TEST_F(Words, AreTheLongestPiecesFromTheLeft) {
  EXPECT_THAT(tokens("unaffable"), ElementsAre(5, 6, 7));
  EXPECT_THAT(tokens("Red CARS"), ElementsAre(8, 9, 10));
  EXPECT_THAT(tokens("redcar"), ElementsAre(1)) << "##car is no piece: the whole word is unknown";
  EXPECT_THAT(tokens(""), ElementsAre());
  EXPECT_THAT(tokens("  red \t\n car\r"), ElementsAre(8, 9));
}

TEST_F(Words, AccentsAreStrippedAndPunctuationStandsAlone) {
  EXPECT_THAT(tokens("Caf\xc3\xa9,CAFE\xcc\x81!!"), ElementsAre(11, 12, 11, 13, 13));
  EXPECT_THAT(tokens("red-car"), ElementsAre(8, 20, 9));
  EXPECT_THAT(tokens("red\xe2\x80\x94"
                     "car"),
              ElementsAre(8, 1, 9))
      << "an em dash that the vocabulary lacks";
}

TEST_F(Words, ChineseCharactersAreWords) {
  EXPECT_THAT(tokens("red猫車s"), ElementsAre(8, 14, 15, 1));
  EXPECT_THAT(tokens("ねこ"), ElementsAre(1)) << "kana are not";
}

TEST_F(Words, ControlCharactersAndBrokenBytesVanish) {
  EXPECT_THAT(tokens(std::string("re\0d c\x01\x7f"
                                 "ar",
                                 10)),
              ElementsAre(8, 9));
  EXPECT_THAT(tokens("re\xe2\x80\x8b"
                     "d"),
              ElementsAre(8))
      << "a zero-width space is of category Cf";
  EXPECT_THAT(tokens("re\xff"
                     "d ca\xc3r"),
              ElementsAre(8, 9));
  EXPECT_THAT(tokens("red\xc2\xa0"
                     "car\xe3\x80\x80"
                     "red\xe2\x80\xa8"
                     "car"),
              ElementsAre(8, 9, 8, 9))
      << "spaces";
}

TEST_F(Words, LowerCaseIsPythons) {
  EXPECT_THAT(tokens("\xce\x91\xce\xa3"), ElementsAre(1));
  EXPECT_THAT(tokens("A\xce\xa3"), ElementsAre(17, 18)) << "a sigma at a word's end is the final one";
  EXPECT_THAT(tokens("\xef\xac\x81"), ElementsAre(1)) << "a ligature is no two letters";
}

TEST_F(Words, OverlongOnesAreUnknown) {
  EXPECT_THAT(tokens("a" + std::string(99, 'b')), testing::SizeIs(100));
  EXPECT_THAT(tokens("a" + std::string(100, 'b')), ElementsAre(1));
  EXPECT_THAT(tokens("a" + std::string(100, 'b') + " red"), ElementsAre(1, 8));
}

TEST_F(Words, SpecialTokensStandForThemselves) {
  EXPECT_THAT(tokens("red[MASK]car [SEP]"), ElementsAre(8, 4, 9, 3));
  EXPECT_THAT(tokens("[mask]"), ElementsAre(1, 1, 1)) << "in capitals only";
  EXPECT_THAT(tokens("[ENC]"), ElementsAre(23)) << "behind [DEC], behind the vocabulary";
  EXPECT_EQ(WordPiece(vocabulary()).size(), 24);
}

TEST_F(Words, ABrokenVocabularyIsOneLine) {
  EXPECT_THAT(refused("[PAD]\n[UNK]\n[CLS]\n"), HasSubstr("3 lines without [SEP]"));
  EXPECT_THAT(refused("[PAD]\n\n[UNK]\n"), HasSubstr("line 2: expected a token"));
  EXPECT_THAT(refused("[PAD]\nred\nred\n"), HasSubstr("line 3: expected each token once, found 'red' again"));
  EXPECT_THAT(refused("<html>not found</html>"), HasSubstr("without [CLS]"));
  try {
    (void)WordPiece("/nowhere/vocab.txt");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

TEST_F(Words, AreThoseOfTheReference) {
  if (!test::has_torch()) GTEST_SKIP() << test::kNeedsTorch;
  const test::TemporaryFolder folder;
  const std::string script = test::source_file("tests/reference/image_reward.py").string();
  (void)test::run_python(script, {"make", folder.path().string()});
  std::vector<std::string> texts = {"A photo of the red cars, with trees!",
                                    "Stra\xc3\x9f"
                                    "e \xc3\x89t\xc3\xa9 na\xc3\xafve \xc4\xb0stanbul",
                                    "\xce\x9f\xce\x94\xce\xa5\xce\xa3\xce\xa3\xce\x95\xce\x91\xce\xa3 \xce\xa3",
                                    "猫と車 a猫b",
                                    "[MASK] [mask] [ENC]x",
                                    "tabs\tand\nlines\r\n",
                                    "e\xcc\x81\xcc\x88 combining",
                                    "\xf0\x9f\x90\xb1 emoji \xe2\x9c\xa8",
                                    "1/2 50% (((masterpiece:1.2)))",
                                    "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
                                    "\xed\x95\x9c\xea\xb5\xad",
                                    "\xef\xb8\x8f"};
  // And the project's own list of awkward texts, where it is at hand.
  if (const auto shared = test::find_shared_data("fixtures/tokenizer_reference.jsonl"); !shared.empty()) {
    for (const std::string& line : test::lines_of(shared)) texts.push_back(nlohmann::json::parse(line).at("text"));
  }
  test::write_text(folder / "texts.json", nlohmann::json(texts).dump());
  const auto expected = nlohmann::json::parse(
      test::run_python(script, {"tokens", (folder / "vocab.txt").string(), (folder / "texts.json").string()}));
  const WordPiece words(folder / "vocab.txt");
  ASSERT_EQ(expected.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(words.tokenize(texts[i]), expected[i].get<std::vector<std::int64_t>>()) << texts[i];
  }
}

}  // namespace
}  // namespace imagerank::blip
