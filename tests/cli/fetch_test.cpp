#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "cli/command_fetch.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "images/decode.h"
#include "images/encode.h"
#include "support/http_server.h"
#include "support/test_support.h"
#include "workspace/workspace.h"

namespace imagerank::cli {
namespace {

using std::chrono::milliseconds;
using test::HttpRequest;
using test::HttpResponse;
using test::HttpServer;
using test::TemporaryFolder;
using ::testing::HasSubstr;
using workspace::Image;
using workspace::Workspace;

struct Outcome {
  int code = 0;
  nlohmann::json json;
  std::string err;
};

Outcome fetch(FetchOptions options, std::stop_token stop = {}) {
  options.backoff_ms = 5;
  std::ostringstream out;
  std::ostringstream err;
  Terminal::Options settings;
  settings.json = true;
  settings.stop = std::move(stop);
  Terminal terminal(out, err, settings);
  Outcome outcome;
  outcome.code = run_fetch(options, terminal);
  outcome.json = nlohmann::json::parse(out.str());
  outcome.err = err.str();
  return outcome;
}

FetchOptions local(const std::filesystem::path& data) {
  FetchOptions options;
  options.data = data;
  options.settings.network.allow_local = true;
  options.timeout_s = 1;
  return options;
}

/// The image that `server_of_pngs` gives for a path: as many pixels wide as the path is long.
std::string png_for(const std::string& path) {
  const auto width = static_cast<std::int32_t>(path.size());
  return images::encode_png({width, 1, std::vector<std::uint8_t>(path.size() * 3, 7)});
}

HttpResponse png_response(const std::string& path) {
  HttpResponse response;
  response.body = png_for(path);
  return response;
}

Image row(const std::string& uid, const std::string& url) {
  Image image;
  image.image_uid = uid;
  image.url = url;
  return image;
}

std::map<std::string, Image> by_uid(const std::filesystem::path& data) {
  std::map<std::string, Image> rows;
  for (Image& image : Workspace::open(data).load_images()) {
    std::string uid = image.image_uid;
    rows.emplace(std::move(uid), std::move(image));
  }
  return rows;
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

TEST(FetchCommand, FetchesOnceAndFillsTheTable) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  std::vector<Image> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back(row(fmt::format("uid-{}", i), server.url(fmt::format("/{:0>{}}", i, i + 1))));
  rows[3].model = "sd";
  rows[3].prompt = "a cat";
  Workspace::open(folder.path()).write_images(rows);

  const Outcome first = fetch(local(folder.path()));
  EXPECT_EQ(first.code, 0);
  EXPECT_EQ(first.json["total"], 20);
  EXPECT_EQ(first.json["ok"], 20);
  EXPECT_EQ(first.json["skipped"], 0);
  EXPECT_EQ(first.json["failed"], nlohmann::json::object());
  EXPECT_GT(first.json["bytes"], 1000);
  EXPECT_GT(first.json["seconds"], 0.0);
  const auto table = by_uid(folder.path());
  const Image& image = table.at("uid-3");
  EXPECT_EQ(image.status, "ok");
  EXPECT_EQ(image.width, 5);
  EXPECT_EQ(image.height, 1);
  EXPECT_EQ(image.path, Workspace::image_path("uid-3", ".png").string());
  const std::string bytes = load_file(folder.path() / image.path);
  EXPECT_EQ(bytes, png_for("/0003"));
  EXPECT_EQ(image.sha256, sha256_hex(bytes));
  EXPECT_EQ(image.model, "sd");
  EXPECT_EQ(image.prompt, "a cat");
  EXPECT_EQ(files_below(folder / "images").size(), 20U) << "no ledger, no temporaries";

  const int requests = server.requests();
  const Outcome second = fetch(local(folder.path()));
  EXPECT_EQ(second.json["ok"], 0);
  EXPECT_EQ(second.json["skipped"], 20);
  EXPECT_EQ(second.code, 0);
  EXPECT_EQ(server.requests(), requests);
}

TEST(FetchCommand, CountsFailuresAndRetriesThemOnlyWhenAsked) {
  const TemporaryFolder folder;
  std::atomic<bool> healed = false;
  HttpServer server([&](const HttpRequest& request) {
    if (request.path == "/fine" || healed) return png_response(request.path);
    HttpResponse response;
    response.status = request.path == "/404" ? 404 : request.path == "/503" ? 503 : 200;
    response.body = "<html></html>";
    return response;
  });
  Workspace::open(folder.path())
      .write_images({row("a", server.url("/fine")), row("b", server.url("/404")), row("c", server.url("/503")),
                     row("d", server.url("/html")), row("e", "not a url"), row("../f", server.url("/fine")),
                     row("g", "")});
  FetchOptions options = local(folder.path());
  options.settings.network.retries = 1;
  const nlohmann::json expected = {{"http_404", 1}, {"http_503", 1},   {"not_an_image", 1},
                                   {"bad_url", 1},  {"unsafe_uid", 1}, {"no_url", 1}};
  const Outcome first = fetch(options);
  EXPECT_EQ(first.code, 0);
  EXPECT_EQ(first.json["ok"], 1);
  EXPECT_EQ(first.json["failed"], expected);
  EXPECT_EQ(first.json["examples"]["http_404"]["image_uid"], "b");
  EXPECT_EQ(by_uid(folder.path()).at("c").status, "http_503");
  EXPECT_EQ(by_uid(folder.path()).at("../f").status, "unsafe_uid");

  healed = true;
  const int requests = server.requests();
  const Outcome second = fetch(options);
  EXPECT_EQ(second.json["failed"], expected);
  EXPECT_EQ(second.json["skipped"], 1);
  EXPECT_EQ(server.requests(), requests);
  options.strict = true;
  EXPECT_EQ(fetch(options).code, 1);

  options.settings.retry_failed = true;
  const Outcome third = fetch(options);
  EXPECT_EQ(third.json["ok"], 3);
  EXPECT_EQ(third.json["skipped"], 1);
  EXPECT_EQ(third.json["failed"], (nlohmann::json{{"bad_url", 1}, {"unsafe_uid", 1}, {"no_url", 1}}));
}

TEST(FetchCommand, PrivateAddressesNeedTheFlagWhichTheMessageNames) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  Workspace::open(folder.path()).write_images({row("a", server.url("/a")), row("b", "file:///etc/hostname")});
  FetchOptions options = local(folder.path());
  options.settings.network.allow_local = false;
  const Outcome refused = fetch(options);
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.json["failed"], (nlohmann::json{{"refused_address", 2}}));
  EXPECT_THAT(refused.err, HasSubstr("--allow-local"));
  EXPECT_EQ(std::ranges::count(refused.err, '\n'), 1);
  EXPECT_EQ(server.connections(), 0);
  // With the flag they are tried again, without --retry-failed.
  const Outcome allowed = fetch(local(folder.path()));
  EXPECT_EQ(allowed.code, 0);
  EXPECT_EQ(allowed.json["ok"], 1);
  EXPECT_EQ(allowed.json["failed"], (nlohmann::json{{"not_an_image", 1}}));
}

