#include "hub/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "imagerank/error.h"
#include "support/test_support.h"

namespace imagerank::hub {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HubSettings from(const std::map<std::string, std::string>& variables) {
  return settings_from([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(Settings, DefaultsAreThoseOfHuggingfaceHub) {
  const HubSettings settings = from({{"HOME", "/home/u"}});
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.cache, "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(settings.token, "");
  EXPECT_FALSE(settings.offline);
}

TEST(Settings, TheEnvironmentDecides) {
  EXPECT_EQ(from({{"HOME", "/h"}, {"HF_ENDPOINT", "https://mirror.example/"}}).endpoint, "https://mirror.example");
  EXPECT_EQ(from({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(from({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache, "/h/hf/hub");
  EXPECT_EQ(from({{"HOME", "/h"}, {"HF_HOME", "/hf"}, {"HF_HUB_CACHE", "/c"}}).cache, "/c");
  for (const char* const yes : {"1", "true", "Yes", "ON"})
    EXPECT_TRUE(from({{"HOME", "/h"}, {"HF_HUB_OFFLINE", yes}}).offline) << yes;
  for (const char* const no : {"0", "", "false"})
    EXPECT_FALSE(from({{"HOME", "/h"}, {"HF_HUB_OFFLINE", no}}).offline) << no;
}

TEST(Settings, TheTokenComesFromTheVariableElseFromTheFile) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "token", "hf_of_the_file\n");
  const std::string home = folder.path().string();
  EXPECT_EQ(from({{"HF_HOME", home}}).token, "hf_of_the_file");
  EXPECT_EQ(from({{"HF_HOME", home}, {"HF_TOKEN", " hf_variable\n"}}).token, "hf_variable");
  test::write_text(folder / "other", "hf_other");
  EXPECT_EQ(from({{"HF_HOME", home}, {"HF_TOKEN_PATH", (folder / "other").string()}}).token, "hf_other");
}

TEST(Settings, BadValuesAreNamedAndATokenIsNotShown) {
  const auto message = [](const std::map<std::string, std::string>& variables) -> std::string {
    try {
      from(variables);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message({{"HOME", "/h"}, {"HF_ENDPOINT", "ftp://x"}}), HasSubstr("HF_ENDPOINT"));
  EXPECT_THAT(message({{"HOME", "/h"}, {"HF_ENDPOINT", "https://user:pw@x"}}), Not(HasSubstr("pw")));
  EXPECT_THAT(message({}), HasSubstr("HF_HOME"));
  const std::string split = message({{"HOME", "/h"}, {"HF_TOKEN", "hf_secret\r\nHost: evil"}});
  EXPECT_THAT(split, HasSubstr("HF_TOKEN"));
  EXPECT_THAT(split, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace imagerank::hub
