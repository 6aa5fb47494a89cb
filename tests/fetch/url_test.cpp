#include "fetch/url.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>

namespace imagerank::fetch {
namespace {

bool is_private(const std::string& text) {
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return is_private_address(std::span(bytes).first(4));
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), bytes.data()), 1) << text;
  return is_private_address(bytes);
}

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

TEST(IsPrivateAddress, KnowsTheSpecialRanges) {
  for (const char* text : {"0.0.0.0",
                           "10.1.2.3",
                           "100.64.0.1",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.0.1",
                           "192.0.2.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "203.0.113.9",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::a00:1",
                           "2002:a00:1::",
                           "fc00::1",
                           "fd12:3456::1",
                           "fe80::1",
                           "fec0::1",
                           "ff02::1",
                           "2001:db8::1",
                           "2001::1",
                           "::7f00:1"}) {
    EXPECT_TRUE(is_private(text)) << text;
  }
  EXPECT_TRUE(is_private_address({}));
}

TEST(IsPrivateAddress, LeavesTheInternetAlone) {
  for (const char* text : {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
                           "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.0.1", "198.20.0.1",
                           "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2a00::1"}) {
    EXPECT_FALSE(is_private(text)) << text;
  }
}

}  // namespace
}  // namespace imagerank::fetch
