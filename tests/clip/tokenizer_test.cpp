#include "clip/tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "clip/text_cleaning.h"
#include "clip/tokenizer_text.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::clip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  TextSplitter({{kClipSplitPattern, false}}).split(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(TextSplitter, FollowsClipsPattern) {
  EXPECT_THAT(split("it's 42!! don't"), ElementsAre("it", "'s", "4", "2", "!!", "don", "'t"));
  // A symbol run swallows an apostrophe that stands behind it; 'x is no contraction.
  EXPECT_THAT(split("!'s 'x 'll"), ElementsAre("!'", "s", "'", "x", "'ll"));
  EXPECT_THAT(split("é½²漢字\u3000😀"), ElementsAre("é", "½", "²", "漢字", "😀"));
  EXPECT_THAT(split(" \t\n\x0b\u0085\u2028"), ElementsAre());
  EXPECT_THAT(split("\x1c"), ElementsAre("\x1c"));  // a separator for Python, no White_Space for Unicode
}

TEST(TextSplitter, GenericPatternsAgreeWithTheHandWrittenOne) {
  // A group around the pattern keeps its meaning but hides it from the hand-written matcher.
  const TextSplitter generic({{std::string("(?:") + kClipSplitPattern + ")", false}});
  for (const std::string text : {"it's 42!! don't", "!'s 'x 'll", "é½²漢字\u3000😀", " a\u00a0b\u0085c ", ""}) {
    std::vector<std::string> words;
    generic.split(text, [&](std::string_view word) { words.emplace_back(word); });
    EXPECT_EQ(words, split(text)) << text;
  }
}

TEST(TextNormalizer, LowersWithoutContext) {
  const TextNormalizer normalizer(
      {{NormalizerKind::kNfc, {}, {}}, {NormalizerKind::kReplace, "\\s+", " "}, {NormalizerKind::kLowercase, {}, {}}});
  EXPECT_EQ(normalizer.normalize("A\u3000\u00a0 B"), "a b");
  EXPECT_EQ(normalizer.normalize("\u039f\u0394\u039f\u03a3"), "\u03bf\u03b4\u03bf\u03c3");  // no final sigma
  EXPECT_EQ(normalizer.normalize("\u0130"), "i\u0307");
  EXPECT_EQ(normalizer.normalize("E\u0301"), "\u00e9");
  EXPECT_EQ(normalizer.normalize("\u1e9e"), "\u00df");
}

TEST(TextNormalizer, TreatsAsciiAsOtherText) {
  // The same ASCII alone takes a path of its own.
  std::string ascii;
  for (char c = 1; c < 127; ++c) ascii += fmt::format("{}{}Ab {}\t\n", c, c, c);
  for (const std::string content : {" ", "", "--"}) {
    const TextNormalizer normalizer({{NormalizerKind::kNfc, {}, {}},
                                     {NormalizerKind::kReplace, "\\s+", content},
                                     {NormalizerKind::kLowercase, {}, {}}});
    EXPECT_EQ(normalizer.normalize(ascii) + "\u00e9", normalizer.normalize(ascii + "\u00e9")) << content;
  }
  const TextNormalizer normalizer({{NormalizerKind::kReplace, "\\s+", " "}, {NormalizerKind::kLowercase, {}, {}}});
  EXPECT_EQ(normalizer.normalize(" \t A\x0b\x0c\rZ@[\x1c\x1f "), " a z@[\x1c\x1f ");
}

TEST(TextNormalizer, RepairsBrokenUtf8) {
  EXPECT_EQ(repair_utf8("a\xff"
                        "b\xe2\x82"),
            "a\ufffdb\ufffd");
}

/// The reference texts with CLIP's vocabulary in each of its forms.
class ClipVocabulary : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(ClipVocabulary, GivesTheReferenceIds) {
  IMAGERANK_SHARED_DATA(reference, "fixtures/tokenizer_reference.jsonl");
  const test::TemporaryFolder folder;
  for (const std::string& name : GetParam()) {
    IMAGERANK_SHARED_DATA(file, "clip_tokenizer/" + name);
    std::filesystem::create_symlink(std::filesystem::absolute(file), folder / name);
  }
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.start_of_text(), 49406);
  EXPECT_EQ(tokenizer.end_of_text(), 49407);
  EXPECT_EQ(tokenizer.vocabulary_size(), 49408);
  std::ifstream lines(reference);
  std::string line;
  std::size_t count = 0;
  for (; std::getline(lines, line); ++count) {
    const auto row = nlohmann::json::parse(line);
    const auto text = row.at("text").get<std::string>();
    ASSERT_EQ(tokenizer.tokenize(text), row.at("ids").get<Ids>()) << text;
    ASSERT_EQ(tokenizer.tokenize(text), row.at("ids").get<Ids>()) << "from the cache: " << text;
  }
  EXPECT_EQ(count, 2512U);
}

INSTANTIATE_TEST_SUITE_P(Forms, ClipVocabulary,
                         ::testing::Values(std::vector<std::string>{"tokenizer.json"},
                                           std::vector<std::string>{"vocab.json", "merges.txt"},
                                           std::vector<std::string>{"bpe_simple_vocab_16e6.txt.gz"}));

