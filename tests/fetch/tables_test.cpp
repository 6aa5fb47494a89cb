#include "fetch/tables.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/workspace.h"

namespace imagerank::fetch {
namespace {

/// A list as `import urls` leaves it, and of each image what `fetch` noted: a million were once more than the memory.
TEST(Tables, AMillionAnswersAreJoinedWithinTheirMemory) {
  constexpr int kImages = 1'000'000;
  const test::TemporaryFolder folder;
  const workspace::Workspace workspace = workspace::Workspace::create(folder / "data");
  {
    workspace::Database database;
    database.write_parquet(
        fmt::format(
            "SELECT sha256(i::VARCHAR)[:36] AS image_uid, 'http://127.0.0.1:8000/missing/' || i || '.jpg' AS url, "
            "'' AS path, '' AS model, '' AS prompt, 0::INTEGER AS width, 0::INTEGER AS height, '' AS sha256, "
            "'' AS status FROM range({}) r(i)",
            kImages),
        workspace.table_path("images"));
  }
  std::filesystem::create_directories(workspace.root() / "images");
  FetchLedger ledger(workspace.root() / "images");
  workspace::Database source;
  source.for_each_chunk("SELECT image_uid, url FROM read_parquet(" +
                            workspace::sql_literal(workspace.table_path("images").string()) + ") ORDER BY hash(url)",
                        [&](const workspace::Table& rows) {
                          for (std::size_t i = 0; i < rows.row_count; ++i) {
                            ledger.append({.image_uid = rows.columns[0].text[i],
                                           .url = rows.columns[1].text[i],
                                           .status = "http_404",
                                           .path = "",
                                           .sha256 = "",
                                           .etag = "",
                                           .last_modified = ""});
                          }
                        });
  ASSERT_FALSE(ledger.empty());
  write_tables(workspace, ledger);
  workspace::Database database;
  EXPECT_EQ(database.query_integer(fmt::format("SELECT count(*) FROM read_parquet({}) WHERE status = 'http_404'",
                                               workspace::sql_literal(workspace.table_path("images").string()))),
            kImages);
}

}  // namespace
}  // namespace imagerank::fetch
