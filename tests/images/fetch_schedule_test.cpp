// The schedule of fetch_images with a fake Fetcher that injects faults and has a clock of its own: nothing sleeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "images/encode.h"
#include "images/fetch.h"

namespace imagerank::images {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

std::string small_png() { return encode_png({1, 1, {1, 2, 3}}); }

/// Ends every transfer `latency` of its own time after it began, with what `script` says.
class FakeFetcher final : public Fetcher {
 public:
  struct Started {
    std::string url;
    milliseconds at;
  };
  using Script = std::function<Transfer(const std::string& url, int visit)>;

  explicit FakeFetcher(Script script, milliseconds latency = milliseconds(10))
      : script_(std::move(script)), latency_(latency) {}

  void start(std::size_t ticket, const Url& url) override {
    started.push_back({url.text, time_});
    running_.push_back({ticket, url, time_ + latency_});
    most_at_once = std::max(most_at_once, running_.size());
    std::size_t same_host = 0;
    for (const Running& other : running_) same_host += other.url.host_key() == url.host_key() ? 1 : 0;
    most_per_host = std::max(most_per_host, same_host);
  }
  std::vector<Transfer> wait(milliseconds at_most) override {
    milliseconds until = time_ + at_most;
    if (!running_.empty()) until = std::min(until, running_.front().ends);
    time_ = std::max(time_ + milliseconds(1), until);
    std::vector<Transfer> done;
    while (!running_.empty() && running_.front().ends <= time_) {
      const Running ended = running_.front();
      running_.pop_front();
      done.push_back(script_(ended.url.text, visits_[ended.url.text]++));
      done.back().ticket = ended.ticket;
    }
    return done;
  }
  [[nodiscard]] Clock::time_point now() const override { return Clock::time_point(time_); }

  std::vector<Started> started;
  std::size_t most_at_once = 0;
  std::size_t most_per_host = 0;

