// The writer of large tables, read back by DuckDB, which has nothing to do with it.
#include "workspace/parquet_writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"
#include "workspace/database.h"
#include "workspace/parquet_format.h"

namespace imagerank::workspace {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

/// The examples of the protocol's and the format's own descriptions.
TEST(ThriftStruct, BytesAreThoseOfTheCompactProtocol) {
  EXPECT_EQ(ThriftStruct().i32(1, 1).bytes(), "\x15\x02\x00"s);
  EXPECT_EQ(ThriftStruct().i32(1, -1).i64(4, 150).bytes(), "\x15\x01\x36\xac\x02\x00"s);
  EXPECT_EQ(ThriftStruct().text(2, "ab").bytes(), "\x28\x02"s + "ab" + "\x00"s);
  EXPECT_EQ(ThriftStruct().structure(1, ThriftStruct().i32(1, 0)).bytes(), "\x1c\x15\x00\x00\x00"s);
  EXPECT_EQ(ThriftStruct().i32s(1, std::vector<std::int32_t>{1, 2}).bytes(), "\x19\x25\x02\x04\x00"s);
  EXPECT_EQ(ThriftStruct().i32s(1, std::vector<std::int32_t>(16, 0)).bytes(), "\x19\xf5\x10"s + std::string(17, '\0'));
}

TEST(EncodeHybrid, RepeatedOrPacked) {
  const std::vector<std::uint32_t> eight = {0, 1, 2, 3, 4, 5, 6, 7}, equal(100, 5), wide = {70000, 1};
  EXPECT_EQ(encode_hybrid(eight, 3), "\x03\x88\xc6\xfa"s);  // Encodings.md
  EXPECT_EQ(encode_hybrid(equal, 3), "\xc8\x01\x05");
  EXPECT_EQ(encode_hybrid(wide, 17).size(), 1U + 17U);
  EXPECT_EQ(encode_hybrid(std::span<const std::uint32_t>(), 3), "");
  EXPECT_EQ(bit_width_of(1), 0);
  EXPECT_EQ(bit_width_of(8), 3);
  EXPECT_EQ(bit_width_of(9), 4);
}

class UnorderedCopy : public testing::Test {
 protected:
  /// Writes a query's rows and compares what DuckDB reads with what it had. @return a file's path as SQL.
  std::string copy_and_compare(const std::string& sql) {
    const std::filesystem::path path = folder_ / "t.parquet";
    AtomicFile file(path);
    database_.copy_unordered(sql, file);
    file.commit();
    const std::string from = fmt::format("read_parquet({})", sql_literal(path.string()));
    const std::string difference = "SELECT count(*) FROM (({}) EXCEPT ALL ({}))", rows = "SELECT * FROM " + from;
    EXPECT_EQ(database_.query_integer(fmt::format(fmt::runtime(difference), sql, rows)), 0);
    EXPECT_EQ(database_.query_integer(fmt::format(fmt::runtime(difference), rows, sql)), 0);
    return sql_literal(path.string());
  }
  /// How many row groups have a column as a dictionary's numbers.
  std::int64_t dictionaries(const std::string& file, const std::string& column) {
    return database_.query_integer(fmt::format(
        "SELECT count(dictionary_page_offset) FROM parquet_metadata({}) WHERE path_in_schema = '{}'", file, column));
  }

