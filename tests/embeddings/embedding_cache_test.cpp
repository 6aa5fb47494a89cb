#include "embeddings/embedding_cache.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::embeddings {
namespace {

TEST(EmbeddingCache, RoundTripsThroughFloat16) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder / "enc", "image");
  EXPECT_EQ(cache.size(), 0U);
  cache.add("a", "hash-a", std::vector<float>{1.0F, 0.1F});
  cache.add("b, \"q\"", "", std::vector<float>{-2.0F, 4.0F});
  cache.save();
  const EmbeddingCache again = EmbeddingCache::open(folder / "enc", "image");
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.dim(), 2U);
  EXPECT_EQ(again.find("b, \"q\""), 1U);
  EXPECT_EQ(again.find("c"), EmbeddingCache::npos);
  EXPECT_EQ(again.row(1), std::vector<float>({-2.0F, 4.0F}));
  EXPECT_NEAR(again.row(0)[1], 0.1F, 1e-4F);
  EXPECT_EQ(again.content(0), "hash-a");
}

TEST(EmbeddingCache, AddingAKeyAgainReplacesItsRow) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "image");
  cache.add("a", "old", std::vector<float>{1.0F});
  cache.add("b", "", std::vector<float>{2.0F});
  cache.add("a", "new", std::vector<float>{3.0F});
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.row(0)[0], 3.0F);
  EXPECT_EQ(cache.content(0), "new");
  EXPECT_THROW(cache.add("c", "", std::vector<float>{1.0F, 2.0F}), Error);
}

TEST(EmbeddingCache, ACrashBetweenArrayAndKeysLosesNothing) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "text");
  cache.add("a", "", std::vector<float>{1.0F});
  cache.save();
  const std::string keys = load_file(folder / "text.parquet");
  cache.add("b", "", std::vector<float>{2.0F});
  cache.save();
  test::write_text(folder / "text.parquet", keys);  // as if killed before the keys were renamed
  const EmbeddingCache again = EmbeddingCache::open(folder.path(), "text");
  EXPECT_EQ(again.size(), 1U);
  EXPECT_EQ(again.row(0)[0], 1.0F);
}

TEST(EmbeddingCache, DisagreeingFilesAreCorrupt) {
  const test::TemporaryFolder folder;
  EmbeddingCache cache = EmbeddingCache::open(folder.path(), "text");
  cache.add("a", "", std::vector<float>{1.0F});
  cache.save();
  const std::string array = load_file(folder / "text.npy");
  cache.add("b", "", std::vector<float>{2.0F});
  cache.save();
  const auto code = [&] {
    try {
      (void)EmbeddingCache::open(folder.path(), "text");
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCancelled;
  };
  test::write_text(folder / "text.npy", array);
  EXPECT_EQ(code(), ErrorCode::kCorruptData);
  test::write_text(folder / "text.parquet", "not parquet");
  EXPECT_EQ(code(), ErrorCode::kCorruptData);
}

}  // namespace
}  // namespace imagerank::embeddings
