// libcurl against an HTTP/2 server over TLS (Node's), with a certificate made for the test.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "fetch/schedule.h"
#include "fetch/wanted_list.h"
#include "images/encode.h"
#include "support/test_support.h"

namespace imagerank::fetch {
namespace {

struct PipeCloser {
  void operator()(std::FILE* pipe) const noexcept { pclose(pipe); }
};

class Http2 : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto quiet = [](const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); };
    if (quiet("node --version") != 0 || quiet("openssl version") != 0) {
      if (std::getenv("IMAGERANK_REQUIRE_TEST_DATA") != nullptr)
        FAIL() << "expected node and openssl, found one of them missing";
      GTEST_SKIP() << "needs node and openssl";
    }
    test::write_text(folder_ / "image.png", png_);
    ASSERT_EQ(quiet(fmt::format("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
                                "-addext subjectAltName=IP:127.0.0.1 -keyout {0}/key.pem -out {0}/cert.pem",
                                folder_.path().string())),
              0);
    const auto script = test::source_file("tests/support/http2_server.mjs");
    server_.reset(
        popen(fmt::format("node {0} {1}/key.pem {1}/cert.pem {1}/image.png", script.string(), folder_.path().string())
                  .c_str(),
              "r"));
    ASSERT_NE(server_, nullptr);
    ASSERT_EQ(std::fscanf(server_.get(), "%d", &port_), 1);
  }
  void TearDown() override {
    if (port_ != 0) static_cast<void>(fetch({"/quit"}, true));
  }

  [[nodiscard]] std::vector<Fetched> fetch(const std::vector<std::string>& paths, bool trust) {
    NetworkSettings settings;
    settings.allow_local = true;
    settings.retries = 0;
    if (trust) settings.ca_file = folder_ / "cert.pem";
    const auto transport = make_curl_transport(settings, budget_);
    std::vector<std::string> urls;
    for (const std::string& path : paths) urls.push_back(fmt::format("https://127.0.0.1:{}{}", port_, path));
    std::vector<Fetched> images;
    fetch_all(source_of(urls), settings, *transport, [&](Fetched&& fetched) { images.push_back(std::move(fetched)); },
              {});
    return images;
  }

  test::TemporaryFolder folder_;
  std::string png_ = images::encode_png({8, 4, std::vector<std::uint8_t>(96, 3)});
  std::unique_ptr<std::FILE, PipeCloser> server_;
  ByteBudget budget_;
  int port_ = 0;
};

TEST_F(Http2, ManyImagesShareOneConnection) {
  std::vector<std::string> paths;
  for (int i = 0; i < 50; ++i) paths.push_back(fmt::format("/{}", i));
  const auto images = fetch(paths, true);
  ASSERT_EQ(images.size(), 50U);
  for (const Fetched& image : images) {
    EXPECT_TRUE(image.ok()) << image.reason << ": " << image.detail;
    EXPECT_EQ(image.body.text(), png_);
    EXPECT_EQ(image.etag, "\"HTTP/2.0 over 1\"");
  }
}

TEST_F(Http2, ACertificateThatIsNotTrustedIsRefused) {
  const auto images = fetch({"/x"}, false);
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].reason, "tls") << images[0].detail;
}

}  // namespace
}  // namespace imagerank::fetch