  test::TemporaryFolder folder_;
  Database database_{2};
};

TEST_F(UnorderedCopy, EveryTypeNullsAndLists) {
  const std::string file = copy_and_compare(R"(
    SELECT CASE WHEN i % 7 > 0 THEN 'it''s "' || i || '", é 猫' END AS many, CASE i % 3 WHEN 0 THEN '' WHEN 1 THEN '猫' END AS few,
           'x'::ENUM('w', 'x') AS enum, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END::ENUM('a', 'b') AS enums,
           i::INTEGER AS integer, CASE WHEN i % 5 > 0 THEN i - 3000000000 END AS bigint,
           CASE WHEN i % 4 > 0 THEN i / 7.0 END::DOUBLE AS real, NULL::VARCHAR AS nothing,
           CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN [] WHEN 2 THEN [NULL, 'b'] ELSE ['u' || i, 'a', 'u' || i, ''] END::VARCHAR[] AS texts,
           CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN []::INTEGER[] ELSE [i, NULL, -1] END::INTEGER[] AS numbers,
           NULL::INTEGER[] AS no_lists
    FROM range(100000) r(i))");
  EXPECT_GT(database_.query_integer("SELECT max(row_group_id) FROM parquet_metadata(" + file + ")"), 0);
  EXPECT_EQ(dictionaries(file, "many"), 0);
  EXPECT_GT(dictionaries(file, "few"), 0);
  EXPECT_EQ(dictionaries(file, "nothing"), 0);
  EXPECT_THAT(database_.describe("read_parquet(" + file + ")"),
              ElementsAre(Pair("many", "VARCHAR"), Pair("few", "VARCHAR"), Pair("enum", "VARCHAR"),
                          Pair("enums", "VARCHAR"), Pair("integer", "INTEGER"), Pair("bigint", "BIGINT"),
                          Pair("real", "DOUBLE"), Pair("nothing", "VARCHAR"), Pair("texts", "VARCHAR[]"),
                          Pair("numbers", "INTEGER[]"), Pair("no_lists", "INTEGER[]")));
  EXPECT_EQ(database_.query_integer("SELECT sum(num_rows) FROM parquet_file_metadata(" + file + ")"), 100000);
}

/// As many rows as fill groups and vectors just so, or nearly.
TEST_F(UnorderedCopy, AnyNumberOfRows) {
  for (const std::size_t rows :
       {std::size_t{0}, std::size_t{1}, std::size_t{2048}, std::size_t{2049}, ParquetWriter::kRowGroup - 1,
        ParquetWriter::kRowGroup, ParquetWriter::kRowGroup + 1, 5 * ParquetWriter::kRowGroup}) {
    SCOPED_TRACE(rows);
    (void)copy_and_compare(
        fmt::format("SELECT 'u' || i AS a, (i % 10)::INTEGER AS b, [i::INTEGER] AS c FROM range({}) r(i)", rows));
  }
}

/// Texts of which half differ in the end, or all at first; texts longer than a page; a dictionary of a megabyte.
TEST_F(UnorderedCopy, DictionariesAreGivenUpWhereTheyDoNotPay) {
  const std::string file = copy_and_compare(R"(
    SELECT (i // 4)::VARCHAR AS quarters, (i * 3 // 4)::VARCHAR AS most, repeat('p', 300) || hash(i) % 9000 AS prompts,
           CASE WHEN i % 20000 = 0 THEN repeat('long', 500000) || i ELSE i::VARCHAR END AS long
    FROM range(60000) r(i))");
  EXPECT_EQ(dictionaries(file, "most"), 0);
  EXPECT_GT(dictionaries(file, "quarters"), 0);
  EXPECT_GT(dictionaries(file, "prompts"), 0);
  EXPECT_EQ(dictionaries(file, "long"), 0);
}

/// Numbers stand for their texts, in groups of which each begins anew, and where the dictionary is given up.
TEST_F(UnorderedCopy, TextsOfKnownNumbersNeedNoSearch) {
  constexpr std::uint32_t kRows = 150000, kChunk = 1000;
  const std::vector<std::uint32_t> values = {3, 20000};  // how many differ
  const std::filesystem::path path = folder_ / "t.parquet";
  AtomicFile file(path);
  ParquetWriter writer(file, {{"few", ParquetType::kText}, {"many", ParquetType::kText}});
  ParquetWriter::Rows rows(writer);
  for (std::uint32_t begin = 0; begin < kRows; begin += kChunk) {
    std::vector<std::string> texts;
    std::vector<ColumnRows> columns(values.size());
    for (std::uint32_t i = begin; i < begin + kChunk; ++i) {
      for (const std::uint32_t count : values) texts.push_back(fmt::format("text {}", i * 7 % count));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      ColumnRows& column = columns[i % 2];
      column.values.push_back(texts[i]);
      column.numbers.push_back((begin + static_cast<std::uint32_t>(i) / 2) * 7 % values[i % 2]);
      column.definition.push_back(1);
    }
    rows.add(columns, kChunk);
  }
  rows.flush();
  writer.finish();
  file.commit();
  const std::string sql = sql_literal(path.string());
  EXPECT_EQ(database_.query_integer(
                fmt::format("SELECT count(*) FROM ((SELECT * FROM read_parquet({})) EXCEPT ALL "
                            "(SELECT 'text ' || i * 7 % 3, 'text ' || i * 7 % 20000 FROM range(150000) r(i)))",
                            sql)),
            0);
  EXPECT_EQ(database_.query_integer(fmt::format("SELECT sum(num_rows) FROM parquet_file_metadata({})", sql)), kRows);
  EXPECT_EQ(dictionaries(sql, "few"), 3);
  EXPECT_EQ(dictionaries(sql, "many"), 0);
}

TEST_F(UnorderedCopy, CsvIsAsDuckDbWritesIt) {
  const std::string sql =
      R"(SELECT * FROM (VALUES ('a', 1, 2::BIGINT), ('', 2, NULL), ('it, "is"' || chr(10) || 'so', -3, 5), (NULL, NULL, 6),
                                     ('#', 4, 7), ('"', 5, -9223372036854775807), ('é', 6, 8), (chr(13), 7, 9)) AS t(text, narrow, wide))";
  {
    AtomicFile parquet(folder_ / "t.parquet"), csv(folder_ / "ours.csv");
    database_.copy_unordered("SELECT *, 'more' AS more FROM (" + sql + ")", parquet, &csv, 3);
    csv.commit();
  }
  database_.write_csv(sql, folder_ / "theirs.csv");
  EXPECT_EQ(load_file(folder_ / "ours.csv"), load_file(folder_ / "theirs.csv"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "t.parquet")) << "it was not committed";
  // Several threads, several buffers.
  const std::string large = "SELECT 'text ' || i AS text, i::INTEGER AS number FROM range(400000) r(i)";
  AtomicFile parquet(folder_ / "t.parquet"), csv(folder_ / "large.csv");
  database_.copy_unordered(large, parquet, &csv, 2);
  csv.commit();
  EXPECT_EQ(database_.query_integer(fmt::format("SELECT count(*) FROM (({}) EXCEPT ALL (SELECT * FROM read_csv({})))",
                                                large, sql_literal((folder_ / "large.csv").string()))),
            0);
  EXPECT_EQ(test::lines_of(folder_ / "large.csv").size(), 400001U);
}