TEST(FetchCommand, ExitsWithOneOnlyWhenNothingIsThere) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response = png_response(request.path);
    if (request.path == "/bad") response.status = 404;
    return response;
  });
  Workspace::open(folder.path()).write_images({row("a", server.url("/bad"))});
  const Outcome outcome = fetch(local(folder.path()));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("1 of 1 failed, first http_404"));
}

TEST(FetchCommand, TakesLocalPathsAsTheyAre) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  test::write_text(elsewhere / "far.png", png_for("/far"));
  test::write_text(folder / "near.png", png_for("/nearer"));
  test::write_text(folder / "text.png", "text");
  std::vector<Image> rows = {row("far", ""), row("near", ""), row("text", ""), row("gone", "")};
  rows[0].path = elsewhere / "far.png";
  rows[1].path = "near.png";
  rows[2].path = "text.png";
  rows[3].path = "gone.png";
  Workspace::open(folder.path()).write_images(rows);
  FetchOptions options = local(folder.path());
  options.settings.network.allow_local = false;
  const Outcome outcome = fetch(options);
  EXPECT_EQ(outcome.json["ok"], 2);
  EXPECT_EQ(outcome.json["failed"], (nlohmann::json{{"missing", 1}, {"not_an_image", 1}}));
  EXPECT_EQ(outcome.json["bytes"], 0);
  EXPECT_EQ(by_uid(folder.path()).at("near").path, "near.png");
  EXPECT_EQ(by_uid(folder.path()).at("near").width, 7);
  // A file that appears later is found without a flag: nothing was tried over the network.
  test::write_text(folder / "gone.png", png_for("/x"));
  EXPECT_EQ(fetch(options).json["ok"], 1);
}