TEST(Tokenizer, SpecialTokensInsideATextAreOneId) {
  IMAGERANK_SHARED_DATA(file, "clip_tokenizer/tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::load(file.parent_path());
  EXPECT_THAT(tokenizer.tokenize("a<|endoftext|>a"), ElementsAre(49406, 320, 49407, 320, 49407));
  // The start is looked for after lower-casing, the end before it, as tokenizer.json says.
  EXPECT_THAT(tokenizer.tokenize("<|STARTOFTEXT|>a"), ElementsAre(49406, 49406, 320, 49407));
  EXPECT_GT(tokenizer.tokenize("<|ENDOFTEXT|>").size(), 3U);
  EXPECT_THAT(tokenizer.tokenize(""), ElementsAre(49406, 49407));
}

TEST(Tokenizer, LongWordsMergeAsShortOnesDo) {
  IMAGERANK_SHARED_DATA(file, "clip_tokenizer/tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::load(file.parent_path());
  // 200 symbols go through the queue. Separated, each word is short and goes through the scan.
  std::string joined;
  for (int i = 0; i < 50; ++i) joined += "\u0d9e\u0d9e";
  const Ids ids = tokenizer.tokenize(joined);
  std::int64_t bytes = 0;
  for (std::size_t i = 1; i + 1 < ids.size(); ++i) {
    EXPECT_LT(ids[i], 49406);
    ++bytes;
  }
  EXPECT_GE(bytes, 100);
  EXPECT_EQ(tokenizer.tokenize(joined), ids);
}

TEST(Tokenizer, ThreadsGetTheSameIds) {
  IMAGERANK_SHARED_DATA(file, "clip_tokenizer/tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::load(file.parent_path());
  const std::string text = "A portrait of two cats, highly detailed, 8k, trending on artstation";
  const Ids expected = tokenizer.tokenize(text);
  std::vector<std::jthread> pool;
  std::vector<int> wrong(8, 0);
  for (int& errors : wrong) {
    pool.emplace_back([&] {
      for (int k = 0; k < 200; ++k) errors += tokenizer.tokenize(text) == expected ? 0 : 1;
    });
  }
  pool.clear();
  EXPECT_THAT(wrong, ::testing::Each(0));
}

std::string load_error(const std::filesystem::path& folder) {
  try {
    (void)Tokenizer::load(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tokenizer, SaysWhatIsWrongWithItsFiles) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(load_error(folder.path()), HasSubstr("bpe_simple_vocab_16e6.txt.gz"));
  test::write_text(folder / "tokenizer.json", "{");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("expected JSON"));
  test::write_text(folder / "tokenizer.json", R"({"model": {"type": "WordPiece", "vocab": {}}})");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("expected BPE, found WordPiece"));
  test::write_text(folder / "tokenizer.json", R"({"model": {"vocab": {"a": -1}, "merges": []}})");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("id of \"a\""));
  test::write_text(folder / "tokenizer.json", R"({"model": {"vocab": {"a": 1}, "merges": ["a"]}})");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("model.merges"));
  test::write_text(folder / "tokenizer.json",
                   R"({"model": {"vocab": {"a": 1}}, "normalizer": {"type": "BertNormalizer"}})");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("found BertNormalizer"));
}

TEST(Tokenizer, RefusesACutGzip) {
  IMAGERANK_SHARED_DATA(file, "clip_tokenizer/bpe_simple_vocab_16e6.txt.gz");
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(file, folder / "bpe_simple_vocab_16e6.txt.gz");
  std::filesystem::permissions(folder / "bpe_simple_vocab_16e6.txt.gz", std::filesystem::perms::owner_all);
  std::filesystem::resize_file(folder / "bpe_simple_vocab_16e6.txt.gz", 100'000);
  EXPECT_THAT(load_error(folder.path()), HasSubstr("gzip"));
}

TEST(TextCleaning, RepairsWhatFtfyRepairs) {
  EXPECT_EQ(clean_text_as_openai("caf\u00c3\u00a9"), "café");
  EXPECT_EQ(clean_text_as_openai("caf\u00e9"), "café");
  EXPECT_EQ(clean_text_as_openai("don\u00e2\u20ac\u2122t"), "don't");
  EXPECT_EQ(clean_text_as_openai("\ufb01ne \uff26\uff35\uff2c\uff2c"), "fine FULL");
  EXPECT_EQ(clean_text_as_openai("\u201cyes\u201d"), "\"yes\"");
  EXPECT_EQ(clean_text_as_openai("a\r\nb\rc"), "a\nb\nc");
  EXPECT_EQ(clean_text_as_openai("\x1b[31mred\x1b[0m\x01"), "red");
  EXPECT_EQ(clean_text_as_openai(" \u3000 x \n"), "x");
}

TEST(TextCleaning, UnescapesHtmlTwice) {
  EXPECT_EQ(clean_text_as_openai("a &amp;lt; b"), "a < b");
  EXPECT_EQ(unescape_html("&eacute;&#233;&#xE9;&eacute"), "éééé");
  EXPECT_EQ(unescape_html("&notit; &alpha &alpha;"), "\u00acit; &alpha \u03b1");
  EXPECT_EQ(unescape_html("&#128; &#0; &#xD800; &#1;|"), "\u20ac \ufffd \ufffd |");
  EXPECT_EQ(unescape_html("& &; &#; &#x; &unknown;"), "& &; &#; &#x; &unknown;");
}

}  // namespace
}  // namespace imagerank::clip
