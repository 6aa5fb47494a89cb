#include "hub/repository.h"

#include <gtest/gtest.h>

#include "hub/blob_hash.h"
#include "hub/http.h"
#include "hub/listing.h"

namespace imagerank::hub {
namespace {

TEST(Repository, PatternsAsFnmatchHasThem) {
  EXPECT_TRUE(is_wanted("data/a.parquet", {}));
  EXPECT_TRUE(is_wanted("data/a.parquet", {"*.parquet"}));
  EXPECT_TRUE(is_wanted("data/a.parquet", {"*.csv", "data/"}));
  EXPECT_TRUE(is_wanted("data/a1.parquet", {"data/a[0-9].parquet"}));
  EXPECT_FALSE(is_wanted("data/a1.parquet", {"data/a[!0-9].parquet"}));
  EXPECT_FALSE(is_wanted("data/a.parquet", {"a.parquet"}));
}

TEST(Repository, FileUrlsAreEncoded) {
  HubSettings settings;
  settings.endpoint = "http://h";
  EXPECT_EQ(file_url(settings, {RepositoryKind::kDataset, "o/n"}, "c0", "data/a b#1?.csv"),
            "http://h/datasets/o/n/resolve/c0/data/a%20b%231%3F.csv");
  EXPECT_EQ(file_url(settings, {RepositoryKind::kModel, "o/n"}, "c0", "x"), "http://h/o/n/resolve/c0/x");
  EXPECT_EQ(url_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
}

TEST(Repository, ShownUrlsHideWhoAsksAndSignatures) {
  EXPECT_EQ(shown_url("https://me:pw@cdn.example/a/b?X-Signature=s#f"), "https://cdn.example/a/b");
  EXPECT_EQ(shown_url("http://127.0.0.1:80/x@y"), "http://127.0.0.1:80/x@y");
}

TEST(Listing, NextLink) {
  EXPECT_EQ(next_link("<https://h/t?cursor=a,b>; rel=\"next\""), "https://h/t?cursor=a,b");
  EXPECT_EQ(next_link("<https://h/1>; rel=\"prev\", <https://h/3>; rel=\"next\""), "https://h/3");
  EXPECT_EQ(next_link("<https://h/1>; rel=\"prev\""), "");
  EXPECT_EQ(next_link(""), "");
  EXPECT_EQ(next_link("<unfinished"), "");
}

/// The values that `sha256sum` and `git hash-object` print.
TEST(BlobDigest, KnownValues) {
  const auto digest = [](const std::string& text, std::size_t digits) {
    Digest hash = blob_digest(std::string(digits, '0'), text.size());
    hash.update(std::as_bytes(std::span(text)));
    return hash.hex_digest();
  };
  EXPECT_EQ(digest("hello\n", 64), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(digest("hello\n", 40), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(digest("", 40), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_FALSE(is_checksum("../../../../etc/passwd"));
  EXPECT_FALSE(is_checksum(std::string(64, 'A')));
}

}  // namespace
}  // namespace imagerank::hub