TEST(FetchCommand, FetchesAgainWhatWasDeletedOrDamaged) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  Workspace::open(folder.path())
      .write_images({row("a", server.url("/a")), row("b", server.url("/b")), row("c", server.url("/c"))});
  fetch(local(folder.path()));
  const auto table = by_uid(folder.path());
  std::filesystem::remove(folder.path() / table.at("a").path);
  test::write_text(folder.path() / table.at("b").path, png_for("/other"));
  FetchOptions options = local(folder.path());
  EXPECT_EQ(fetch(options).json["ok"], 1);
  options.settings.recheck = true;
  const Outcome verified = fetch(options);
  EXPECT_EQ(verified.json["ok"], 1);
  EXPECT_EQ(verified.json["skipped"], 2);
  EXPECT_EQ(load_file(folder.path() / table.at("b").path), png_for("/b"));
}

TEST(FetchCommand, StoppedMidwayItKeepsWhatItHasAndCarriesOn) {
  const TemporaryFolder folder;
  std::stop_source source;
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response = png_response(request.path);
    response.delay_before = milliseconds(5);
    return response;
  });
  std::vector<Image> rows;
  for (int i = 0; i < 60; ++i) rows.push_back(row(fmt::format("u{}", i), server.url(fmt::format("/{}", i))));
  Workspace::open(folder.path()).write_images(rows);
  FetchOptions options = local(folder.path());
  options.settings.network.concurrency = 4;
  const std::jthread stopper([&] {
    while (server.requests() < 20) std::this_thread::sleep_for(milliseconds(1));
    source.request_stop();
  });
  try {
    fetch(options, source.get_token());
    FAIL() << "expected kCancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  std::size_t done = 0;
  for (const auto& [uid, image] : by_uid(folder.path())) done += image.status == "ok" ? 1 : 0;
  EXPECT_GE(done, 10U);
  EXPECT_LT(done, 60U);
  const Outcome rest = fetch(options);
  EXPECT_EQ(rest.json["skipped"], done);
  EXPECT_EQ(rest.json["ok"], 60 - done);
  EXPECT_LE(server.requests(), 60 + 8);
}

TEST(FetchCommand, TakesOverTheLedgerOfARunThatWasKilled) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  Workspace::open(folder.path())
      .write_images({row("a", server.url("/a")), row("b", server.url("/b")), row("c", server.url("/c"))});
  // What kill -9 leaves: a whole line, a torn one, a temporary file of a process that is gone, the table untouched.
  const auto path = Workspace::image_path("a", ".png");
  write_file_atomically(folder.path() / path, png_for("/a"));
  const auto stale = (folder.path() / path).parent_path() / ".b.png.tmp-999999999-0";
  test::write_text(stale, "half");
  test::write_text(folder / "images/.fetch-ledger.jsonl",
                   fmt::format("{{\"uid\":\"a\",\"url\":\"\",\"status\":\"ok\",\"path\":\"{}\",\"sha256\":\"{}\","
                               "\"width\":2,\"height\":1,"
                               "\"etag\":\"\",\"last_modified\":\"\"}}\n"
                               "{{\"uid\":\"b\",\"sta",
                               path.string(), sha256_hex(png_for("/a"))));
  const Outcome outcome = fetch(local(folder.path()));
  EXPECT_EQ(outcome.json["skipped"], 1);
  EXPECT_EQ(outcome.json["ok"], 2);
  EXPECT_EQ(server.visits("/a"), 0);
  EXPECT_FALSE(std::filesystem::exists(stale));
  EXPECT_EQ(by_uid(folder.path()).at("a").width, 2);
  EXPECT_EQ(files_below(folder / "images").size(), 3U);
}

TEST(FetchCommand, RetriesOnlyTheReasonsThatAreAskedFor) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) {
    HttpResponse response;
    response.status = std::stoi(request.path.substr(1));
    return response;
  });
  Workspace::open(folder.path())
      .write_images({row("a", server.url("/404")), row("b", server.url("/500")), row("c", server.url("/503"))});
  FetchOptions options = local(folder.path());
  options.settings.network.retries = 0;
  fetch(options);
  options.settings.retry_reasons = {"http_5*"};
  EXPECT_EQ(fetch(options).json["not_retried"], 1);
  EXPECT_EQ(server.visits("/404"), 1);
  EXPECT_EQ(server.visits("/500"), 2);
  options.settings.retry_reasons = {"http_404", "http_500"};
  fetch(options);
  EXPECT_EQ(server.visits("/404"), 2);
  EXPECT_EQ(server.visits("/500"), 3);
  EXPECT_EQ(server.visits("/503"), 2);
}

