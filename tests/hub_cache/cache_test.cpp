#include "hub_cache/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "hub_cache/environment.h"
#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::hub_cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kCommit(40, 'a');

Environment variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(CacheFolder, IsWhereHuggingfaceHubHasIt) {
  EXPECT_EQ(cache_folder(variables({{"HOME", "/h"}})), "/h/.cache/huggingface/hub");
  EXPECT_EQ(cache_folder(variables({{"HOME", "/h"}, {"XDG_CACHE_HOME", "~/x"}})), "/h/x/huggingface/hub");
  EXPECT_EQ(cache_folder(variables({{"HOME", "/h"}, {"HF_HOME", " /hf\n"}})), "/hf/hub");
  EXPECT_EQ(cache_folder(variables({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}})), "/old");
  EXPECT_EQ(cache_folder(variables({{"HF_HUB_CACHE", "/c"}, {"HUGGINGFACE_HUB_CACHE", "/old"}})), "/c");
  EXPECT_EQ(cache_folder(variables({})), "");
}

TEST(RepositoryCache, ACommitStandsForItselfAndABranchForWhatItsRefSays) {
  const test::TemporaryFolder folder;
  const RepositoryCache cache(folder.path(), {RepositoryKind::kModel, "org/name"});
  EXPECT_EQ(cache.read_ref("main"), std::nullopt);
  EXPECT_THAT(cache.refs(), IsEmpty());
  EXPECT_EQ(cache.read_ref(kCommit), std::nullopt);
  test::write_text(cache.snapshot(kCommit) / "config.json", "{}");
  EXPECT_EQ(cache.read_ref(kCommit), kCommit);
  cache.write_ref("main", kCommit);
  EXPECT_EQ(cache.read_ref("main"), kCommit);
  test::write_text(folder / "models--org--name/refs/v1", kCommit + "\n");
  EXPECT_EQ(cache.read_ref("v1"), kCommit);
  cache.write_ref("refs/pr/1", kCommit);
  EXPECT_THAT(cache.refs(), ElementsAre("main", "refs/pr/1", "v1"));
  test::write_text(folder / "models--org--name/refs/v2", "../../elsewhere");
  EXPECT_THROW((void)cache.read_ref("v2"), Error);
}

TEST(ListRepositories, OfOneKindById) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(list_repositories(folder / "none", RepositoryKind::kModel), IsEmpty());
  for (const char* const name :
       {"models--org--b", "models--gpt2", "models--a--b--c", "datasets--org--d", "models--..--x", ".locks"})
    std::filesystem::create_directories(folder / name);
  test::write_text(folder / "models--org--file", "no folder");
  std::vector<std::string> ids;
  for (const Repository& repository : list_repositories(folder.path(), RepositoryKind::kModel)) {
    EXPECT_EQ(repository.revision, "main");
    ids.push_back(repository.id);
  }
  EXPECT_THAT(ids, ElementsAre("gpt2", "org/b"));
  EXPECT_EQ(list_repositories(folder.path(), RepositoryKind::kDataset).at(0).id, "org/d");
}

}  // namespace
}  // namespace imagerank::hub_cache
