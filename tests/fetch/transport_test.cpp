// fetch_all over real sockets: libcurl against a server on 127.0.0.1 that misbehaves as told.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <map>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "fetch/schedule.h"
#include "fetch/wanted_list.h"
#include "images/encode.h"
#include "support/http_server.h"
#include "support/test_support.h"

namespace imagerank::fetch {
namespace {

using test::HttpRequest;
using test::HttpResponse;
using test::HttpServer;
using ::testing::AnyOf;
using ::testing::HasSubstr;

/// A PNG of about 3 * side * side bytes: noise does not compress.
const std::string& noisy_png() {
  static const std::string kBytes = [] {
    images::Image image{64, 48, {}};
    std::uint32_t state = 1;
    for (int i = 0; i < 64 * 48 * 3; ++i)
      image.pixels.push_back(static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24));
    return images::encode_png(image);
  }();
  return kBytes;
}

HttpResponse png() {
  HttpResponse response;
  response.body = noisy_png();
  return response;
}

HttpResponse status(int code) {
  HttpResponse response;
  response.status = code;
  response.body = "<html>sorry</html>";
  return response;
}

HttpResponse redirect(const std::string& to) {
  HttpResponse response = status(302);
  response.headers.emplace_back("Location", to);
  return response;
}

NetworkSettings quick() {
  NetworkSettings settings;
  settings.allow_local = true;
  settings.backoff = milliseconds(5);
  settings.max_backoff = milliseconds(2000);
  settings.stall_timeout = milliseconds(1000);
  settings.connect_timeout = milliseconds(2000);
  return settings;
}

ByteBudget budget;

std::vector<Fetched> fetch(const std::vector<std::string>& urls, const NetworkSettings& settings,
                           http::AddressCheck refused = http::is_private_address) {
  std::vector<Fetched> images(urls.size());
  const auto transport = make_curl_transport(settings, budget, refused);
  fetch_all(source_of(urls), settings, *transport,
            [&](Fetched&& image) { images[std::stoul(image.wanted.image_uid)] = std::move(image); }, {});
  return images;
}

Fetched fetch_one(const std::string& url, const NetworkSettings& settings = quick()) {
  return std::move(fetch({url}, settings)[0]);
}

TEST(FetchNetwork, GetsAnImageAndDescribesIt) {
  HttpServer server([](const HttpRequest&) { return png(); });
  const Fetched image = fetch_one(server.url("/a b.png"));
  ASSERT_TRUE(image.ok()) << image.reason << ": " << image.detail;
  EXPECT_EQ(image.body.text(), noisy_png());
  EXPECT_EQ(image.file.format, images::ImageFormat::kPng);
  EXPECT_EQ(image.file.width, 64);
  EXPECT_EQ(image.file.height, 48);
  EXPECT_EQ(sha256_hex(image.body.bytes()), sha256_hex(noisy_png()));
  EXPECT_EQ(server.visits("/a%20b.png"), 1);
}

TEST(FetchNetwork, ReusesConnectionsAndKeepsThePerHostLimit) {
  HttpServer server([](const HttpRequest&) {
    HttpResponse response = png();
    response.delay_before = milliseconds(50);
    return response;
  });
  std::vector<std::string> urls;
  for (int i = 0; i < 60; ++i) urls.push_back(server.url(fmt::format("/{}", i)));
  NetworkSettings settings = quick();
  settings.per_host = 3;
  for (const Fetched& image : fetch(urls, settings)) EXPECT_TRUE(image.ok()) << image.detail;
  EXPECT_EQ(server.requests(), 60);
  EXPECT_LE(server.connections(), 4);
  EXPECT_LE(server.most_at_once(), 3);
}

TEST(FetchNetwork, CountsFailuresByReason) {
  HttpServer server([](const HttpRequest& request) {
    if (request.path == "/404") return status(404);
    if (request.path == "/503") return status(503);
    HttpResponse response;
    if (request.path == "/html") response.body = "<!DOCTYPE html><html>Image not found</html>";
    return response;  // "/empty"
  });
  NetworkSettings settings = quick();
  settings.retries = 1;
  const auto images = fetch({server.url("/404"), server.url("/503"), server.url("/html"), server.url("/empty"),
                             "http://no-such-host.invalid/x", "http://127.0.0.1:1/x"},
                            settings);
  EXPECT_EQ(images[0].reason, "http_404");
  EXPECT_EQ(images[1].reason, "http_503");
  EXPECT_EQ(images[2].reason, "not_an_image");
  EXPECT_EQ(images[3].reason, "empty");
  EXPECT_THAT(images[4].reason, AnyOf("dns", "timeout")) << images[4].detail;  // without any network it times out
  EXPECT_EQ(images[5].reason, "connect") << images[5].detail;
  EXPECT_EQ(server.visits("/404"), 1);
  EXPECT_EQ(server.visits("/503"), 2);
}

TEST(FetchNetwork, RecoversFromPassingErrors) {
  HttpServer server([](const HttpRequest& request) {
    if (request.visit > 0) return png();
    HttpResponse response = png();
    if (request.path == "/500") return status(500);
    if (request.path == "/drop") response.drop_after = response.body.size() / 2;
    if (request.path == "/hangup") {
      response.body.clear();
      response.claimed_length = 1000;
    }
    if (request.path == "/stall") {
      response.piece = 500;
      response.delay_between = milliseconds(60000);
    }
    return response;
  });
  for (const char* path : {"/500", "/drop", "/hangup", "/stall"}) {
    const Fetched image = fetch_one(server.url(path));
    EXPECT_TRUE(image.ok()) << path << ": " << image.reason << ": " << image.detail;
    EXPECT_EQ(image.tries, 2) << path;
    EXPECT_EQ(image.body.text(), noisy_png()) << path;
  }
}

TEST(FetchNetwork, HonoursRetryAfter) {
  HttpServer server([](const HttpRequest& request) {
    if (request.visit > 0) return png();
    HttpResponse response = status(429);
    response.headers.emplace_back("Retry-After", "1");
    return response;
  });
  const auto start = std::chrono::steady_clock::now();
  const Fetched image = fetch_one(server.url("/x"));
  EXPECT_TRUE(image.ok()) << image.detail;
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(1000));
  EXPECT_EQ(server.requests(), 2);
}