TEST(FetchCommand, RowsOfOneUrlShareOneTransferAndFile) {
  const TemporaryFolder folder;
  std::atomic<bool> dead = false;
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response = png_response(request.path);
    if (request.path == "/gone" || dead) response.status = 404;
    return response;
  });
  std::vector<Image> rows;
  for (int i = 0; i < 3000; ++i)
    rows.push_back(row(fmt::format("u{:04}", i), server.url(i < 2000 ? "/same" : "/gone")));
  rows.push_back(row("v", server.url("/twin")));  // another URL, the same bytes: paths of one length
  Workspace::open(folder.path()).write_images(rows);
  const Outcome outcome = fetch(local(folder.path()));
  EXPECT_EQ(outcome.json["ok"], 2001);
  EXPECT_EQ(outcome.json["failed"], (nlohmann::json{{"http_404", 1000}}));
  EXPECT_EQ(outcome.json["same_url"], 2998);
  EXPECT_EQ(outcome.json["same_content"], 1);
  EXPECT_EQ(server.requests(), 3);
  EXPECT_EQ(files_below(folder / "images").size(), 2U);
  const auto table = by_uid(folder.path());
  EXPECT_EQ(table.at("u0000").path, table.at("u1999").path);
  EXPECT_EQ(table.at("u2999").status, "http_404");
  EXPECT_EQ(fetch(local(folder.path())).json["skipped"], 2001);
  EXPECT_EQ(server.requests(), 3);

  // Their one file is lost, and the server has it no more: that holds for all of them.
  std::filesystem::remove(folder.path() / table.at("u0000").path);
  dead = true;
  EXPECT_EQ(fetch(local(folder.path())).json["failed"], (nlohmann::json{{"http_404", 3000}}));
  EXPECT_EQ(server.requests(), 4);
  EXPECT_EQ(by_uid(folder.path()).at("u1234").status, "http_404");
}

TEST(FetchCommand, RefreshAsksWhatChangedAndKeepsWhatIsThere) {
  const TemporaryFolder folder;
  std::atomic<bool> second = false;
  HttpServer server([&](const HttpRequest& request) {
    const std::string version = second && request.path == "/changes" ? "changes-more" : request.path.substr(1);
    HttpResponse response = png_response("/" + version);
    response.headers.emplace_back("ETag", "\"" + version + "\"");
    if (second && request.path == "/dies") {
      response.status = 404;
    } else if (request.header("if-none-match") == "\"" + version + "\"") {
      response.status = 304;
      response.body.clear();
    }
    return response;
  });
  Workspace::open(folder.path())
      .write_images({row("a", server.url("/stays")), row("b", server.url("/changes")), row("c", server.url("/dies"))});
  fetch(local(folder.path()));
  const auto before = by_uid(folder.path());
  second = true;
  FetchOptions options = local(folder.path());
  options.settings.refresh = true;
  const Outcome refreshed = fetch(options);
  EXPECT_EQ(refreshed.code, 0);
  EXPECT_EQ(refreshed.json["unchanged"], 1);
  EXPECT_EQ(refreshed.json["ok"], 1);
  EXPECT_EQ(refreshed.json["skipped"], 1);
  EXPECT_EQ(refreshed.json["refresh_failed"], 1);
  const auto after = by_uid(folder.path());
  EXPECT_EQ(after.at("a").sha256, before.at("a").sha256);
  EXPECT_EQ(after.at("b").sha256, sha256_hex(png_for("/changes-more")));
  EXPECT_EQ(after.at("c").status, "ok");
  EXPECT_EQ(load_file(folder.path() / after.at("c").path), png_for("/dies"));
  EXPECT_EQ(fetch(options).json["unchanged"], 2) << "the new ETag was kept";
}

