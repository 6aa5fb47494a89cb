#include "fetch/ledger.h"

#include <gtest/gtest.h>

#include <vector>

#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::fetch {
namespace {

using test::TemporaryFolder;

std::vector<LedgerEntry> entries_of(const FetchLedger& ledger) {
  std::vector<LedgerEntry> entries;
  ledger.for_each([&](const LedgerEntry& entry) { entries.push_back(entry); });
  return entries;
}

TEST(FetchLedgerTest, DropsTornAndForeignLinesAndAppendsAfterThem) {
  const TemporaryFolder folder;
  test::write_text(folder / ".fetch-ledger.jsonl", "[]\nnonsense\n{\"uid\":\"x\"}\n{\"uid\":3,");
  {
    FetchLedger ledger(folder.path());
    EXPECT_FALSE(ledger.empty());
    EXPECT_TRUE(entries_of(ledger).empty());
    ledger.append({"new\n\"uid", "http://h/x", "ok", "p", "s", 3, 4, "\"tag\"", "then"});
  }
  const FetchLedger ledger(folder.path());
  const auto entries = entries_of(ledger);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].image_uid, "new\n\"uid");
  EXPECT_EQ(entries[0].url, "http://h/x");
  EXPECT_EQ(entries[0].height, 4);
  EXPECT_EQ(entries[0].etag, "\"tag\"");
  EXPECT_EQ(entries[0].last_modified, "then");
}

TEST(FetchLedgerTest, IsHeldByOneAtATimeAndGoesWhenEmpty) {
  const TemporaryFolder folder;
  {
    FetchLedger ledger(folder.path());
    EXPECT_TRUE(ledger.empty());
    EXPECT_THROW(FetchLedger second(folder.path()), Error);
    ledger.append({"a", "", "ok", "", "", 0, 0, "", ""});
    ledger.clear();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_NO_THROW(FetchLedger third(folder.path()));
}

TEST(FetchLedgerTest, ATornLineLongerThanABlockGoesWhole) {
  const TemporaryFolder folder;
  test::write_text(folder / ".fetch-ledger.jsonl", "{}\n" + std::string(10000, 'x'));
  {
    const FetchLedger ledger(folder.path());
  }
  EXPECT_EQ(std::filesystem::file_size(folder / ".fetch-ledger.jsonl"), 3U);
  test::write_text(folder / ".fetch-ledger.jsonl", std::string(10000, 'x'));
  {
    const FetchLedger ledger(folder.path());
  }
  EXPECT_FALSE(std::filesystem::exists(folder / ".fetch-ledger.jsonl"));
}

}  // namespace
}  // namespace imagerank::fetch