TEST(FetchNetwork, NamesWhatStaysBroken) {
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = png();
    if (request.path == "/longer") response.claimed_length = response.body.size() + 100;
    if (request.path == "/shorter") response.claimed_length = response.body.size() - 100;
    if (request.path == "/silent") response.delay_before = milliseconds(60000);
    if (request.path == "/trickle") {
      response.piece = 20;
      response.delay_between = milliseconds(100);
    }
    return response;
  });
  NetworkSettings settings = quick();
  settings.retries = 0;
  const auto images =
      fetch({server.url("/longer"), server.url("/shorter"), server.url("/silent"), server.url("/trickle")}, settings);
  EXPECT_EQ(images[0].reason, "truncated") << images[0].detail;
  EXPECT_EQ(images[1].reason, "truncated") << images[1].detail;
  EXPECT_EQ(images[2].reason, "timeout") << images[2].detail;
  EXPECT_EQ(images[3].reason, "timeout") << images[3].detail;
}

TEST(FetchNetwork, ASlowServerIsNotAStalledOne) {
  HttpServer server([](const HttpRequest&) {
    HttpResponse response = png();
    response.piece = 500;
    response.delay_between = milliseconds(100);  // 5 kB/s, about two seconds: longer than the stall timeout
    return response;
  });
  const Fetched image = fetch_one(server.url("/x"));
  EXPECT_TRUE(image.ok()) << image.reason << ": " << image.detail;
  EXPECT_EQ(image.tries, 1);
}

TEST(FetchNetwork, RefusesHugeFilesWhateverTheyClaim) {
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = png();
    if (request.path == "/claims") {
      response.claimed_length = std::uint64_t{1} << 50;
    } else {
      response.body.resize(200000, 'x');
    }
    return response;
  });
  NetworkSettings settings = quick();
  settings.max_image_bytes = 100000;
  for (const char* path : {"/claims", "/is"}) {
    const Fetched image = fetch_one(server.url(path), settings);
    EXPECT_EQ(image.reason, "too_large") << path;
    EXPECT_EQ(image.tries, 1) << path;
    EXPECT_THAT(image.detail, HasSubstr("100000")) << path;
  }
}

