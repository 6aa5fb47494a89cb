#include "hub_cache/repository.h"

#include <gtest/gtest.h>

#include <string>

#include "imagerank/error.h"

namespace imagerank::hub_cache {
namespace {

using namespace std::string_literals;

TEST(Repository, NamesInUrlsAndInTheCache) {
  const Repository dataset{RepositoryKind::kDataset, "org/name"};
  EXPECT_EQ(dataset.folder_name(), "datasets--org--name");
  EXPECT_EQ(dataset.page(), "datasets/org/name");
  EXPECT_EQ(dataset.api_path(), "datasets/org/name");
  const Repository model{RepositoryKind::kModel, "gpt2"};
  EXPECT_EQ(model.folder_name(), "models--gpt2");
  EXPECT_EQ(model.page(), "gpt2");
  EXPECT_EQ(model.api_path(), "models/gpt2");
}

TEST(Repository, FolderNamesSayWhichTheyAre) {
  for (const char* const id : {"gpt2", "org/name", "a-b/c.d"}) {
    for (const RepositoryKind kind : {RepositoryKind::kModel, RepositoryKind::kDataset}) {
      const auto found = parse_folder_name(Repository{kind, id}.folder_name());
      ASSERT_TRUE(found) << id;
      EXPECT_EQ(found->id, id);
      EXPECT_EQ(found->kind, kind);
    }
  }
  for (const char* const name : {"", "models", "models--", "spaces--a--b", "models--a--b--c", "models--..--x"})
    EXPECT_FALSE(parse_folder_name(name)) << name;
}

TEST(Repository, IdsAndRevisionsThatCouldNotBeAreRefused) {
  for (const char* const id : {"", "/", "a/", "/a", "a/b/c", "../x", "a/..", "a b/c", "a/b?x", ".a/b", "a--b/c"})
    EXPECT_THROW((Repository{RepositoryKind::kDataset, id}.validate()), Error) << id;
  for (const char* const revision : {"", "..", "a/../b", "/etc", "a\nb"})
    EXPECT_THROW((Repository{RepositoryKind::kDataset, "a/b", revision}.validate()), Error) << revision;
  EXPECT_NO_THROW((Repository{RepositoryKind::kDataset, "zai-org/ImageRewardDB", "refs/pr/1"}.validate()));
  EXPECT_NO_THROW((Repository{RepositoryKind::kModel, "gpt2", "v1.0"}.validate()));
}

TEST(Repository, SafeFileNames) {
  for (const std::string& good :
       {"a"s, "data/train-00000-of-00001.parquet"s, ".gitattributes"s, "a..b/c"s, "\xc3\xa9"s})
    EXPECT_TRUE(is_safe_file_name(good)) << good;
  for (const std::string& bad : {""s, "/etc/passwd"s, "../x"s, "a/../../x"s, "a/./b"s, "a//b"s, "a/"s, "a\0b"s, "a\\b"s,
                                 ".."s, "a\nb"s, std::string(256, 'x')})
    EXPECT_FALSE(is_safe_file_name(bad)) << bad;
}

}  // namespace
}  // namespace imagerank::hub_cache
