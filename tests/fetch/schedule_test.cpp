// fetch_all with a fake Transport that injects faults and has a clock of its own: nothing sleeps.
#include "fetch/schedule.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "fetch/wanted_list.h"
#include "images/encode.h"

namespace imagerank::fetch {
namespace {

using ::testing::ElementsAre;

std::string small_png() { return images::encode_png({1, 1, {1, 2, 3}}); }

/// Ends every transfer `latency` of its own time after it began, with what `script` says.
class FakeTransport : public Transport {
 public:
  struct Started {
    std::string url;
    milliseconds at;
    milliseconds first_byte_timeout;
    milliseconds stall_timeout;
    std::string etag;
    bool new_connection;
  };
  using Script = std::function<Transfer(const std::string& url, int visit)>;
  using Latency = std::function<milliseconds(const Started& started)>;

  explicit FakeTransport(
      Script script, Latency latency = [](const Started&) { return milliseconds(10); })
      : script_(std::move(script)), latency_(std::move(latency)) {}

  void start(const Request& request) override {
    const Url url = parse_url(request.url).value();
    started.push_back({url.text, time_, request.first_byte_timeout, request.stall_timeout, std::string(request.etag),
                       request.new_connection});
    running_.emplace(time_ + latency_(started.back()), Running{request.ticket, url, time_});
    most_at_once = std::max(most_at_once, running_.size());
    most_per_host = std::max(most_per_host, ++per_host_[url.host_key()]);
  }
  std::vector<Transfer> wait(milliseconds at_most) override {
    milliseconds until = time_ + at_most;
    if (!running_.empty()) until = std::min(until, running_.begin()->first);
    time_ = std::max(time_ + milliseconds(1), until);
    std::vector<Transfer> done;
    while (!running_.empty() && running_.begin()->first <= time_) {
      const Running ended = running_.begin()->second;
      running_.erase(running_.begin());
      --per_host_[ended.url.host_key()];
      done.push_back(script_(ended.url.text, visits_[ended.url.text]++));
      if (done.back().answered_after) done.back().answered_after = time_ - ended.began;
      done.back().ticket = ended.ticket;
    }
    return done;
  }
  [[nodiscard]] std::vector<Silence> silences() const override {
    std::vector<Silence> found;
    for (const auto& [ends, running] : running_) found.push_back({running.ticket, time_ - running.began, std::nullopt});
    return found;
  }
  [[nodiscard]] Clock::time_point now() const override { return Clock::time_point(time_); }

  std::vector<Started> started;
  std::size_t most_at_once = 0;
  std::size_t most_per_host = 0;