TEST_F(UnorderedCopy, WhatGoesWrongIsSaid) {
  AtomicFile file(folder_ / "t.parquet");
  const auto error_of = [&](const std::string& sql) {
    try {
      database_.copy_unordered(sql, file);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of("SELECT 1::TINYINT AS small"), HasSubstr("column 'small'"));
  EXPECT_THAT(error_of("SELECT [1.5]::DOUBLE[] AS reals"), HasSubstr("column 'reals'"));
  EXPECT_THAT(error_of("SELECT * FROM nowhere"), HasSubstr("nowhere"));
  EXPECT_THAT(error_of("SELECT error('half way') AS text FROM range(100000) r(i) WHERE i = 70000"),
              HasSubstr("half way"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "t.parquet"));
}

TEST_F(UnorderedCopy, RowsAreGivenToWhoTakesThem) {
  std::mutex mutex;
  std::int64_t sum = 0, nulls = 0, rows = 0;
  database_.take_rows("SELECT i AS number, CASE WHEN i % 10 > 0 THEN i::VARCHAR END AS text FROM range(100000) r(i)",
                      [&](std::span<const ColumnRows> columns, std::size_t count) {
                        const std::lock_guard lock(mutex);
                        rows += static_cast<std::int64_t>(count);
                        nulls += static_cast<std::int64_t>(count - columns[1].values.size());
                        for (const std::string_view value : columns[0].values) sum += number_in<std::int64_t>(value);
                      });
  EXPECT_EQ(rows, 100000);
  EXPECT_EQ(nulls, 10000);
  EXPECT_EQ(sum, std::int64_t{100000} * 99999 / 2);
  EXPECT_THROW(
      database_.take_rows("SELECT 1 AS number", [](std::span<const ColumnRows>,
                                                   std::size_t) { throw Error(ErrorCode::kResourceLimit, "no more"); }),
      Error);
  EXPECT_EQ(database_.query_integer("SELECT 7"), 7) << "and the database goes on";
}

}  // namespace
}  // namespace imagerank::workspace
