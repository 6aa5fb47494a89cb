// The writer of large CSV files, compared with DuckDB's.
#include "workspace/csv_writer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/atomic_file.h"
#include "core/threads.h"
#include "support/test_support.h"
#include "workspace/database.h"

namespace imagerank::workspace {
namespace {

TEST(CsvWriter, RowsAreAsDuckDbWritesThem) {
  const test::TemporaryFolder folder;
  Database database;
  const std::vector<std::pair<std::string, std::int64_t>> rows = {
      {"a", 1}, {"", 2}, {"it, \"is\"\nso", -3}, {"#", 4}, {"\"", -9223372036854775807}, {"é", 6}, {"\r", 0}};
  std::string values;
  {
    AtomicFile file(folder / "ours.csv");
    CsvWriter writer(file, "text,number");
    CsvWriter::Rows out(writer);
    for (const auto& [text, number] : rows) {
      out.add(text);
      out.add(number);
      out.end_row();
      values += fmt::format("{}({}, {}::BIGINT)", values.empty() ? "" : ", ", sql_literal(text), number);
    }
    out.add_field(CsvWriter::field("made, before"));
    out.add(std::int64_t{7});
    out.end_row();
    values += ", ('made, before', 7)";
    out.flush();
    file.commit();
  }
  database.write_csv("SELECT * FROM (VALUES " + values + ") AS t(text, number)", folder / "theirs.csv");
  EXPECT_EQ(load_file(folder / "ours.csv"), load_file(folder / "theirs.csv"));
}

TEST(CsvWriter, SeveralThreadsWriteWholeRows) {
  const test::TemporaryFolder folder;
  constexpr int kRows = 400'000;
  AtomicFile file(folder / "large.csv");
  CsvWriter writer(file, "text,number");
  std::atomic<int> next = 0;
  run_on_threads(3, [&] {
    CsvWriter::Rows out(writer);
    for (int i = next++; i < kRows; i = next++) {
      out.add(fmt::format("a text, of number {}", i));
      out.add(std::int64_t{i});
      out.end_row();
    }
    out.flush();
  });
  file.commit();
  Database database;
  const std::string from = fmt::format("read_csv({})", sql_literal((folder / "large.csv").string()));
  EXPECT_EQ(database.query_integer("SELECT count(*) FROM " + from), kRows);
  EXPECT_EQ(database.query_integer("SELECT count(DISTINCT number) FROM " + from +
                                   " WHERE text = 'a text, of number ' || number"),
            kRows);
}

}  // namespace
}  // namespace imagerank::workspace
