#include "fetch/url.h"

#include <gtest/gtest.h>

namespace imagerank::fetch {
namespace {

TEST(ParseUrl, TakesApartHttp) {
  const auto url = parse_url(" HTTPS://Images.Example.COM/a/b.png?x=1 \n");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "images.example.com");
  EXPECT_EQ(url->host_key(), "images.example.com:443");
  EXPECT_EQ(parse_url("http://h:8765/x")->host_key(), "h:8765");
}

TEST(ParseUrl, EncodesSpacesAndNonAscii) {
  EXPECT_EQ(parse_url("http://h/a cat \xc3\xa9.png")->text, "http://h/a%20cat%20%c3%a9.png");
  EXPECT_EQ(parse_url("http://h/a%20cat.png")->text, "http://h/a%20cat.png");
}

TEST(ParseUrl, DecodesFilePaths) {
  EXPECT_EQ(parse_url("file:///data/a%20b.png")->path, "/data/a b.png");
  EXPECT_EQ(parse_url("file:///data/a.png")->host_key(), "");
}

TEST(ParseUrl, RefusesWhatIsNoImageUrl) {
  for (const char* text :
       {"", "  ", "a.png", "/etc/passwd", "//host/a.png", "ftp://h/a.png", "gopher://h/1", "javascript:alert(1)",
        "http://", "file://otherhost/a.png", "data:,x", "http://h:99999/", "http://h/\x01"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
  EXPECT_FALSE(parse_url(std::string_view("http://h/\0x", 11)));
}

}  // namespace
}  // namespace imagerank::fetch
