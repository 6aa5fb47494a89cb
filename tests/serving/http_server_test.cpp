#include "serving/http_server.h"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>

#include "core/atomic_file.h"
#include "serving/serving_world.h"

namespace imagerank::serving {
namespace {

using nlohmann::json;
using test::http_request;
using test::RawClient;
using testing::HasSubstr;

class HttpServerTest : public ServingWorld {
 protected:
  static std::string score_body(std::uint64_t seed) {
    return json{{"prompt", "a red car"}, {"images", {encode_base64(noisy_png(seed))}}}.dump();
  }
  static std::string score_request(std::uint64_t seed) {
    return http_request("POST", "/v1/score", score_body(seed), "Content-Type: application/json\r\n");
  }
};

TEST_F(HttpServerTest, AConnectionIsKeptAndRequestsMayBeSentAhead) {
  const RunningServer server(sources({"first"}));
  RawClient client(server.port());
  client.send(score_request(1) + http_request("GET", "/v2/health/live") + score_request(2));
  const auto first = client.read(), second = client.read(), third = client.read();
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(second.body, "{\"live\":true}\n");
  EXPECT_EQ(json::parse(third.body)["scores"][0]["score"].get<float>(),
            scores_of("first", "a red car", {noisy_png(2)})[0].score);
  client.send(http_request("GET", "/v2/health/live", "", "Connection: close\r\n"));
  EXPECT_EQ(client.read().status, 200);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServerTest, ManyAtOnceGetTheirOwnAnswers) {
  const RunningServer server(sources({"first"}));
  constexpr std::uint64_t kClients = 16, kRequests = 8;
  std::vector<float> expected;
  for (std::uint64_t i = 0; i < kClients; ++i)
    expected.push_back(scores_of("first", "a red car", {noisy_png(i)})[0].score);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> clients;
    for (std::uint64_t i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] {
        RawClient client(server.port());
        for (std::uint64_t k = 0; k < kRequests; ++k) {
          client.send(score_request(i));
          const auto answer = client.read();
          const json object = json::parse(answer.body, nullptr, false);
          if (answer.status != 200 || object["scores"][0]["score"].get<float>() != expected[i]) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

// Connections end on the network's thread, whoever is the last to let go of a request of theirs.
TEST(HttpServer, AnswersMayBeLetGoOfOnAnyThread) {
  ServerOptions options;
  options.port = 0;
  Access access;
  Metrics metrics;
  std::vector<std::jthread> answering;  // filled by the server's one handler thread
  HttpServer server(
      options,
      [&](HttpRequest&&, Respond respond) {
        answering.emplace_back([respond = std::move(respond)]() mutable {
          respond(HttpResponse{});
          std::this_thread::yield();  // the connection may end meanwhile
          respond = nullptr;
        });
      },
      access, metrics);
  std::jthread running([&](const std::stop_token& stop) { server.run(stop, [](const std::string&) {}); });
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&] {
        for (int k = 0; k < 100; ++k) {
          RawClient client(server.port());
          client.send(http_request("GET", "/", "", "Connection: close\r\n"));
          answered += client.read().status == 200 ? 1 : 0;
        }
      });
    }
  }
  running.request_stop();
  running.join();
  EXPECT_EQ(answered, 400);
  answering.clear();
  EXPECT_THAT(metrics.text({}), HasSubstr("imagerank_connections 0\n"));
}

TEST_F(HttpServerTest, AChunkedBodyAndExpectContinue) {
  const RunningServer server(sources({"first"}));
  const std::string body = score_body(1);
  RawClient client(server.port());
  client.send(http_request("POST", "/v1/score", "",
                           "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"));
  char size[32];
  std::snprintf(size, sizeof(size), "%zx\r\n", body.size());
  client.send(size + body + "\r\n0\r\n\r\n");
  EXPECT_EQ(client.read().status, 200);
}

TEST_F(HttpServerTest, WhatIsTooLargeOrSmuggledIsRefused) {
  ServerOptions options;
  options.max_body_bytes = 1000;
  options.max_header_bytes = 2000;
  const RunningServer server(sources({"first"}), {}, options);
  const auto status_of = [&](const std::string& request) {
    RawClient client(server.port());
    client.send(request);
    return client.read().status;
  };
  EXPECT_EQ(status_of(http_request("POST", "/v1/score", std::string(1001, ' '))), 413);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + std::string(4095, ' ') +
                      "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status_of(http_request("GET", "/docs", "", "X-Long: " + std::string(3000, 'x') + "\r\n")), 431);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"), 400);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST /v1/score HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("\x16\x03\x01 no HTTP at all\r\n\r\n"), 400);
  EXPECT_EQ(status_of(http_request("GET", "/v2/health/live")), 200);
}

