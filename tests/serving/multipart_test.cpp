#include "serving/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imagerank/error.h"

namespace imagerank::serving {
namespace {

std::string part(const std::string& disposition, const std::string& content) {
  return "--B\r\nContent-Disposition: " + disposition + "\r\n\r\n" + content + "\r\n";
}

std::string error_of(const std::string& body, const std::string& boundary = "B", std::size_t max_parts = 4) {
  try {
    (void)parse_form(body, boundary, max_parts);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MediaType, IsLowerCaseWithItsBoundary) {
  const MediaType type = parse_media_type("Multipart/Form-Data; charset=utf-8; boundary=\"a;b\"");
  EXPECT_EQ(type.type, "multipart/form-data");
  EXPECT_EQ(type.boundary, "a;b");
  EXPECT_EQ(parse_media_type("multipart/form-data; boundary=xyz").boundary, "xyz");
  EXPECT_EQ(parse_media_type("application/json").boundary, "");
}

TEST(Form, PartsKeepTheirBytes) {
  const std::string content("\0\r\n--A\r\n", 9);
  const std::string body = part("form-data; name=\"prompt\"", "a red car") +
                           part("form-data; filename=\"x;name=y.png\"; name=image", content) +
                           part("form-data; name=\"empty\"", "") + "--B--\r\n";
  const auto parts = parse_form(body, "B", 3);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].name, "prompt");
  EXPECT_EQ(parts[0].content, "a red car");
  EXPECT_EQ(parts[1].name, "image");
  EXPECT_EQ(parts[1].content, content);
  EXPECT_EQ(parts[2].content, "");
}

TEST(Form, WhatIsCutShortIsRefused) {
  const std::string whole = part("form-data; name=a", "1") + "--B--";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "") << length;
  }
  EXPECT_EQ(error_of(whole), "");
}

TEST(Form, WhatIsNoFormIsRefused) {
  using testing::HasSubstr;
  EXPECT_THAT(error_of("x", ""), HasSubstr("boundary"));
  EXPECT_THAT(error_of(part("form-data", "1") + "--B--"), HasSubstr("name"));
  std::string many;
  for (int i = 0; i < 5; ++i) many += part("form-data; name=a", "1");
  EXPECT_THAT(error_of(many + "--B--"), HasSubstr("at most 4"));
}

}  // namespace
}  // namespace imagerank::serving
