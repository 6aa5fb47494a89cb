#include "serving/base64.h"

#include <gtest/gtest.h>

namespace imagerank::serving {
namespace {

// RFC 4648, section 10.
TEST(Base64, GivesTheStandardsExamples) {
  const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
}

TEST(Base64, KeepsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(decode_base64(encode_base64(bytes)), bytes);
}

TEST(Base64, TakesTextWithoutPadding) { EXPECT_EQ(decode_base64("Zm8"), "fo"); }

TEST(Base64, RefusesOtherCharactersAndCutTexts) {
  for (const char* text : {"Zm9v!", "Zm 9v", "Zm9vY", "Z===", "====", "Zg==Zg==", "Zm-_"}) {
    EXPECT_FALSE(decode_base64(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace imagerank::serving
