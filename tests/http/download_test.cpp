#include "http/download.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <utility>

#include "support/http_server.h"

namespace imagerank::http {
namespace {

using test::HttpRequest;
using test::HttpResponse;
using test::HttpServer;
using testing::HasSubstr;

HttpResponse with_body(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}
HttpResponse redirect(std::string location) {
  HttpResponse response;
  response.status = 302;
  response.headers = {{"Location", std::move(location)}};
  return response;
}

DownloadLimits local() {
  DownloadLimits limits;
  limits.allow_local = true;
  return limits;
}

/// 127.0.0.2 stands for a private address, 127.0.0.1 for the internet.
bool is_second(std::span<const std::uint8_t> address) noexcept {
  return std::ranges::equal(address, std::array<std::uint8_t, 4>{127, 0, 0, 2});
}

TEST(Downloader, GetsBodiesOverOneConnection) {
  HttpServer server([](const HttpRequest& request) { return with_body("body of " + request.path); });
  Downloader downloader(local());
  EXPECT_EQ(downloader.get(server.url("/a")).body, "body of /a");
  const Download second = downloader.get(server.url("/b"));
  EXPECT_EQ(second.body, "body of /b");
  EXPECT_EQ(second.problem, "");
  EXPECT_EQ(server.connections(), 1);
}

TEST(Downloader, SaysWhyThereIsNone) {
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = with_body(std::string(2000, 'x'));
    if (request.path == "/gone") response.status = 404;
    if (request.path == "/cut") response.drop_after = 10;
    if (request.path == "/slow") response.delay_before = std::chrono::seconds(5);
    if (request.path == "/round") response = redirect("/round");
    if (request.path == "/file") response = redirect("file:///etc/passwd");
    return response;
  });
  DownloadLimits limits = local();
  limits.timeout = std::chrono::milliseconds(500);
  const auto problem = [&](const std::string& path) { return Downloader(limits).get(server.url(path)).problem; };
  EXPECT_EQ(problem("/gone"), "http_404");
  EXPECT_EQ(problem("/cut"), "truncated");
  EXPECT_EQ(problem("/slow"), "timeout");
  EXPECT_EQ(problem("/round"), "redirects");
  EXPECT_EQ(problem("/file"), "refused_address");
  limits.max_bytes = 1999;
  EXPECT_EQ(problem("/large"), "too_large");
  EXPECT_EQ(Downloader(limits).get("http://[").problem, "bad_response");
  EXPECT_EQ(Downloader(limits).get("ftp://127.0.0.1/x").problem, "refused_address");
}

TEST(Downloader, PrivateAddressesAreRefusedOnRedirectsToo) {
  const HttpServer* self = nullptr;
  HttpServer server([&self](const HttpRequest& request) {
    if (request.path == "/a") return with_body("public");
    return redirect(fmt::format("http://127.0.0.2:{}/secret", self->port()));
  });
  self = &server;
  EXPECT_EQ(Downloader({}).get(server.url("/a")).problem, "refused_address");
  EXPECT_EQ(Downloader({}).get(fmt::format("http://localhost:{}/a", server.port())).problem, "refused_address");
  EXPECT_EQ(server.connections(), 0);
  Downloader downloader({}, is_second);
  EXPECT_EQ(downloader.get(server.url("/a")).body, "public");
  const Download redirected = downloader.get(server.url("/inside"));
  EXPECT_EQ(redirected.problem, "refused_address");
  EXPECT_EQ(redirected.body, "");
  EXPECT_THAT(redirected.detail, HasSubstr("127.0.0.2"));
  EXPECT_EQ(server.visits("/secret"), 0);
}

}  // namespace
}  // namespace imagerank::http