TEST(FetchNetwork, FollowsRedirectsWithinTheLimit) {
  HttpServer* self = nullptr;
  HttpServer server([&](const HttpRequest& request) {
    if (request.path == "/loop") return redirect("/loop");
    if (request.path == "/moved") return redirect(self->url("/there"));
    return png();
  });
  self = &server;
  EXPECT_TRUE(fetch_one(server.url("/moved")).ok());
  const Fetched loop = fetch_one(server.url("/loop"));
  EXPECT_EQ(loop.reason, "redirects") << loop.detail;
  EXPECT_EQ(server.visits("/loop"), 6);
}

TEST(FetchNetwork, RefusesLocalAddressesAndFilesUnlessAllowed) {
  HttpServer server([](const HttpRequest&) { return png(); });
  NetworkSettings settings = quick();
  settings.allow_local = false;
  const int port = server.port();
  for (const Fetched& image :
       fetch({server.url("/x"), fmt::format("http://localhost:{}/x", port), fmt::format("http://[::1]:{}/x", port),
              fmt::format("http://2130706433:{}/x", port), fmt::format("http://0x7f.1:{}/x", port),
              "file:///etc/hostname"},
             settings)) {
    EXPECT_EQ(image.reason, "refused_address") << image.wanted.image_uid << image.detail;
    EXPECT_EQ(image.tries, 1);
  }
  EXPECT_EQ(server.connections(), 0);
}

bool all_but_the_first_loopback(std::span<const std::uint8_t> address) noexcept {
  return !(address.size() == 4 && address[0] == 127 && address[3] == 1);
}

TEST(FetchNetwork, ChecksAddressesOnRedirectsToo) {
  HttpServer* self = nullptr;
  HttpServer server([&](const HttpRequest& request) {
    if (request.path == "/inside") return redirect(fmt::format("http://127.0.0.2:{}/x", self->port()));
    if (request.path == "/file") return redirect("file:///etc/hostname");
    return png();
  });
  self = &server;
  NetworkSettings settings = quick();
  settings.allow_local = false;
  const auto images =
      fetch({server.url("/inside"), server.url("/file"), server.url("/fine")}, settings, all_but_the_first_loopback);
  EXPECT_EQ(images[0].reason, "refused_address");
  EXPECT_THAT(images[0].detail, HasSubstr("127.0.0.2"));
  EXPECT_EQ(images[1].reason, "refused_address") << images[1].detail;
  EXPECT_TRUE(images[2].ok()) << images[2].detail;
}

TEST(FetchNetwork, BoundsTheMemoryOfWhatIsUnderWay) {
  HttpServer server([](const HttpRequest&) {
    HttpResponse response = png();
    response.piece = 2000;
    response.delay_between = milliseconds(1);
    return response;
  });
  std::vector<std::string> urls;
  for (int i = 0; i < 24; ++i) urls.push_back(server.url(fmt::format("/{}", i)));
  NetworkSettings settings = quick();
  settings.max_buffered_bytes = 20000;  // two images: the others pause, and must all come through
  for (const Fetched& image : fetch(urls, settings)) {
    EXPECT_TRUE(image.ok()) << image.reason << ": " << image.detail;
    EXPECT_EQ(image.body.text(), noisy_png());
  }
}

TEST(FetchNetwork, ReadsFileUrls) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "a b.png", noisy_png());
  test::write_text(folder / "note.png", "text");
  ASSERT_EQ(mkfifo((folder / "pipe.png").c_str(), 0600), 0);
  const std::string base = "file://" + folder.path().string();
  NetworkSettings settings = quick();
  const auto images =
      fetch({base + "/a%20b.png", base + "/gone.png", base + "/note.png", base + "/pipe.png", "file:///dev/zero", base},
            settings);
  EXPECT_TRUE(images[0].ok()) << images[0].detail;
  EXPECT_EQ(images[1].reason, "missing");
  EXPECT_THAT(images[1].detail, HasSubstr("gone.png"));
  EXPECT_EQ(images[2].reason, "not_an_image");
  for (const std::size_t i : {3U, 4U, 5U}) EXPECT_EQ(images[i].reason, "missing") << i;
  settings.max_image_bytes = 1000;
  EXPECT_EQ(fetch({base + "/a%20b.png"}, settings)[0].reason, "too_large");
}

