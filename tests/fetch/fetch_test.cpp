// A workspace fetched from a server on 127.0.0.1, threads and all.
#include "fetch/fetch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "images/encode.h"
#include "support/http_server.h"
#include "support/test_support.h"

namespace imagerank::fetch {
namespace {

using test::HttpRequest;
using test::HttpResponse;
using test::HttpServer;
using test::TemporaryFolder;
using workspace::Workspace;

std::string png_for(const std::string& path) {
  const auto width = static_cast<std::int32_t>(std::stoi(path.substr(1)) % 50 + 1);
  return images::encode_png({width, 2, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * 6, 80)});
}

class FetchWorkspace : public ::testing::Test {
 protected:
  FetchWorkspace()
      : server_([](const HttpRequest& request) {
          HttpResponse response;
          response.body = png_for(request.path);
          if (std::stoi(request.path.substr(1)) % 7 == 3) response.status = 404;
          return response;
        }) {
    std::vector<workspace::Image> rows;
    for (int i = 0; i < kImages; ++i) {
      workspace::Image image;
      image.image_uid = fmt::format("u{}", i);
      image.url = server_.url(fmt::format("/{}", i));
      rows.push_back(image);
    }
    Workspace::open(folder_.path()).write_images(rows);
    settings_.network.allow_local = true;
    context_.threads = 4;
  }

  static constexpr int kImages = 300;
  TemporaryFolder folder_;
  HttpServer server_;
  FetchSettings settings_;
  RunContext context_;
};

TEST_F(FetchWorkspace, EveryRowIsCountedOnce) {
  std::vector<Progress> seen;
  context_.progress = [&](const Progress& progress) { seen.push_back(progress); };
  settings_.decode = true;
  const FetchCounts counts = fetch_images(Workspace::open(folder_.path()), settings_, context_);
  EXPECT_EQ(counts.total, kImages);
  EXPECT_EQ(counts.failed, (std::map<std::string, std::int64_t>{{"http_404", 43}}));
  EXPECT_EQ(counts.ok, kImages - 43);
  for (const workspace::Image& image : Workspace::open(folder_.path()).load_images()) {
    const std::string path = fmt::format("/{}", image.image_uid.substr(1));
    if (std::stoi(path.substr(1)) % 7 == 3) {
      EXPECT_EQ(image.status, "http_404");
    } else {
      EXPECT_EQ(load_file(folder_.path() / image.path), png_for(path));
      EXPECT_EQ(image.sha256, sha256_hex(png_for(path)));
    }
  }
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().done, seen.back().total);
  EXPECT_THAT(seen.back().note, ::testing::HasSubstr("43 http_404"));
}

TEST_F(FetchWorkspace, EveryFileIsRecheckedOnAllThreads) {
  const Workspace workspace = Workspace::open(folder_.path());
  static_cast<void>(fetch_images(workspace, settings_, context_));
  const int requests = server_.requests();
  int damaged = 0;
  for (const workspace::Image& image : workspace.load_images()) {
    if (image.status != "ok" || std::stoi(image.image_uid.substr(1)) % 5 != 0) continue;
    test::write_text(folder_.path() / image.path, png_for("/7"));
    ++damaged;
  }
  settings_.recheck = true;
  const FetchCounts counts = fetch_images(workspace, settings_, context_);
  EXPECT_LE(server_.requests(), requests + damaged);
  EXPECT_EQ(counts.ok + counts.skipped, kImages - 43);
  for (const workspace::Image& image : workspace.load_images()) {
    if (image.status != "ok") continue;
    EXPECT_EQ(load_file(folder_.path() / image.path), png_for("/" + image.image_uid.substr(1)));
  }
  std::stop_source stop;
  stop.request_stop();
  context_.stop = stop.get_token();
  EXPECT_THROW(static_cast<void>(fetch_images(workspace, settings_, context_)), Error);
}

TEST_F(FetchWorkspace, WhatCannotBeStoredEndsItAndLosesNothing) {
  // A file where a folder of images must go.
  const std::filesystem::path in_the_way = (folder_.path() / Workspace::image_path("u150", ".png")).parent_path();
  std::filesystem::create_directories(in_the_way.parent_path());
  test::write_text(in_the_way, "");
  const Workspace workspace = Workspace::open(folder_.path());
  EXPECT_THROW(static_cast<void>(fetch_images(workspace, settings_, context_)), Error);
  std::filesystem::remove(in_the_way);
  const int requests = server_.requests();
  const FetchCounts counts = fetch_images(workspace, settings_, context_);
  EXPECT_EQ(counts.ok + counts.skipped + counts.failures(), kImages);
  EXPECT_EQ(counts.failures(), 43);
  EXPECT_LE(server_.requests(), 2 * kImages);
  EXPECT_GE(counts.skipped, requests - 43 - settings_.network.concurrency - 4 - 4 - 1)
      << "all but what was under way is kept";
}

}  // namespace
}  // namespace imagerank::fetch
