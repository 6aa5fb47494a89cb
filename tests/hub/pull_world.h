#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "hub/pull.h"
#include "imagerank/error.h"
#include "support/hub_server.h"
#include "support/test_support.h"

namespace imagerank::hub {

inline constexpr const char* kToken = "hf_secret0123456789";

/// Bytes that look random and are always the same.
inline std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 12345;
  for (char& c : text) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  return text;
}

/// A hub of one dataset with four files, and an empty cache.
class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("no_proxy", "127.0.0.1", 1);  // the machine may have a proxy
    hub_.files = {{"README.md", {"hello\n", false}},
                  {"data/a.parquet", {noise(300000), true}},
                  {"data/b c.parquet", {noise(1000), true}},
                  {"data/empty", {"", false}}};
    settings_.endpoint = hub_.endpoint();
    settings_.cache = folder_ / "hub";
    settings_.backoff_ms = 1;
    settings_.stall_timeout_s = 5;
    request_.repository = {RepositoryKind::kDataset, "org/name"};
  }

  PullResult pull() { return hub::pull(settings_, request_, {}); }

  /// The message of the error that the pull ends with.
  std::string error_of(ErrorCode code) {
    try {
      pull();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr(kToken)));
      EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
      return error.what();
    }
    ADD_FAILURE() << "expected an error";
    return "";
  }

  [[nodiscard]] std::filesystem::path root() const { return settings_.cache / "datasets--org--name"; }
  [[nodiscard]] std::filesystem::path snapshot(const std::string& path) const {
    return root() / "snapshots" / hub_.commit / path;
  }
  [[nodiscard]] std::string etag(const std::string& path) const { return test::hub_etag(hub_.files.at(path)); }
  [[nodiscard]] std::filesystem::path incomplete(const std::string& path) const {
    return root() / "blobs" / (etag(path) + ".incomplete");
  }
  void only(const std::string& path) { request_.patterns = {path}; }

  test::TemporaryFolder folder_;
  test::HubServer hub_{"org/name"};
  HubSettings settings_;
  PullRequest request_;
};

}  // namespace imagerank::hub