TEST(FetchNetwork, SaysWhatAServerKeepsBack) {
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = png();
    if (request.path == "/late") response.delay_before = milliseconds(60000);
    if (request.path == "/half") {
      response.piece = 1000;
      response.delay_between = milliseconds(60000);
    }
    return response;
  });
  NetworkSettings settings = quick();
  settings.retries = 0;
  settings.first_byte_timeout = milliseconds(150);
  settings.stall_timeout = milliseconds(250);
  const auto start = std::chrono::steady_clock::now();
  const auto images = fetch({server.url("/late"), server.url("/half")}, settings);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5000));
  EXPECT_EQ(images[0].reason, "timeout");
  EXPECT_EQ(images[0].detail, "expected an answer within 150 ms, found none");
  EXPECT_EQ(images[1].reason, "timeout");
  EXPECT_EQ(images[1].detail, "expected a byte within 250 ms, found none");
}

TEST(FetchNetwork, AConditionalRequestSendsWhatTheServerGave) {
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = png();
    response.headers = {{"ETag", "\"v1\""}, {"Last-Modified", "Mon, 02 Jan 2023 03:04:05 GMT"}};
    if (request.header("if-none-match") == "\"v1\"" &&
        request.header("if-modified-since") == "Mon, 02 Jan 2023 03:04:05 GMT") {
      response.status = 304;
      response.body.clear();
    }
    return response;
  });
  const Fetched first = fetch_one(server.url("/x"));
  EXPECT_EQ(first.etag, "\"v1\"");
  EXPECT_EQ(first.last_modified, "Mon, 02 Jan 2023 03:04:05 GMT");
  const auto transport = make_curl_transport(quick(), budget);
  for (const auto& [etag, expected] : {std::pair{first.etag, true}, {std::string("\"v0\""), false}}) {
    bool given = false;
    bool not_modified = false;
    fetch_all(
        [&, tag = etag](Wanted& wanted) {
          if (given) return false;
          wanted = {"u", server.url("/x"), 1, tag, first.last_modified, true};
          return given = true;
        },
        quick(), *transport,
        [&](Fetched&& fetched) {
          EXPECT_TRUE(fetched.ok()) << fetched.detail;
          not_modified = fetched.not_modified;
        },
        {});
    EXPECT_EQ(not_modified, expected);
  }
}

TEST(FetchNetwork, HonoursNoAiUnlessTold) {
  HttpServer server([](const HttpRequest& request) {
    if (request.path == "/redirect") {  // the directive of an answer on the way says nothing of the image
      HttpResponse response = redirect("/plain");
      response.headers.emplace_back("X-Robots-Tag", "noai");
      return response;
    }
    HttpResponse response = png();
    if (request.path == "/noai") response.headers.emplace_back("X-Robots-Tag", "noindex, NoAI");
    if (request.path == "/other") response.headers.emplace_back("X-Robots-Tag", "otherbot: noai");
    return response;
  });
  const std::vector<std::string> urls = {server.url("/noai"), server.url("/other"), server.url("/plain"),
                                         server.url("/redirect")};
  const auto images = fetch(urls, quick());
  EXPECT_EQ(images[0].reason, "noai");
  EXPECT_EQ(images[0].tries, 1);
  for (std::size_t i = 1; i < images.size(); ++i) EXPECT_TRUE(images[i].ok()) << i << images[i].detail;
  NetworkSettings settings = quick();
  settings.respect_noai = false;
  EXPECT_TRUE(fetch(urls, settings)[0].ok());
}

TEST(FetchNetwork, CompressedAnswersAreNotUnpacked) {
  HttpServer server([](const HttpRequest& request) {
    EXPECT_EQ(request.header("accept-encoding"), "");
    HttpResponse response;
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10) + std::string(5000, '\0');
    return response;
  });
  EXPECT_EQ(fetch_one(server.url("/bomb")).reason, "not_an_image");
}

