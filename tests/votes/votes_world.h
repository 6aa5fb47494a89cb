#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/postgres_server.h"
#include "support/test_support.h"
#include "votes/voting.h"

namespace imagerank::votes {

/// Each test with each kind of database, empty at first.
class VotesWorld : public testing::TestWithParam<std::string> {
 protected:
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    if (GetParam() == "sqlite") {
      url_ = "sqlite://" + (folder_ / "votes.db").string();
      return;
    }
    if (!server_) server_ = std::make_unique<test::PostgresServer>();
    if (!server_->reason().empty()) GTEST_SKIP() << server_->reason();
    url_ = server_->make_database();
    ASSERT_FALSE(url_.empty());
  }
  [[nodiscard]] DatabaseUrl url() const { return parse_database_url(url_); }
  [[nodiscard]] bool sqlite() const { return GetParam() == "sqlite"; }
  [[nodiscard]] VoteStore open() const { return VoteStore(url(), VoteStore::Mode::kWrite); }

  test::TemporaryFolder folder_;
  static inline std::unique_ptr<test::PostgresServer> server_;

 private:
  std::string url_;
};

inline std::string kind_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

/// `prompts` prompts of `images` images each; the files do not exist.
inline Gallery small_gallery(int prompts, int images) {
  Gallery gallery;
  for (int p = 0; p < prompts; ++p) {
    gallery.prompts.push_back({"prompt " + std::to_string(p), {}});
    for (int i = 0; i < images; ++i) {
      gallery.prompts.back().images.push_back(static_cast<std::uint32_t>(gallery.images.size()));
      gallery.images.push_back({"p" + std::to_string(p) + "i" + std::to_string(i), "/none"});
    }
  }
  gallery.index();
  return gallery;
}

}  // namespace imagerank::votes
