#include "fetch/robots.h"

#include <gtest/gtest.h>

namespace imagerank::fetch {
namespace {

TEST(Robots, ReadsHeaders) {
  const Header header = parse_header("X-Robots-Tag:  noai \r\n");
  EXPECT_EQ(header.name, "x-robots-tag");
  EXPECT_EQ(header.value, "noai");
  EXPECT_EQ(parse_header("\r\n").name, "");
  EXPECT_EQ(parse_header("nonsense").name, "");
  EXPECT_EQ(parse_header("A: b:c").value, "b:c");
}

TEST(Robots, KnowsWhoIsSpokenTo) {
  for (const char* text :
       {"noai", "NOAI", "noindex, noai", "noimageai", "imagerank: noai", "otherbot: noindex, imagerank: noimageai",
        "unavailable_after: 25 Jun 2030 15:00:00 PST, noai"}) {
    EXPECT_TRUE(forbids_ai(text)) << text;
  }
  for (const char* text : {"", "noindex", "none", "noaix", "otherbot: noai", "otherbot: noindex, noai", ",,:,"}) {
    EXPECT_FALSE(forbids_ai(text)) << text;
  }
}

}  // namespace
}  // namespace imagerank::fetch