TEST(FetchNetwork, BodiesLeaveTheBudgetWithTheirOwners) {
  HttpServer server([](const HttpRequest& request) { return request.path == "/404" ? status(404) : png(); });
  {
    const auto images = fetch({server.url("/a"), server.url("/404"), server.url("/b")}, quick());
    EXPECT_EQ(budget.used(), 2 * noisy_png().size());
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(FetchBody, MemoryThatIsKeptIsForWhatComes) {
  ByteBudget own;
  std::string memory;
  memory.reserve(200000);
  own.give_back_memory(std::move(memory));
  Body waits(own);
  waits.append(std::string(1000, 'a'), 100000);
  Body comes(own);
  comes.append(std::string(1000, 'b'), 100000);
  comes.append(std::string(9000, 'c'), 100000);
  EXPECT_EQ(comes.text(), std::string(1000, 'b') + std::string(9000, 'c'));
  EXPECT_EQ(waits.text(), std::string(1000, 'a'));
  EXPECT_EQ(own.used(), 11000U);
  EXPECT_LT(own.take_memory().capacity(), 100U) << "the body that comes has it";
  waits.clear();
  comes.clear();
  EXPECT_EQ(own.used(), 0U);
  EXPECT_GE(own.take_memory().capacity(), 200000U);
  EXPECT_LT(own.take_memory().capacity(), 100U) << "the first bytes of the other are not worth keeping";
}

TEST(FetchNetwork, SaysWhenAnAnswerBeganBeforeItEnds) {
  HttpServer server([](const HttpRequest&) {
    HttpResponse response = png();
    response.piece = 100;
    response.delay_between = milliseconds(3000);
    return response;
  });
  const NetworkSettings settings = quick();
  const auto transport = make_curl_transport(settings, budget);
  const std::string url = server.url("/half");
  transport->start({7, url, "", "", settings.first_byte_timeout, settings.stall_timeout, false});
  std::optional<milliseconds> answered;
  while (transport->wait(milliseconds(5)).empty()) {
    for (const Silence& silence : transport->silences()) {
      EXPECT_EQ(silence.ticket, 7U);
      answered = silence.answered_after;
    }
  }
  ASSERT_TRUE(answered);
  EXPECT_LT(answered->count(), 900);
}

TEST(FetchNetwork, StoppingCutsWhatIsUnderWay) {
  std::stop_source source;
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response = png();
    if (request.path != "/fast") response.delay_before = milliseconds(60000);
    return response;
  });
  RunContext context;
  context.stop = source.get_token();
  const NetworkSettings settings = quick();
  const auto transport = make_curl_transport(settings, budget);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> urls = {server.url("/fast"), server.url("/slow")};
  EXPECT_THROW(
      fetch_all(source_of(urls), settings, *transport, [&](Fetched&&) { source.request_stop(); }, context), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(900));
}

TEST(FetchNetwork, FetchesRealImages) {
  IMAGERANK_SHARED_DATA(folder, "real/avt/images");
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files["/" + entry.path().filename().string()] = load_file(entry.path());
  }
  HttpServer server([&](const HttpRequest& request) {
    // A quarter fails once, each in its own way.
    const std::size_t kind = request.visit == 0 ? request.path[1] % 16U : 15;
    if (kind == 0) return status(500);
    HttpResponse response;
    response.body = files.at(request.path);
    if (kind == 1) response.drop_after = 1000;
    if (kind == 2) return status(429);
    return response;
  });
  std::vector<std::string> urls;
  for (const auto& [path, bytes] : files) urls.push_back(server.url(path));
  std::size_t ok = 0;
  const auto images = fetch(urls, quick());
  for (const Fetched& image : images) {
    ok += image.ok() && image.file.format == images::ImageFormat::kJpeg && image.file.width == 512 &&
                  image.file.height == 512
              ? 1
              : 0;
  }
  EXPECT_EQ(ok, 134U);
  EXPECT_EQ(images.size(), 134U);
}

}  // namespace
}  // namespace imagerank::fetch
