#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "core/atomic_file.h"
#include "hub/pull_world.h"
#include "hub_cache/cache.h"

namespace imagerank::hub {
namespace {

using std::chrono::milliseconds;
using test::HttpResponse;
using test::HubRequest;
using test::HubServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(PullTest, RetryAfterIsHonoured) {
  const auto http_date = [] {
    const std::time_t when = std::time(nullptr) + 2;
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    std::array<char, 64> text{};
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return std::string(text.data());
  };
  for (const int status : {429, 503}) {
    std::filesystem::remove_all(settings_.cache);
    int asked = 0;
    hub_.hook = [&](const HubRequest& request, const HttpResponse&) {
      if (request.path.find("/resolve/") == std::string::npos || asked++ > 0) return std::optional<HttpResponse>();
      HttpResponse busy;
      busy.status = status;
      busy.headers = {{"Retry-After", status == 429 ? "1" : http_date()}};
      return std::optional(busy);
    };
    only("data/a.parquet");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(pull().failed, IsEmpty());
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(900)) << status;
    EXPECT_EQ(asked, 2);
  }
}

TEST_F(PullTest, AWaitThatIsTooLongEndsTheRun) {
  hub_.hook = [](const HubRequest& request, const HttpResponse&) {
    if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
    HttpResponse busy;
    busy.status = 429;
    busy.headers = {{"Retry-After", "7200"}};
    return std::optional(busy);
  };
  EXPECT_THAT(error_of(ErrorCode::kUnavailable), HasSubstr("7200 s"));
}

TEST_F(PullTest, PassingErrorsOfTheListingAreTriedAgain) {
  int failures = 0;
  hub_.hook = [&](const HubRequest& request, const HttpResponse&) {
    if (!request.path.starts_with("/api/") || failures >= 3) return std::optional<HttpResponse>();
    HttpResponse broken;
    broken.status = std::array{500, 502, 504}[static_cast<std::size_t>(failures++)];
    return std::optional(broken);
  };
  EXPECT_THAT(pull().files, SizeIs(4));
  EXPECT_EQ(failures, 3);
}

TEST_F(PullTest, AGatedDatasetSaysHowToGiveAToken) {
  hub_.token = kToken;
  EXPECT_THAT(error_of(ErrorCode::kRefused),
              AllOf(HasSubstr("gated"), HasSubstr("HF_TOKEN"), HasSubstr("401"), HasSubstr("/datasets/org/name")));
  settings_.token = "hf_wrong";
  EXPECT_THAT(error_of(ErrorCode::kRefused), AllOf(HasSubstr("accepted"), Not(HasSubstr("hf_wrong"))));
  settings_.token = kToken;
  EXPECT_THAT(pull().files, SizeIs(4));
}

TEST_F(PullTest, AFileThatIsGatedEndsTheRun) {
  hub_.hook = [](const HubRequest& request, const HttpResponse&) {
    if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
    HttpResponse gated;
    gated.status = 403;
    return std::optional(gated);
  };
  settings_.token = kToken;
  EXPECT_THAT(error_of(ErrorCode::kRefused), AllOf(HasSubstr("403"), HasSubstr("accepted its terms")));
}

TEST_F(PullTest, WhatIsNotThereIsNamed) {
  request_.repository.id = "org/other";
  EXPECT_THAT(error_of(ErrorCode::kNotFound), AllOf(HasSubstr("dataset org/other at 'main'"), HasSubstr("404")));
  request_.repository = {RepositoryKind::kDataset, "org/name", "v9"};
  EXPECT_THAT(error_of(ErrorCode::kNotFound), HasSubstr("'v9'"));
}

TEST_F(PullTest, AFileThatIsGoneFailsAloneAndTheOthersCome) {
  hub_.hook = [](const HubRequest& request, const HttpResponse&) {
    if (request.path.find("README.md") == std::string::npos) return std::optional<HttpResponse>();
    HttpResponse gone;
    gone.status = 404;
    return std::optional(gone);
  };
  const PullResult result = pull();
  EXPECT_THAT(result.files, SizeIs(3));
  ASSERT_THAT(result.failed, SizeIs(1));
  EXPECT_EQ(result.failed[0].item, "README.md");
  EXPECT_EQ(result.failed[0].reason, "http_404");
}

TEST_F(PullTest, OtherBytesThanTheChecksumSaysAreThrownAway) {
  for (const std::string name : {"data/a.parquet", "README.md"}) {
    hub_.hook = [](const HubRequest& request, const HttpResponse& normal) {
      if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
      HttpResponse other = normal;
      other.body.back() = static_cast<char>(other.body.back() ^ 1);
      return std::optional(other);
    };
    only(name);
    const PullResult result = pull();
    ASSERT_THAT(result.failed, SizeIs(1));
    EXPECT_EQ(result.failed[0].reason, "wrong_checksum");
    EXPECT_THAT(result.failed[0].detail, HasSubstr(etag(name)));
    EXPECT_FALSE(std::filesystem::exists(incomplete(name)));
    EXPECT_FALSE(std::filesystem::exists(root() / "blobs" / etag(name)));
    EXPECT_FALSE(std::filesystem::exists(snapshot(name)));
  }
}

TEST_F(PullTest, AnotherSizeIsRefused) {
  const auto& content = hub_.files.at("data/a.parquet").content;
  for (const std::string& body : {content + "x", content.substr(1)}) {
    for (const bool says_so : {true, false}) {
      hub_.hook = [&](const HubRequest& request, const HttpResponse& normal) {
        if (request.path.find("/resolve/") == std::string::npos) return std::optional<HttpResponse>();
        HttpResponse other = normal;
        other.body = body;
        if (says_so) other.headers = {{"X-Linked-Size", std::to_string(body.size())}};
        return std::optional(other);
      };
      only("data/a.parquet");
      const PullResult result = pull();
      ASSERT_THAT(result.failed, SizeIs(1));
      EXPECT_EQ(result.failed[0].reason, "wrong_size");
      EXPECT_FALSE(std::filesystem::exists(incomplete("data/a.parquet")));
    }
  }
}

TEST_F(PullTest, ARedirectToAnotherHostGetsNoToken) {
  HubServer store("org/name");
  store.files = hub_.files;
  hub_.content_host = store.endpoint();
  hub_.token = kToken;
  settings_.token = kToken;
  EXPECT_THAT(pull().failed, IsEmpty());
  EXPECT_EQ(load_file(snapshot("data/a.parquet")), hub_.files.at("data/a.parquet").content);
  for (const HubRequest& request : hub_.requests()) EXPECT_EQ(request.authorization, fmt::format("Bearer {}", kToken));
  const auto elsewhere = store.requests();
  ASSERT_THAT(elsewhere, SizeIs(3));  // an empty file needs no request
  for (const HubRequest& request : elsewhere) EXPECT_EQ(request.authorization, "");
}

TEST_F(PullTest, ARangeSurvivesARedirectAndSignaturesAreNotShown) {
  HubServer store("org/name");
  store.files = hub_.files;
  hub_.content_host = store.endpoint();
  test::write_text(incomplete("data/a.parquet"), hub_.files.at("data/a.parquet").content.substr(0, 1000));
  only("data/a.parquet");
  pull();
  ASSERT_THAT(store.requests(), SizeIs(1));
  EXPECT_EQ(store.requests()[0].range, "bytes=1000-");
  std::filesystem::remove_all(settings_.cache);
  store.hook = [](const HubRequest&, const HttpResponse&) {
    HttpResponse gone;
    gone.status = 410;
    return std::optional(gone);
  };
  const PullResult result = pull();
  ASSERT_THAT(result.failed, SizeIs(1));
  EXPECT_EQ(result.failed[0].reason, "http_410");
  EXPECT_THAT(result.failed[0].detail, Not(HasSubstr("secret")));
}

TEST_F(PullTest, RedirectsThatNeverEndAreGivenUp) {
  hub_.content_host = hub_.endpoint();
  hub_.hook = [this](const HubRequest& request, const HttpResponse&) {
    if (!request.path.starts_with("/cdn/")) return std::optional<HttpResponse>();
    HttpResponse round;
    round.status = 302;
    round.headers = {{"Location", hub_.endpoint() + "/cdn/again"}};
    return std::optional(round);
  };
  only("data/a.parquet");
  const PullResult result = pull();
  ASSERT_THAT(result.failed, SizeIs(1));
  EXPECT_EQ(result.failed[0].reason, "redirects");
}

}  // namespace
}  // namespace imagerank::hub
