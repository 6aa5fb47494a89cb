#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "cli/command_tokenize.h"
#include "clip/tokenizer.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::cli {
namespace {

using ::testing::HasSubstr;

class TokenizeCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    clip::train_tokenizer(std::vector<std::string>{"a red circle", "a red square"}, 540, folder_.path());
    options_.model = folder_.path().string();
  }
  std::string run(const std::string& input) {
    std::istringstream in(input);
    std::ostringstream errors;
    Terminal terminal(out_, errors, {});
    EXPECT_EQ(run_tokenize(options_, in, out_, terminal), 0);
    return out_.str();
  }

  test::TemporaryFolder folder_;
  TokenizeOptions options_;
  std::ostringstream out_;
};

TEST_F(TokenizeCommand, AnswersLineByLine) {
  const clip::Tokenizer tokenizer = clip::Tokenizer::load(folder_.path());
  const auto start = tokenizer.start_of_text();
  const auto end = tokenizer.end_of_text();
  EXPECT_EQ(run("{\"text\": \"\"}\n\n{\"text\": \"A\", \"other\": 1}\r\n"),
            "{\"ids\": [" + std::to_string(start) + ", " + std::to_string(end) + "]}\n{\"ids\": [" +
                std::to_string(start) + ", " + std::to_string(256 + 64) + ", " + std::to_string(end) + "]}\n");
}

TEST_F(TokenizeCommand, CleansAsOpenAiIfAsked) {
  const std::string plain = run("{\"text\": \"\\\"a\\\"\"}\n");
  out_.str("");
  const std::string raw = run("{\"text\": \"&quot;a&quot;\"}\n");
  out_.str("");
  options_.text_cleaning = "openai";
  EXPECT_NE(raw, plain);
  EXPECT_EQ(run("{\"text\": \"&quot;a&quot;\"}\n"), plain);
}

TEST_F(TokenizeCommand, NamesTheBadLineAndAnswersThoseBefore) {
  for (const std::string bad : {"{\"text\"", "[1]", "{\"text\": 3}", "{\"ids\": []}"}) {
    out_.str("");
    try {
      run("{\"text\": \"a\"}\n" + bad + "\n{\"text\": \"a\"}\n");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("line 2")) << bad;
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    }
    const std::string answered = out_.str();
    EXPECT_EQ(std::ranges::count(answered, '\n'), 1) << bad;
  }
}

TEST_F(TokenizeCommand, SaysWhatItLookedFor) {
  options_.model = (folder_ / "nothing").string();
  EXPECT_THROW(run("{\"text\": \"a\"}\n"), Error);
}

}  // namespace
}  // namespace imagerank::cli
