#include "scoring/score_table.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/fail.h"

namespace imagerank::scoring {
namespace {

std::string error_of(const std::string& text) {
  try {
    (void)parse_score_table(text, "x.csv");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    return error.what();
  }
  return "nothing thrown";
}

TEST(ScoreTable, ReadsQuotesCommasLinesAndCrlf) {
  const ScoreTable table = parse_score_table(
      "\xef\xbb\xbfid,prompt,image\r\n1,\"a \"\"red\"\" car, "
      "parked\",a.png\r\n2,\"two\nlines\",\"b,c.png\"\r\n\r\n3,,d.png",
      "x.csv");
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.columns, (std::vector<std::string>{"id", "prompt", "image"}));
  EXPECT_EQ(table.rows[0][table.prompt_column], "a \"red\" car, parked");
  EXPECT_EQ(table.rows[1][table.prompt_column], "two\nlines");
  EXPECT_EQ(table.rows[1][table.image_column], "b,c.png");
  EXPECT_EQ(table.rows[2][table.prompt_column], "");
  EXPECT_EQ(table.rows[2][table.image_column], "d.png");
}

TEST(ScoreTable, WritesWhatItReadsWithAScore) {
  const ScoreTable table = parse_score_table("image,prompt\na.png,\"x, \"\"y\"\"\"\nb.png,z\n", "x.csv");
  const std::vector<float> scores = {0.5F, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(format_scored_table(table, scores), "image,prompt,score\na.png,\"x, \"\"y\"\"\",0.5\nb.png,z,nan\n");
  // Scored again, the column is replaced, not doubled.
  const ScoreTable again = parse_score_table(format_scored_table(table, scores), "x.csv");
  EXPECT_EQ(format_scored_table(again, std::vector<float>{1, 2}),
            "image,prompt,score\na.png,\"x, \"\"y\"\"\",1\nb.png,z,2\n");
}

TEST(ScoreTable, ScoresSurviveTheirText) {
  const ScoreTable table = parse_score_table("image,prompt\na,b\n", "x.csv");
  const float value = 0.1234567F;
  const ScoreTable read = parse_score_table(format_scored_table(table, std::vector<float>{value}), "x.csv");
  EXPECT_EQ(std::stof(read.rows[0][2]), value);
}

TEST(ScoreTable, BadTablesAreNamedByLine) {
  EXPECT_NE(error_of("").find("found nothing"), std::string::npos);
  EXPECT_NE(error_of("image,text\na,b\n").find("found image, text"), std::string::npos);
  EXPECT_NE(error_of("image,prompt\n").find("found none"), std::string::npos);
  EXPECT_NE(error_of("image,prompt\na,b\nc\n").find("line 3: expected 2 fields, found 1"), std::string::npos);
  EXPECT_NE(error_of("image,prompt\n\"a\nb\",c\nd\n").find("line 4"), std::string::npos);
  EXPECT_NE(error_of("image,prompt\na,\"b\n").find("never closed"), std::string::npos);
  EXPECT_NE(error_of("image,prompt\na,\"b\"c\n").find("after a quoted field"), std::string::npos);
}

}  // namespace
}  // namespace imagerank::scoring