 private:
  struct Running {
    std::size_t ticket;
    Url url;
    milliseconds began;
  };
  Script script_;
  Latency latency_;
  milliseconds time_{1000};
  std::multimap<milliseconds, Running> running_;  ///< by their ends
  std::map<std::string, std::size_t> per_host_;
  std::map<std::string, int> visits_;
};

Transfer answer(int status, std::string body = {}) {
  Transfer transfer;
  transfer.http_status = status;
  transfer.detail = "HTTP " + std::to_string(status);
  transfer.body = Body(std::move(body));
  transfer.answered_after = milliseconds(10);
  return transfer;
}

Transfer broken(const std::string& reason) {
  Transfer transfer;
  transfer.reason = reason;
  transfer.detail = "injected";
  return transfer;
}

std::vector<Fetched> fetch(const std::vector<std::string>& urls, const NetworkSettings& settings,
                           Transport& transport) {
  std::vector<Fetched> images(urls.size());
  std::vector<int> delivered(urls.size());
  fetch_all(source_of(urls), settings, transport,
            [&](Fetched&& image) {
              const std::size_t index = std::stoul(image.wanted.image_uid);
              ++delivered[index];
              images[index] = std::move(image);
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
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  std::vector<std::string> urls = many("a", 40);
  for (const char* host : {"b", "c", "d"}) {
    const auto more = many(host, 40);
    urls.insert(urls.end(), more.begin(), more.end());
  }
  NetworkSettings settings;
  settings.concurrency = 10;
  settings.per_host = 4;
  for (const Fetched& image : fetch(urls, settings, transport)) {
    EXPECT_TRUE(image.ok());
    EXPECT_EQ(image.tries, 1);
    EXPECT_EQ(image.file.width, 1);
  }
  EXPECT_EQ(transport.most_at_once, 10U);
  EXPECT_LE(transport.most_per_host, 4U);
  settings.concurrency = 100;
  FakeTransport wide([](const std::string&, int) { return answer(200, small_png()); });
  fetch(urls, settings, wide);
  EXPECT_EQ(wide.most_at_once, 16U);
  EXPECT_EQ(wide.most_per_host, 4U);
}

TEST(FetchSchedule, HostsTakeTurns) {
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  std::vector<std::string> urls = many("big", 50);
  urls.emplace_back("http://small/1");
  NetworkSettings settings;
  settings.concurrency = 2;
  fetch(urls, settings, transport);
  EXPECT_EQ(transport.started[1].url, "http://small/1");
}

TEST(FetchSchedule, BacksOffExponentiallyWithJitter) {
  FakeTransport transport(
      [](const std::string&, int visit) { return visit < 3 ? answer(503) : answer(200, small_png()); });
  NetworkSettings settings;
  settings.backoff = milliseconds(1000);
  settings.retries = 3;
  const auto images = fetch({"http://h/x"}, settings, transport);
  EXPECT_TRUE(images[0].ok());
  EXPECT_EQ(images[0].tries, 4);
  ASSERT_EQ(transport.started.size(), 4U);
  for (std::size_t i = 1; i < 4; ++i) {
    // Half to all of 1, 2, 4 s, after 10 ms of transfer; the wait ends within one poll.
    const auto waited = (transport.started[i].at - transport.started[i - 1].at).count();
    const auto full = 1000 << (i - 1);
    EXPECT_GE(waited, full / 2) << i;
    EXPECT_LE(waited, full + 120) << i;
  }
}

TEST(FetchSchedule, JitterDiffersBetweenImages) {
  FakeTransport transport(
      [](const std::string&, int visit) { return visit < 1 ? broken("connection") : answer(200, small_png()); });
  NetworkSettings settings;
  settings.backoff = milliseconds(10000);
  fetch(many("h", 8), settings, transport);
  std::vector<std::int64_t> again;
  for (std::size_t i = 8; i < transport.started.size(); ++i) again.push_back(transport.started[i].at.count());
  EXPECT_EQ(again.size(), 8U);
  EXPECT_GE(*std::ranges::max_element(again) - *std::ranges::min_element(again), 500);
}

TEST(FetchSchedule, GivesUpAfterTheLastTry) {
  for (const auto& [transfer, reason] : std::vector<std::pair<std::function<Transfer()>, std::string>>{
           {[] { return answer(500); }, "http_500"},
           {[] { return answer(429); }, "http_429"},
           {[] { return broken("timeout"); }, "timeout"},
           {[] { return broken("dns"); }, "dns"},
           {[] { return broken("connect"); }, "connect"},
           {[] { return broken("truncated"); }, "truncated"}}) {
    FakeTransport transport([&transfer = transfer](const std::string&, int) { return transfer(); });
    NetworkSettings settings;
    settings.retries = 2;
    const auto images = fetch({"http://h/x"}, settings, transport);
    EXPECT_EQ(images[0].reason, reason);
    EXPECT_EQ(images[0].tries, 3) << reason;
  }
}

TEST(FetchSchedule, DoesNotRetryWhatWillNotChange) {
  for (const auto& [transfer, reason] : std::vector<std::pair<std::function<Transfer()>, std::string>>{
           {[] { return answer(404); }, "http_404"},
           {[] { return answer(403); }, "http_403"},
           {[] { return answer(304); }, "http_304"},
           {[] { return answer(501); }, "http_501"},
           {[] { return answer(200); }, "empty"},
           {[] { return answer(200, "<html>gone</html>"); }, "not_an_image"},
           {[] { return broken("too_large"); }, "too_large"},
           {[] { return broken("refused_address"); }, "refused_address"},
           {[] { return broken("tls"); }, "tls"},
           {[] { return broken("redirects"); }, "redirects"},
           {[] { return broken("missing"); }, "missing"}}) {
    FakeTransport transport([&transfer = transfer](const std::string&, int) { return transfer(); });
    const auto images = fetch({"http://h/x"}, {}, transport);
    EXPECT_EQ(images[0].reason, reason);
    EXPECT_EQ(images[0].tries, 1) << reason;
    EXPECT_TRUE(images[0].body.size() == 0) << reason;
    EXPECT_FALSE(images[0].detail.empty()) << reason;
  }
}

TEST(FetchSchedule, RetryAfterHoldsBackTheWholeHostOnly) {
  FakeTransport transport([](const std::string& url, int visit) {
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
  NetworkSettings settings;
  settings.per_host = 1;
  for (const Fetched& image : fetch(urls, settings, transport)) EXPECT_TRUE(image.ok());
  for (std::size_t i = 0; i < transport.started.size(); ++i) {
    const auto& [url, at, first_byte, stall, etag, fresh] = transport.started[i];
    if (url.starts_with("http://calm")) {
      EXPECT_LT(at.count(), 2000) << url;
    } else if (i > 0) {
      EXPECT_GE(at.count(), 6000) << url;
    }
  }
  EXPECT_EQ(transport.started.size(), 9U);
}

TEST(FetchSchedule, DoesNotWaitLongerThanAllowed) {
  FakeTransport transport([](const std::string&, int) {
    Transfer transfer = answer(503);
    transfer.retry_after = milliseconds(3600000);
    return transfer;
  });
  const auto images = fetch({"http://h/x"}, {}, transport);
  EXPECT_EQ(images[0].reason, "http_503");
  EXPECT_EQ(images[0].tries, 1);
  EXPECT_THAT(images[0].detail, ::testing::HasSubstr("asks to wait 3600 s"));
}

TEST(FetchSchedule, BadUrlsAreNeverStarted) {
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  const auto images = fetch({"", "ftp://h/x", "http://h/x"}, {}, transport);
  EXPECT_EQ(images[0].reason, "bad_url");
  EXPECT_EQ(images[1].reason, "bad_url");
  EXPECT_EQ(images[1].tries, 0);
  EXPECT_TRUE(images[2].ok());
  EXPECT_EQ(transport.started.size(), 1U);
}

TEST(FetchSchedule, OfNothingIsNothing) {
  FakeTransport transport([](const std::string&, int) { return answer(200); });
  EXPECT_TRUE(fetch({}, {}, transport).empty());
}

TEST(FetchSchedule, StopsBetweenTransfersAndDeliversWhatEnded) {
  std::stop_source source;
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  NetworkSettings settings;
  settings.concurrency = 2;
  RunContext context;
  context.stop = source.get_token();
  std::size_t delivered = 0;
  const auto urls = many("h", 20);
  try {
    fetch_all(
        source_of(urls), settings, transport,
        [&](Fetched&&) {
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

TEST(FetchSchedule, WhatTheSinkThrowsEndsIt) {
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  const auto urls = many("h", 5);
  EXPECT_THROW(fetch_all(source_of(urls), {}, transport,
                         [](Fetched&&) { throw Error(ErrorCode::kResourceLimit, "disk full"); }, {}),
               Error);
}

bool is_slow(const std::string& url) { return url.find("slow") != std::string::npos; }

TEST(FetchSchedule, TransfersThatWaitHoldNobodyUp) {
  // Every 50th URL of one host never answers: by the plain limits 40 of them would hold 4 places for 40 s.
  std::vector<std::string> urls;
  for (int i = 0; i < 2000; ++i) urls.push_back("http://h/" + std::to_string(i) + (i % 50 == 5 ? "slow" : ""));
  FakeTransport transport(
      [](const std::string& url, int) { return is_slow(url) ? broken("timeout") : answer(200, small_png()); },
      [](const FakeTransport::Started& started) {
        return is_slow(started.url) ? started.first_byte_timeout : milliseconds(10);
      });
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 4;
  settings.retries = 1;
  settings.first_byte_timeout = milliseconds(2000);
  const auto images = fetch(urls, settings, transport);
  milliseconds last_fast{0};
  for (const auto& started : transport.started) {
    if (!is_slow(started.url)) last_fast = started.at;
  }
  // 1,960 transfers of 10 ms at 4 a time take 4.9 s; each silent one holds its place for 50 to 70 ms.
  EXPECT_LT(last_fast.count(), 1000 + 4900 + 40 * 80 / 4);
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(images[i].reason, i % 50 == 5 ? "timeout" : "") << i;
    EXPECT_LE(images[i].tries, i % 50 == 5 ? 2 : 1) << i;
  }
  EXPECT_LE(transport.most_per_host, 8U * 4);
}

TEST(FetchSchedule, ASlowHostHoldsItsShareOfThePlacesOnly) {
  // By turns alone the host that takes 900 ms has nearly all 8 places, and the other one is asked for some 30 in 4 s.
  std::vector<std::string> urls = many("slow", 40);
  const auto fast = many("fast", 400);
  urls.insert(urls.end(), fast.begin(), fast.end());
  FakeTransport transport(
      [](const std::string&, int) { return answer(200, small_png()); },
      [](const FakeTransport::Started& started) { return milliseconds(is_slow(started.url) ? 900 : 10); });
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 8;
  for (const Fetched& image : fetch(urls, settings, transport)) EXPECT_TRUE(image.ok());
  milliseconds last_fast{0};
  for (const auto& started : transport.started) {
    if (!is_slow(started.url)) last_fast = started.at;
  }
  EXPECT_LT(last_fast.count(), 1000 + 400 * 10 / 4 + 200);
  EXPECT_EQ(transport.most_at_once, 8U);
}

TEST(FetchSchedule, WhatWaitsLeavesPlacesToHostsThatAnswer) {
  class Narrow final : public FakeTransport {
   public:
    using FakeTransport::FakeTransport;
    [[nodiscard]] int most_open() const noexcept override { return 40; }
  };
  std::vector<std::string> urls;
  for (int i = 0; i < 20; ++i) {
    const auto mute = many(fmt::format("mute{}", i), 10);
    urls.insert(urls.end(), mute.begin(), mute.end());
  }
  const auto good = many("good", 1000);
  urls.insert(urls.end(), good.begin(), good.end());
  const auto is_mute = [](const std::string& url) { return url.starts_with("http://mute"); };
  Narrow transport(
      [&](const std::string& url, int) { return is_mute(url) ? broken("timeout") : answer(200, small_png()); },
      [&](const FakeTransport::Started& started) {
        return is_mute(started.url) ? started.first_byte_timeout : milliseconds(10);
      });
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 10;
  const auto images = fetch(urls, settings, transport);
  for (std::size_t i = 0; i < images.size(); ++i) EXPECT_EQ(images[i].reason, i < 200 ? "timeout" : "") << i;
  milliseconds last_good{0};
  for (const auto& started : transport.started) {
    if (!is_mute(started.url)) last_good = started.at;
  }
  // Each mute host is known to be slow after a second; in three 30 of them wait, as many as may. Their time is 15 s.
  EXPECT_LT(last_good.count(), 1000 + 3000 + 1000 * 10 / 10 + 500);
  EXPECT_EQ(transport.most_at_once, 40U);
}

TEST(FetchSchedule, SilenceThatSixteenUrlsKeptToTheEndIsFinal) {
  std::vector<std::string> urls;
  for (int i = 0; i < 8000; ++i) urls.push_back(fmt::format("http://h/{}{}", i, i % 10 == 5 ? "slow" : ""));
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 4;
  settings.retries = 1;
  settings.first_byte_timeout = milliseconds(2000);
  const FakeTransport::Latency latency = [](const FakeTransport::Started& started) {
    return is_slow(started.url) && started.first_byte_timeout < milliseconds(2000) ? milliseconds(1000)
                                                                                   : milliseconds(10);
  };
  for (const bool answers_in_the_end : {false, true}) {
    FakeTransport transport(
        [&](const std::string& url, int visit) {
          return is_slow(url) && (visit == 0 || !answers_in_the_end) ? broken("timeout") : answer(200, small_png());
        },
        latency);
    const auto images = fetch(urls, settings, transport);
    int tried_once = 0;
    int tried_twice = 0;
    for (std::size_t i = 5; i < images.size(); i += 10) {
      EXPECT_EQ(images[i].reason, answers_in_the_end ? "" : "timeout");
      tried_once += images[i].tries == 1 ? 1 : 0;
      tried_twice += images[i].tries == 2 ? 1 : 0;
      if (images[i].tries == 1) {
        EXPECT_THAT(images[i].detail, ::testing::HasSubstr("others of its host"));
      }
    }
    EXPECT_EQ(tried_once + tried_twice, 800);
    if (answers_in_the_end) {
      EXPECT_EQ(tried_once, 0);
    } else {
      EXPECT_GE(tried_twice, 16 + 700 / 16 / 2) << "some look whether it is still so";
      EXPECT_LE(tried_twice, 250);
    }
  }
}

TEST(FetchSchedule, AFewFindOutWhetherSilenceEnds) {
  std::vector<std::string> urls;
  for (int i = 0; i < 4000; ++i) urls.push_back(fmt::format("http://h/{}{}", i, i % 10 == 5 ? "slow" : ""));
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 64;
  settings.retries = 1;
  settings.first_byte_timeout = milliseconds(2000);
  for (const bool answers_in_the_end : {false, true}) {
    FakeTransport transport(
        [&](const std::string& url, int visit) {
          return is_slow(url) && (visit == 0 || !answers_in_the_end) ? broken("timeout") : answer(200, small_png());
        },
        [](const FakeTransport::Started& started) {
          return is_slow(started.url) ? started.first_byte_timeout : milliseconds(50);
        });
    int tried_twice = 0;
    for (const Fetched& image : fetch(urls, settings, transport)) tried_twice += image.tries == 2 ? 1 : 0;
    if (answers_in_the_end) {
      EXPECT_EQ(tried_twice, 400);
    } else {
      EXPECT_GE(tried_twice, 16);
      EXPECT_LE(tried_twice, 64 + 400 / 16);
    }
  }
}

TEST(FetchSchedule, AHostThatKeepsAllWaitingIsAskedAgain) {
  FakeTransport transport([](const std::string&, int) {
    Transfer transfer = broken("timeout");  // its answers begin, and stop
    transfer.answered_after = milliseconds(10);
    return transfer;
  });
  NetworkSettings settings;
  settings.retries = 2;
  for (const Fetched& image : fetch(many("h", 100), settings, transport)) EXPECT_EQ(image.tries, 3);
}

TEST(FetchSchedule, ImagesThatWaitToBeStoredHoldPlaces) {
  std::vector<std::string> urls = many("good", 100);
  const auto dead = many("dead", 100);
  urls.insert(urls.end(), dead.begin(), dead.end());
  FakeTransport transport([](const std::string& url, int) {
    return url.starts_with("http://dead") ? answer(404) : answer(200, small_png());
  });
  NetworkSettings settings;
  settings.concurrency = 8;
  const Transport::Clock::time_point stores(milliseconds(5000));
  std::size_t early = 0;
  std::size_t good = 0;
  fetch_all(
      source_of(urls), settings, transport,
      [&](Fetched&& image) {
        good += image.ok() ? 1 : 0;
        early += image.ok() && transport.now() < stores ? 1 : 0;
      },
      {}, [&] { return transport.now() < stores ? early : 0; });
  EXPECT_EQ(good, 100U);
  EXPECT_EQ(early, 8U);
  const auto dead_before = std::ranges::count_if(transport.started, [](const FakeTransport::Started& started) {
    return started.url.starts_with("http://dead") && started.at < milliseconds(2000);
  });
  EXPECT_GE(dead_before, 4) << "until images that wait have all places";
}

TEST(FetchSchedule, WhoIsSilentIsAskedAgainBeforeOthersAndOnANewConnection) {
  std::vector<std::string> urls;
  for (int i = 0; i < 1000; ++i) urls.push_back(fmt::format("http://h/{}{}", i, i >= 100 && i < 140 ? "slow" : ""));
  FakeTransport transport(
      [](const std::string& url, int) { return is_slow(url) ? broken("timeout") : answer(200, small_png()); },
      [](const FakeTransport::Started& started) {
        return is_slow(started.url) ? started.first_byte_timeout : milliseconds(100);
      });
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 16;
  settings.retries = 1;
  settings.first_byte_timeout = milliseconds(2000);
  fetch(urls, settings, transport);
  std::map<std::string, milliseconds> ended;
  std::size_t again = 0;
  for (const auto& started : transport.started) {
    if (!is_slow(started.url)) {
      EXPECT_FALSE(started.new_connection);
      continue;
    }
    const auto [before, first] = ended.emplace(started.url, started.at + started.first_byte_timeout);
    EXPECT_EQ(started.new_connection, !first);
    if (first) continue;
    ++again;
    // The longest back-off, then the next of 16 transfers of 100 ms that ends, not one of every fourth.
    EXPECT_LE((started.at - before->second).count(), 500 + 100 + 40) << started.url;
  }
  EXPECT_EQ(again, 40U);
}

TEST(FetchSchedule, KeepsToWhatTheTransportCanHaveOpen) {
  class Narrow final : public FakeTransport {
   public:
    using FakeTransport::FakeTransport;
    [[nodiscard]] int most_open() const noexcept override { return 3; }
  };
  Narrow transport([](const std::string&, int) { return broken("timeout"); },
                   [](const FakeTransport::Started&) { return milliseconds(3000); });
  NetworkSettings settings;
  settings.retries = 0;
  fetch(many("h", 12), settings, transport);
  EXPECT_EQ(transport.most_at_once, 3U);
}

TEST(FetchSchedule, AFileThatIsCutOnItsServerIsNotAskedForAgain) {
  for (const bool known : {false, true}) {
    FakeTransport transport([&](const std::string&, int visit) {
      Transfer transfer = answer(200, visit == 0 ? small_png().substr(0, 60) : small_png());
      transfer.length_known = known;
      return transfer;
    });
    const auto images = fetch(many("h", 1), {}, transport);
    EXPECT_EQ(images[0].reason, known ? "truncated" : "") << images[0].detail;
    EXPECT_EQ(images[0].tries, known ? 1 : 2);
  }
}

TEST(FetchSchedule, AHostThatIsSlowToAllIsNotAskedForMore) {
  FakeTransport transport(
      [](const std::string&, int) {
        Transfer transfer = answer(200, small_png());
        transfer.answered_after = milliseconds(8000);
        return transfer;
      },
      [](const FakeTransport::Started&) { return milliseconds(8000); });
  NetworkSettings settings;
  settings.per_host = 3;
  fetch(many("h", 60), settings, transport);
  EXPECT_EQ(transport.most_per_host, 3U);
}

TEST(FetchSchedule, PatienceGrowsWithTheTries) {
  std::vector<std::string> urls = many("h", 40);
  urls.emplace_back("http://h/slow");
  FakeTransport transport(
      [](const std::string& url, int) { return is_slow(url) ? broken("timeout") : answer(200, small_png()); });
  NetworkSettings settings;
  settings.retries = 3;
  settings.per_host = 1;  // the slow one comes last
  fetch(urls, settings, transport);
  EXPECT_EQ(transport.started[0].first_byte_timeout, settings.first_byte_timeout) << "nothing is known of the host yet";
  std::vector<std::int64_t> first_byte;
  std::vector<std::int64_t> stall;
  for (const auto& started : transport.started) {
    if (!is_slow(started.url)) continue;
    first_byte.push_back(started.first_byte_timeout.count());
    stall.push_back(started.stall_timeout.count());
  }
  EXPECT_THAT(first_byte, ElementsAre(1000, 4000, 15000, 15000));
  EXPECT_THAT(stall, ElementsAre(1000, 4000, 16000, 30000));
}

TEST(FetchSchedule, WithoutASecondTryTheFirstHasTheWholeTime) {
  FakeTransport transport([](const std::string&, int) { return answer(200, small_png()); });
  NetworkSettings settings;
  settings.retries = 0;
  fetch(many("h", 40), settings, transport);
  for (const auto& started : transport.started) EXPECT_EQ(started.first_byte_timeout, settings.first_byte_timeout);
}

TEST(FetchSchedule, AHostThatIsDownCostsLittle) {
  std::vector<std::string> urls = many("dead", 3000);
  const auto alive = many("alive", 100);
  urls.insert(urls.end(), alive.begin(), alive.end());
  FakeTransport transport(
      [](const std::string& url, int) {
        return url.starts_with("http://dead") ? broken("connect") : answer(200, small_png());
      },
      [](const FakeTransport::Started& started) {
        return milliseconds(started.url.starts_with("http://dead") ? 10000 : 10);
      });
  const auto images = fetch(urls, {}, transport);
  std::size_t tried = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(images[i].reason, i < 3000 ? "connect" : "") << i;
    if (i < 3000 && images[i].tries > 0) ++tried;
  }
  EXPECT_GE(tried, 10U) << "ten tries in a row are needed to know";
  EXPECT_LE(tried, 64U);
  EXPECT_THAT(images[2999].detail, ::testing::HasSubstr("dead:80 gives no answer"));
  EXPECT_LT(transport.started.back().at.count(), 120000);
}

TEST(FetchSchedule, AHostThatComesBackIsAskedAgain) {
  // Down for its first 49 s; after 20 s that is known, a minute later it is asked again. Its URLs come as others end.
  std::vector<std::string> urls;
  for (int i = 0; i < 120000; ++i) urls.push_back(fmt::format("http://{}/{}", i % 2 == 0 ? "back" : "busy", i));
  FakeTransport* clock = nullptr;
  FakeTransport transport([&](const std::string& url, int) {
    const bool down = clock->now() < Transport::Clock::time_point(milliseconds(50000));
    return url.starts_with("http://back") && down ? broken("connect") : answer(200, small_png());
  });
  clock = &transport;
  NetworkSettings settings;
  settings.concurrency = settings.per_host = 2;  // the busy host alone keeps it full
  settings.retries = 1;
  const auto images = fetch(urls, settings, transport);
  std::size_t fetched = 0;
  for (std::size_t i = 0; i < images.size(); i += 2) fetched += images[i].ok() ? 1 : 0;
  EXPECT_GT(fetched, 1000U);
  EXPECT_LT(fetched, 59000U);
  EXPECT_TRUE(images[119998].ok());
}

TEST(FetchSchedule, HoldsAWindowOfTheListOnly) {
  FakeTransport transport([](const std::string&, int) { return answer(404); });
  std::size_t given = 0;
  std::size_t ended = 0;
  std::size_t most = 0;
  fetch_all(
      [&](Wanted& wanted) {
        if (given == 100000) return false;
        wanted = {std::to_string(given), fmt::format("http://h{}/x", given % 50), 1, "", "", false};
        most = std::max(most, ++given - ended);
        return true;
      },
      {}, transport, [&](Fetched&&) { ++ended; }, {});
  EXPECT_EQ(ended, 100000U);
  EXPECT_LE(most, 16384U + 1024U);
}

TEST(FetchSchedule, AsksWhetherAFileHasChanged) {
  FakeTransport transport([](const std::string&, int) { return answer(304); });
  std::vector<Fetched> seen;
  bool given = false;
  fetch_all(
      [&](Wanted& wanted) {
        if (given) return false;
        wanted = {"u", "http://h/x", 1, "\"tag\"", "", true};
        return given = true;
      },
      {}, transport, [&](Fetched&& fetched) { seen.push_back(std::move(fetched)); }, {});
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].ok());
  EXPECT_TRUE(seen[0].not_modified);
  EXPECT_EQ(transport.started[0].etag, "\"tag\"");
}

TEST(NetworkSettingsTest, RefusesValuesOutOfRange) {
  const auto refused = [](auto change, const std::string& name) {
    NetworkSettings settings;
    change(settings);
    try {
      settings.validate();
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(name));
    }
  };
  EXPECT_NO_THROW(NetworkSettings{}.validate());
  refused([](NetworkSettings& o) { o.concurrency = 0; }, "concurrency: expected 1 to 1024, found 0");
  refused([](NetworkSettings& o) { o.per_host = 2000; }, "per-host");
  refused([](NetworkSettings& o) { o.retries = -1; }, "retries");
  refused([](NetworkSettings& o) { o.retries = 21; }, "retries");
  refused([](NetworkSettings& o) { o.stall_timeout = milliseconds(0); }, "timeout");
  refused([](NetworkSettings& o) { o.max_image_bytes = 0; }, "max-bytes");
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
}  // namespace imagerank::fetch