TEST_F(HttpServerTest, SlowSendersAreTold408AndSilentOnesClosed) {
  ServerOptions options;
  options.idle_timeout_ms = 150;
  options.header_timeout_ms = 150;
  options.body_timeout_ms = 150;
  const RunningServer server(sources({"first"}), {}, options);
  RawClient silent(server.port()), header(server.port()), body(server.port());
  header.send("POST /v1/score HT");
  body.send("POST /v1/score HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(header.read().status, 408);
  EXPECT_EQ(body.read().status, 408);
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(header.closed());
}

TEST_F(HttpServerTest, HangingUpHalfWayHurtsNobody) {
  const RunningServer server(sources({"first"}));
  for (int i = 0; i < 20; ++i) {
    RawClient client(server.port());
    const std::string request = score_request(1);
    client.send(std::string_view(request).substr(0, request.size() * static_cast<std::size_t>(i) / 19));
  }
  EXPECT_EQ(server.ask("GET", "/v2/health/ready").status, 200);
}

TEST_F(HttpServerTest, AFullQueueSaysWhenToTryAgain) {
  ServiceOptions options;
  options.max_queued = 1;
  const RunningServer server(sources({"first"}), options);
  const json images = {encode_base64(noisy_png(1)), encode_base64(noisy_png(2))};
  const auto answer = server.ask("POST", "/v1/score", json{{"prompt", "a"}, {"images", images}}.dump(),
                                 "Content-Type: application/json\r\n");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
}

TEST_F(HttpServerTest, TokensAreAskedForAndReadAgain) {
  test::write_text(path("tokens"), "# who may ask\nsecret-one\n\n");
  const RunningServer server(sources({"first"}), {}, {}, path("tokens"));
  const auto status_with = [&](const std::string& authorization) {
    return server.ask("GET", "/v1/models", "", authorization.empty() ? "" : "Authorization: " + authorization + "\r\n")
        .status;
  };
  EXPECT_EQ(status_with(""), 401);
  EXPECT_EQ(status_with("Bearer secret-on"), 401);
  EXPECT_EQ(status_with("Basic secret-one"), 401);
  EXPECT_EQ(status_with("Bearer # who may ask"), 401);
  EXPECT_EQ(status_with("Bearer secret-one"), 200);
  EXPECT_EQ(server.ask("GET", "/v2/health/live").status, 200);
  test::write_text(path("tokens"), "secret-two\n");
  ::raise(SIGHUP);
  for (int i = 0; i < 100 && status_with("Bearer secret-two") != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(status_with("Bearer secret-two"), 200);
  EXPECT_EQ(status_with("Bearer secret-one"), 401);
  test::write_text(path("tokens"), "");
  ::raise(SIGHUP);
  EXPECT_EQ(status_with("Bearer secret-two"), 200);  // an empty file lets nobody out
}

TEST_F(HttpServerTest, StoppingAnswersWhatHasBegun) {
  RunningServer server(sources({"first"}));
  RawClient idle(server.port()), half(server.port()), busy(server.port());
  const std::string request = score_request(7);
  half.send(std::string_view(request).substr(0, 40));
  busy.send(score_request(8));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server.request_stop();
  EXPECT_TRUE(idle.closed());
  half.send(std::string_view(request).substr(40));
  const auto late = half.read();
  EXPECT_EQ(late.status, 200);
  EXPECT_EQ(late.headers.at("connection"), "close");
  EXPECT_EQ(busy.read().status, 200);
  server.stop();
  EXPECT_THROW(RawClient(server.port()), std::runtime_error);
}

TEST_F(HttpServerTest, SpeaksTlsWithItsCertificate) {
  const std::string key = path("key.pem").string(), certificate = path("certificate.pem").string();
  const std::string make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout " + key +
                           " -out " + certificate + " 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);  // NOLINT(cert-env33-c)
  ServerOptions options;
  options.tls_certificate = certificate;
  options.tls_key = key;
  const RunningServer server(sources({"first"}), {}, options);
  const std::string ask =
      "printf 'GET /v2/health/live HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' | "
      "openssl s_client -quiet -CAfile " +
      certificate + " -connect 127.0.0.1:" + std::to_string(server.port()) + " > " + path("answer").string() +
      " 2>/dev/null";
  (void)std::system(ask.c_str());  // NOLINT(cert-env33-c): it ends with the connection
  EXPECT_THAT(load_file(path("answer")), HasSubstr("\"live\":true"));
  options.tls_key = path("none.pem");
  EXPECT_THROW(RunningServer(sources({"first"}), {}, options), Error);
  options.tls_key = path("tokenizer") / "merges.txt";
  EXPECT_THROW(RunningServer(sources({"first"}), {}, options), Error);
}

TEST_F(HttpServerTest, AnAddressThatIsTakenOrNotOursIsNamed) {
  const RunningServer server(sources({"first"}));
  Access access;
  Metrics metrics;
  ServerOptions options;
  options.port = server.port();
  try {
    const HttpServer second(options, [](HttpRequest&&, const Respond&) {}, access, metrics);
    ADD_FAILURE() << "listens";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(server.port())));
  }
  options.host = "nowhere";
  EXPECT_THROW(HttpServer(options, [](HttpRequest&&, const Respond&) {}, access, metrics), Error);
}

}  // namespace
}  // namespace imagerank::serving