TEST(FetchCommand, AnImageOfAnotherTypeTakesTheOlderFilesPlace) {
  const TemporaryFolder folder;
  std::atomic<bool> second = false;
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response = png_response(request.path);
    if (second && request.path != "/stays")
      response.body = images::encode_jpeg({8, 8, std::vector<std::uint8_t>(192)}, 90);
    return response;
  });
  test::write_text(folder.path() / "mine.png", png_for("/mine"));
  std::vector<Image> rows = {row("a", server.url("/changes")), row("also-a", server.url("/changes")),
                             row("b", server.url("/stays")), row("c", server.url("/mine"))};
  rows[3].path = "mine.png";
  rows[3].status = "ok";
  Workspace::open(folder.path()).write_images(rows);
  fetch(local(folder.path()));
  const auto before = by_uid(folder.path());
  second = true;
  FetchOptions options = local(folder.path());
  options.settings.refresh = true;
  fetch(options);
  const auto after = by_uid(folder.path());
  for (const char* uid : {"a", "also-a", "c"}) {
    EXPECT_TRUE(after.at(uid).path.ends_with(".jpg")) << after.at(uid).path;
    EXPECT_TRUE(std::filesystem::exists(folder.path() / after.at(uid).path)) << uid;
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path() / before.at("a").path)) << "the older file";
  EXPECT_TRUE(std::filesystem::exists(folder.path() / after.at("b").path)) << "the same as before";
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "mine.png")) << "not fetch's own";
  EXPECT_EQ(files_below(folder.path() / "images").size(), 3U);
}

TEST(FetchCommand, DecodesAndResizesWhereAsked) {
  const TemporaryFolder folder;
  std::string damaged = images::encode_png({64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 9)});
  damaged[60] = static_cast<char>(damaged[60] ^ 0x55);  // inside the compressed pixels; header and trailer are whole
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response;
    response.body =
        request.path == "/damaged" ? damaged : images::encode_png({400, 200, std::vector<std::uint8_t>(240000, 50)});
    return response;
  });
  Workspace::open(folder.path()).write_images({row("bad", server.url("/damaged")), row("big", server.url("/big"))});
  EXPECT_EQ(fetch(local(folder.path())).json["ok"], 2) << "its two ends look fine";
  std::filesystem::remove_all(folder / "images");
  FetchOptions options = local(folder.path());
  options.verify = "decode";
  options.settings.resize = 100;
  const Outcome outcome = fetch(options);
  EXPECT_EQ(outcome.json["ok"], 1);
  EXPECT_EQ(outcome.json["failed"], (nlohmann::json{{"corrupt", 1}}));
  const Image big = by_uid(folder.path()).at("big");
  EXPECT_EQ(big.width, 200);
  EXPECT_EQ(big.height, 100);
  EXPECT_THAT(big.path, ::testing::EndsWith(".jpg"));
  EXPECT_EQ(images::load_image(folder.path() / big.path).width, 200);
  EXPECT_EQ(big.sha256, sha256_hex(load_file(folder.path() / big.path)));
}

TEST(FetchCommand, ShardsAreReadByWhatComesNext) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  const std::filesystem::path first = folder / "first";
  const std::filesystem::path second = folder / "second";
  std::vector<Image> rows = {row("a", server.url("/a")), row("b", server.url("/bb"))};
  Workspace::create(first).write_images(rows);
  FetchOptions options = local(first);
  options.settings.shards = 2;
  const Outcome written = fetch(options);
  EXPECT_EQ(written.json["shards"]["files"], 1);
  EXPECT_EQ(images::load_image(first / by_uid(first).at("b").path).width, 3);

  rows.push_back(row("c", server.url("/c")));
  Workspace::create(second).write_images(rows);
  options = local(second);
  options.settings.from_shards = {first / "images/shards/*.tar"};
  const Outcome taken = fetch(options);
  EXPECT_EQ(taken.code, 0);
  EXPECT_EQ(taken.json["ok"], 2);
  EXPECT_EQ(taken.json["left"], 1);
  EXPECT_EQ(taken.json["shards"]["images"], 2);
  EXPECT_EQ(images::load_image(second / by_uid(second).at("a").path).width, 2);
  options.strict = true;
  EXPECT_EQ(fetch(options).code, 1);
}

TEST(FetchCommand, BrokenShardsAreWarnedOfLineByLine) {
  const TemporaryFolder folder;
  for (int i = 0; i < 12; ++i) test::write_text(folder / fmt::format("{:02}.tar", i), "no archive");
  Workspace::create(folder / "w").write_images({row("a", "")});
  FetchOptions options = local(folder / "w");
  options.settings.from_shards = {folder / "*.tar"};
  const Outcome outcome = fetch(options);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.json["shards"]["broken_archives"].size(), 12U);
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 12) << "ten of them, how many, and that nothing was found";
  EXPECT_THAT(outcome.err, HasSubstr("00.tar: at byte 0: expected a tar header"));
  EXPECT_THAT(outcome.err, HasSubstr("12 archives are broken"));
}