 private:
  struct Running {
    std::size_t ticket;
    Url url;
    milliseconds ends;
  };
  Script script_;
  milliseconds latency_;
  milliseconds time_{1000};
  std::deque<Running> running_;
  std::map<std::string, int> visits_;
};

Transfer answer(int status, std::string body = {}) {
  Transfer transfer;
  transfer.http_status = status;
  transfer.detail = "HTTP " + std::to_string(status);
  transfer.body = std::move(body);
  return transfer;
}

Transfer broken(const std::string& reason) {
  Transfer transfer;
  transfer.reason = reason;
  transfer.detail = "injected";
  return transfer;
}

std::vector<FetchedImage> fetch(const std::vector<std::string>& urls, const FetchOptions& options, Fetcher& fetcher) {
  std::vector<FetchedImage> images(urls.size());
  std::vector<int> delivered(urls.size());
  fetch_images(urls, options, fetcher,
               [&](FetchedImage&& image) {
                 ++delivered[image.index];
                 images[image.index] = std::move(image);
               },
               {});
  EXPECT_THAT(delivered, ::testing::Each(1));
  return images;
}

std::vector<std::string> many(const std::string& host, int count) {
  std::vector<std::string> urls;
  for (int i = 0; i < count; ++i) urls.push_back("http://" + host + "/" + std::to_string(i));
  return urls;
}

TEST(FetchSchedule, KeepsTheTwoLimits) {
  FakeFetcher fetcher([](const std::string&, int) { return answer(200, small_png()); });
  std::vector<std::string> urls = many("a", 40);
  for (const char* host : {"b", "c", "d"}) {
    const auto more = many(host, 40);
    urls.insert(urls.end(), more.begin(), more.end());
  }
  FetchOptions options;
  options.concurrency = 10;
  options.per_host = 4;
  for (const FetchedImage& image : fetch(urls, options, fetcher)) {
    EXPECT_TRUE(image.ok());
    EXPECT_EQ(image.tries, 1);
    EXPECT_EQ(image.width, 1);
    EXPECT_EQ(image.sha256.size(), 64U);
  }
  EXPECT_EQ(fetcher.most_at_once, 10U);
  EXPECT_LE(fetcher.most_per_host, 4U);
  options.concurrency = 100;
  FakeFetcher wide([](const std::string&, int) { return answer(200, small_png()); });
  fetch(urls, options, wide);
  EXPECT_EQ(wide.most_at_once, 16U);
  EXPECT_EQ(wide.most_per_host, 4U);
}

TEST(FetchSchedule, HostsTakeTurns) {
  FakeFetcher fetcher([](const std::string&, int) { return answer(200, small_png()); });
  std::vector<std::string> urls = many("big", 50);
  urls.emplace_back("http://small/1");
  FetchOptions options;
  options.concurrency = 2;
  fetch(urls, options, fetcher);
  EXPECT_EQ(fetcher.started[1].url, "http://small/1");
}

TEST(FetchSchedule, BacksOffExponentiallyWithJitter) {
  FakeFetcher fetcher([](const std::string&, int visit) { return visit < 3 ? answer(503) : answer(200, small_png()); });
  FetchOptions options;
  options.backoff_ms = 1000;
  options.retries = 3;
  const auto images = fetch({"http://h/x"}, options, fetcher);
  EXPECT_TRUE(images[0].ok());
  EXPECT_EQ(images[0].tries, 4);
  ASSERT_EQ(fetcher.started.size(), 4U);
  for (std::size_t i = 1; i < 4; ++i) {
    // Half to all of 1, 2, 4 s, after 10 ms of transfer; the wait ends within one poll.
    const auto waited = (fetcher.started[i].at - fetcher.started[i - 1].at).count();
    const auto full = 1000 << (i - 1);
    EXPECT_GE(waited, full / 2) << i;
    EXPECT_LE(waited, full + 120) << i;
  }
}

TEST(FetchSchedule, JitterDiffersBetweenImages) {
  FakeFetcher fetcher(
      [](const std::string&, int visit) { return visit < 1 ? broken("connection") : answer(200, small_png()); });
  FetchOptions options;
  options.backoff_ms = 10000;
  fetch(many("h", 8), options, fetcher);
  std::vector<std::int64_t> again;
  for (std::size_t i = 8; i < fetcher.started.size(); ++i) again.push_back(fetcher.started[i].at.count());
  EXPECT_EQ(again.size(), 8U);
  EXPECT_GE(*std::ranges::max_element(again) - *std::ranges::min_element(again), 500);
}

TEST(FetchSchedule, GivesUpAfterTheLastTry) {
  for (const auto& [transfer, reason] :
       std::vector<std::pair<Transfer, std::string>>{{answer(500), "http_500"},
                                                     {answer(429), "http_429"},
                                                     {broken("timeout"), "timeout"},
                                                     {broken("dns"), "dns"},
                                                     {broken("connect"), "connect"},
                                                     {broken("truncated"), "truncated"}}) {
    FakeFetcher fetcher([&transfer = transfer](const std::string&, int) { return transfer; });
    FetchOptions options;
    options.retries = 2;
    const auto images = fetch({"http://h/x"}, options, fetcher);
    EXPECT_EQ(images[0].reason, reason);
    EXPECT_EQ(images[0].tries, 3) << reason;
  }
}

TEST(FetchSchedule, DoesNotRetryWhatWillNotChange) {
  for (const auto& [transfer, reason] :
       std::vector<std::pair<Transfer, std::string>>{{answer(404), "http_404"},
                                                     {answer(403), "http_403"},
                                                     {answer(304), "http_304"},
                                                     {answer(501), "http_501"},
                                                     {answer(200), "empty"},
                                                     {answer(200, "<html>gone</html>"), "not_an_image"},
                                                     {broken("too_large"), "too_large"},
                                                     {broken("refused_address"), "refused_address"},
                                                     {broken("tls"), "tls"},
                                                     {broken("redirects"), "redirects"},
                                                     {broken("missing"), "missing"}}) {
    FakeFetcher fetcher([&transfer = transfer](const std::string&, int) { return transfer; });
    const auto images = fetch({"http://h/x"}, {}, fetcher);
    EXPECT_EQ(images[0].reason, reason);
    EXPECT_EQ(images[0].tries, 1) << reason;
    EXPECT_TRUE(images[0].bytes.empty()) << reason;
    EXPECT_FALSE(images[0].detail.empty()) << reason;
  }
}

TEST(FetchSchedule, RetryAfterHoldsBackTheWholeHostOnly) {
  FakeFetcher fetcher([](const std::string& url, int visit) {
    if (url == "http://busy/0" && visit == 0) {
      Transfer transfer = answer(429);
      transfer.retry_after = milliseconds(5000);
      return transfer;
    }
    return answer(200, small_png());
  });
  std::vector<std::string> urls = many("busy", 4);
  const auto calm = many("calm", 4);
  urls.insert(urls.end(), calm.begin(), calm.end());
  FetchOptions options;
  options.per_host = 1;
  for (const FetchedImage& image : fetch(urls, options, fetcher)) EXPECT_TRUE(image.ok());
  for (std::size_t i = 0; i < fetcher.started.size(); ++i) {
    const auto& [url, at] = fetcher.started[i];
    if (url.starts_with("http://calm")) {
      EXPECT_LT(at.count(), 2000) << url;
    } else if (i > 0) {
      EXPECT_GE(at.count(), 6000) << url;
    }
  }
  EXPECT_EQ(fetcher.started.size(), 9U);
}

TEST(FetchSchedule, DoesNotWaitLongerThanAllowed) {
  FakeFetcher fetcher([](const std::string&, int) {
    Transfer transfer = answer(503);
    transfer.retry_after = milliseconds(3600000);
    return transfer;
  });
  const auto images = fetch({"http://h/x"}, {}, fetcher);
  EXPECT_EQ(images[0].reason, "http_503");
  EXPECT_EQ(images[0].tries, 1);
  EXPECT_THAT(images[0].detail, ::testing::HasSubstr("asks to wait 3600 s"));
}

TEST(FetchSchedule, BadUrlsAreNeverStarted) {
  FakeFetcher fetcher([](const std::string&, int) { return answer(200, small_png()); });
  const auto images = fetch({"", "ftp://h/x", "http://h/x"}, {}, fetcher);
  EXPECT_EQ(images[0].reason, "bad_url");
  EXPECT_EQ(images[1].reason, "bad_url");
  EXPECT_EQ(images[1].tries, 0);
  EXPECT_TRUE(images[2].ok());
  EXPECT_EQ(fetcher.started.size(), 1U);
}

TEST(FetchSchedule, OfNothingIsNothing) {
  FakeFetcher fetcher([](const std::string&, int) { return answer(200); });
  EXPECT_TRUE(fetch({}, {}, fetcher).empty());
}

TEST(FetchSchedule, StopsBetweenTransfersAndDeliversWhatEnded) {
  std::stop_source source;
  FakeFetcher fetcher([](const std::string&, int) { return answer(200, small_png()); });
  FetchOptions options;
  options.concurrency = 2;
  RunContext context;
  context.stop = source.get_token();
  std::size_t delivered = 0;
  const auto urls = many("h", 20);
  try {
    fetch_images(
        urls, options, fetcher,
        [&](FetchedImage&&) {
          if (++delivered == 6) source.request_stop();
        },
        context);
    FAIL() << "expected kCancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_GE(delivered, 6U);
  EXPECT_LE(delivered, 8U);
}

TEST(FetchSchedule, ReportsProgressToTheEnd) {
  FakeFetcher fetcher(
      [](const std::string& url, int) { return url.ends_with("3") ? answer(404) : answer(200, small_png()); });
  std::vector<Progress> seen;
  RunContext context;
  context.progress = [&](const Progress& progress) { seen.push_back(progress); };
  fetch_images(many("h", 5), {}, fetcher, [](FetchedImage&&) {}, context);
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen.back().done, 5U);
  EXPECT_EQ(seen.back().total, 5U);
  EXPECT_EQ(seen.back().note, "1 failed");
}

TEST(FetchSchedule, WhatTheSinkThrowsEndsIt) {
  FakeFetcher fetcher([](const std::string&, int) { return answer(200, small_png()); });
  EXPECT_THROW(fetch_images(many("h", 5), {}, fetcher,
                            [](FetchedImage&&) { throw Error(ErrorCode::kResourceLimit, "disk full"); }, {}),
               Error);
}

TEST(FetchOptionsTest, RefusesValuesOutOfRange) {
  const auto refused = [](auto change, const std::string& name) {
    FetchOptions options;
    change(options);
    try {
      options.validate();
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(name));
    }
  };
  EXPECT_NO_THROW(FetchOptions{}.validate());
  refused([](FetchOptions& o) { o.concurrency = 0; }, "concurrency: expected 1 to 1024, found 0");
  refused([](FetchOptions& o) { o.per_host = 2000; }, "per-host");
  refused([](FetchOptions& o) { o.retries = -1; }, "retries");
  refused([](FetchOptions& o) { o.retries = 21; }, "retries");
  refused([](FetchOptions& o) { o.stall_timeout_s = 0; }, "timeout");
  refused([](FetchOptions& o) { o.max_image_bytes = 0; }, "max-bytes");
}

TEST(MayPass, ReasonsOfTheNetworkAndOfBusyServers) {
  for (const char* reason : {"timeout", "dns", "connect", "connection", "truncated", "bad_response", "http_408",
                             "http_425", "http_429", "http_500", "http_503"})
    EXPECT_TRUE(may_pass(reason)) << reason;
  for (const char* reason : {"", "ok", "http_404", "http_410", "http_403", "http_501", "http_505", "http_", "http_5xx",
                             "http_500 ", "tls", "not_an_image", "too_large", "missing", "no_url"})
    EXPECT_FALSE(may_pass(reason)) << reason;
}

}  // namespace
}  // namespace imagerank::images