TEST(FetchCommand, NamesThatDifferOnlyByCaseAreTwoImages) {
  const TemporaryFolder folder;
  HttpServer server([](const HttpRequest& request) { return png_response(request.path); });
  Workspace::open(folder.path()).write_images({row("Image", server.url("/a")), row("image", server.url("/bb"))});
  EXPECT_EQ(fetch(local(folder.path())).json["ok"], 2);
  const auto table = by_uid(folder.path());
  EXPECT_EQ(load_file(folder.path() / table.at("Image").path), png_for("/a"));
  EXPECT_EQ(load_file(folder.path() / table.at("image").path), png_for("/bb"));
}

TEST(FetchCommand, OtherSchemesAreNeverAsked) {
  const TemporaryFolder folder;
  Workspace::open(folder.path())
      .write_images({row("a", "ftp://127.0.0.1/x.png"), row("b", "gopher://127.0.0.1/x.png"),
                     row("c", "dict://127.0.0.1/x"), row("d", "file://elsewhere/x.png")});
  EXPECT_EQ(fetch(local(folder.path())).json["failed"], (nlohmann::json{{"bad_url", 4}}));
}

TEST(FetchCommand, BadInputIsOneError) {
  const TemporaryFolder folder;
  const auto error_of = [&](auto change) {
    FetchOptions options = local(folder.path());
    change(options);
    try {
      fetch(options);
    } catch (const Error& error) {
      return fmt::format("{} {}", exit_code(error.code()), error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of([](FetchOptions& o) { o.data /= "none"; }), HasSubstr("1 "));
  EXPECT_THAT(error_of([](FetchOptions&) {}), HasSubstr("images.parquet"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.settings.network.concurrency = 0; }),
              HasSubstr("2 concurrency: expected 1 to 1024, found 0"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.timeout_s = 0; }), HasSubstr("2 --timeout: expected seconds above 0"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.timeout_s = 1e18; }),
              HasSubstr("2 --timeout: expected seconds above 0"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.settings.network.retries = 100; }), HasSubstr("2 retries"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.verify = "all"; }),
              HasSubstr("2 --verify: expected bytes or decode, found 'all'"));
  EXPECT_THAT(error_of([](FetchOptions& o) { o.settings.resize = -1; }), HasSubstr("2 --resize"));
  Workspace::open(folder.path()).write_images({});
  EXPECT_THAT(error_of([](FetchOptions&) {}), HasSubstr("expected at least one image, found 0 rows"));
  EXPECT_FALSE(std::filesystem::exists(folder / "images"));
}

TEST(FetchCommand, OptionsHaveTheContractsNames) {
  CLI::App app;
  CLI::App* const command = app.add_subcommand("fetch");
  const auto run = add_fetch(*command);  // owns the options
  const TemporaryFolder folder;
  const std::string data = folder.path().string();
  EXPECT_NO_THROW(
      app.parse(fmt::format("fetch --data {} --concurrency 4 --retries 2 --retry-failed --allow-local "
                            "--timeout 5 --max-bytes 1000 --strict --shards 100",
                            data)));
  EXPECT_THAT(command->help(), HasSubstr("Examples:"));
}

TEST(FetchCommand, FetchesTheRealImages) {
  IMAGERANK_SHARED_DATA(source, "real/avt/images");
  HttpServer server([&](const HttpRequest& request) {
    HttpResponse response;
    response.body = load_file(source / request.path.substr(1));
    return response;
  });
  std::vector<Image> rows;
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    rows.push_back(row(entry.path().stem().string(), server.url("/" + entry.path().filename().string())));
  }
  const TemporaryFolder folder;
  Workspace::open(folder.path()).write_images(rows);
  const Outcome first = fetch(local(folder.path()));
  EXPECT_EQ(first.json["ok"], 134);
  const Outcome second = fetch(local(folder.path()));
  EXPECT_EQ(second.json["ok"].get<int>() + second.json["skipped"].get<int>(), 134);
  for (const auto& [uid, image] : by_uid(folder.path())) {
    ASSERT_EQ(image.status, "ok") << uid;
    ASSERT_EQ(image.width, 512) << uid;
    ASSERT_EQ(load_file(folder.path() / image.path), load_file(source / (uid + ".jpg"))) << uid;
  }
}

}  // namespace
}  // namespace imagerank::cli
